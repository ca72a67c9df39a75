"""`python -m relayrun_cli` is `relayrun`."""

from relayrun_cli.main import app

app()
