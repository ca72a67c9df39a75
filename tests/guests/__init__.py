"""Hostile guests: an agent whose code ends in every way and gives every value, beside innocents, who notice nothing."""
