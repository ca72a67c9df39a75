"""The HTTP API of Relayrun."""

from relayrun_core import __version__ as __version__
