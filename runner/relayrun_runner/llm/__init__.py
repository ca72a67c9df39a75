"""Whether the agent's language models answer."""
