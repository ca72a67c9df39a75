"""`relayrun dev`: all of Relayrun on this machine, supervised by one process."""
