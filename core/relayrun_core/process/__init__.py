"""The life of an operating system process: its parent, its secrets, when it is started again, how it imports."""
