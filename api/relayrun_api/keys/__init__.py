"""API keys: admins make, list and revoke them."""
