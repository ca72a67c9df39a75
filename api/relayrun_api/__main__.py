"""`python -m relayrun_api`."""

from relayrun_core.process.imports import quick_imports

with quick_imports():
    from relayrun_api.serving import main

if __name__ == "__main__":
    main()
