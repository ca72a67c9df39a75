"""What runs print and log: whose it is, and where it is kept."""
