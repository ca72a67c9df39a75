"""A support agent: it looks orders up and refunds them, and asks a person before money moves."""
