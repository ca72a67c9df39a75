"""The author's graphs: loaded, made by factories, described, and their values stored and told."""
