"""The clocks by which a process is measured. Author code that puts something else in the place of `time.time`, as tools
that freeze time do, changes none of them: they look into modules, and find the functions themselves, but no wrapper.
"""

import time
from collections.abc import Callable
from functools import partial

#: Never goes back; its zero means nothing.
monotonic_seconds: Callable[[], float] = partial(time.monotonic)
unix_seconds: Callable[[], float] = partial(time.time)
unix_nanoseconds: Callable[[], int] = partial(time.time_ns)
