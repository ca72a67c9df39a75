"""The agents whose runners have registered here."""
