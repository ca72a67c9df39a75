"""The HTTP API of Relayrun."""

from importlib.metadata import version

__version__ = version("relayrun-api")
