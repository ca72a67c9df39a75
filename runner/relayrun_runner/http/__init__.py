"""The HTTP that the operator and the API speak to a runner."""
