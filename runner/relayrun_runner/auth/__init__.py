"""The author's own authentication and authorization, which the API calls."""
