"""A process that has imported and forks: single-threaded, without an event loop, the parent of what runs author code.

`preloading` imports, `forking` makes a clean child, `reaping` learns of ends; `server` does so for a supervisor that
asks over a socket (`orders`), `python -m relayrun_core.forkserver`. Linux only.
"""
