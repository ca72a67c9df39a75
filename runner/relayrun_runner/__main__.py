"""`python -m relayrun_runner`."""

from relayrun_runner.main import main

if __name__ == "__main__":
    main()
