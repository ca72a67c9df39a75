"""Request bodies. Payloads inside them are opaque: pydantic passes them through as they were parsed."""
