"""`python -m relayrun_operator`."""

from relayrun_operator.main import main

main()
