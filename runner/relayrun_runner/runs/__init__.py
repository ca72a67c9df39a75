"""The runs of this runner: assigning, stopping, reporting."""
