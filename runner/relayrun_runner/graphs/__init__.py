"""The author's graphs: loading, factories, descriptions, and the serialization of their values."""
