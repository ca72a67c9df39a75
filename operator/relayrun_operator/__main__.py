"""`python -m relayrun_operator`."""

from relayrun_core.process.imports import quick_imports

with quick_imports():
    from relayrun_operator.main import main

if __name__ == "__main__":
    main()
