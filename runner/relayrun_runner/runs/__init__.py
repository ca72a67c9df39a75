"""The runs of this runner: taken, stopped, told of."""
