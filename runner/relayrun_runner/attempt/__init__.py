"""One attempt at one run: how it goes on, what it writes behind the fence, what it tells, how it ends."""
