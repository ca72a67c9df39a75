"""What the routes answer with, for the document alone: nothing is made of these models."""
