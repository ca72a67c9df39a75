"""Notes on a topic, researched section by section."""
