"""`python -P -m relayrun_runner.pod`: the first process of a runner's pod. It has imported, and forks the runner.

```
 imports ──▶ fork ──▶ the runner … dies unasked ──▶ what it left is ended ──▶ fork …     at once; a crash loop backs off
               SIGTERM ──▶ passed on; it drains and ends ──▶ end, with its exit code
               it ends by itself before it was ready, again and again ──▶ end: Kubernetes says so, and backs off
```

It has one thread and no event loop, adopts and reaps whatever author code leaves behind, and never loads author code.
"""

import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from relayrun_core.forkserver.forking import Child, Handlers, become, fork
from relayrun_core.forkserver.preloading import PreloadFailed, preload
from relayrun_core.forkserver.reaping import adopt_orphans, reap
from relayrun_core.logs import configure_logging
from relayrun_core.process.parent import READY_VARIABLE, end_children
from relayrun_core.process.parent import VARIABLE as PARENT_VARIABLE
from relayrun_core.process.restarts import DeathReason, Restarts, memory_kills, reason_of
from relayrun_core.process.secrets import VARIABLE as SECRETS_VARIABLE
from relayrun_core.process.secrets import hand_over, take_secrets
from relayrun_runner.main import read_settings

log = logging.getLogger("relayrun.pod")

#: So many failures in a row are told to Kubernetes, whose `CrashLoopBackOff` people know.
_MOST_FAILURES = 3
_PASSED_ON = (signal.SIGTERM, signal.SIGINT)


class PodParent:
    """Keeps one runner."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._signalled, self._wakeup = socket.socketpair()
        self._ready_read, self._ready_write = socket.socketpair()
        for end in (self._signalled, self._wakeup, self._ready_read):
            end.setblocking(False)
        # Its other end is the runners': it is closed when this process dies.
        self._lifeline_read, self._lifeline = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._signalled, selectors.EVENT_READ)
        self._selector.register(self._ready_read, selectors.EVENT_READ)
        self._restarts = Restarts()
        self._deaths = Counter[DeathReason]()
        self._memory_kills = memory_kills()
        self._runner: int | None = None
        self._started_at = 0.0
        self._ready = False
        self._told_to_stop = False
        self._code = 0

    def run(self) -> Callable[[], Any]:
        """Returns what is left to do: in a child its main function, and here, at the end, to exit."""
        handlers = Handlers({signal.SIGCHLD: _note, **dict.fromkeys(_PASSED_ON, _note)}, self._wakeup.fileno())
        while not (self._told_to_stop and self._runner is None):
            if self._runner is None:
                if self._restarts.failures >= _MOST_FAILURES:
                    log.error("the runner ended %s times in a row before it was ready: so does its pod", _MOST_FAILURES)
                    break
                if (main := self._start(handlers)) is not None:
                    return main
            self._wait()
            self._hear_ready()
            for pid, ended in reap(() if self._runner is None else (self._runner,)):
                if pid == self._runner:
                    self._on_end(ended)
        return lambda: _exit(self._code)

    def _start(self, handlers: Handlers) -> Callable[[], Any] | None:
        now = time.monotonic()
        self._restarts, granted = self._restarts.grant(1, now)
        if not granted:
            return None
        secrets = hand_over(self._secrets)
        self._started_at, self._ready = now, False
        pid = fork(handlers, (self._signalled, self._wakeup, self._ready_read, self._selector))
        if pid == 0:
            os.close(self._lifeline)
            return become(Child("relayrun_runner", {**os.environ, **self._given(secrets)}))
        os.close(secrets)
        self._runner = pid
        return None

    def _given(self, secrets: int) -> dict[str, str]:
        return {
            PARENT_VARIABLE: str(self._lifeline_read),
            READY_VARIABLE: str(self._ready_write.detach()),
            SECRETS_VARIABLE: str(secrets),
            "RELAYRUN_DEATHS": json.dumps(self._deaths),
        }

    def _wait(self) -> None:
        """Until there is something to do: a signal, a runner that is ready, or a runner to start again."""
        now = time.monotonic()
        at = self._restarts.next_at(now) if self._runner is None else None
        for key, _ in self._selector.select(None if at is None else max(0.0, at - now)):
            if key.fileobj is self._signalled:
                self._pass_on(self._signalled.recv(4096))

    def _pass_on(self, received: bytes) -> None:
        for number in received:
            if number in _PASSED_ON:
                self._told_to_stop = True
                if self._runner is None:
                    self._code = 0
                else:
                    os.kill(self._runner, signal.SIGTERM)  # it is our child, and not reaped: the number is its own

    def _hear_ready(self) -> None:
        try:
            content = self._ready_read.recv(64)
        except BlockingIOError:
            return
        if content and not self._ready:
            self._ready = True
            self._restarts = self._restarts.became_ready()

    def _on_end(self, code: int) -> None:
        self._runner, self._code = None, code
        end_children()
        if self._told_to_stop:
            return
        kills = memory_kills()
        reason = reason_of(code, out_of_memory=kills > self._memory_kills)
        self._memory_kills = kills
        self._deaths[reason] += 1
        now = time.monotonic()
        before = "" if self._ready else " before it was ready"
        log.warning("the runner %s%s, exit code %s", reason.sentence, before, code)
        if reason is DeathReason.OOM_KILLED and not self._ready:
            self._restarts = self._restarts.failed(started_at=self._started_at, now=now)
        else:
            self._restarts = self._restarts.ended(code, was_ready=self._ready, started_at=self._started_at, now=now)


def main() -> None:
    """Keep a runner until SIGTERM. Exit codes: the runner's own, and 2 for wrong settings."""
    # A process 1 without a handler would not hear it. Until they have their own, that goes for runners too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    secrets = take_secrets()
    settings = read_settings(secrets)
    configure_logging(settings.log_level, settings.log_format)
    adopt_orphans()
    try:
        preload(["relayrun_runner.preloaded"], settings.preload)
    except PreloadFailed as error:
        print(f"relayrun runner: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    PodParent(secrets).run()()


def _note(_number: int, _frame: object) -> None:
    """The wakeup descriptor has its number."""


def _exit(code: int) -> None:
    # As a shell tells a process that was ended by a signal: this one cannot end itself by it where it is process 1.
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
