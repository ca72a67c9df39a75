"""The process that has graphs loaded and executes runs."""
