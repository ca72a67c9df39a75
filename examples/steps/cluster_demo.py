"""`make cluster-demo`, `relayrun demo --cluster`: an AgentRun survives the forced deletion of its pod.

With kubectl alone: applies a run for the chart's sample agent, deletes its runner's pod by force in the middle, watches
the run go on, approves it with a second AgentRun, and checks what happened.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import uuid
from typing import Any

from rich.console import Console

from examples.steps.graph import AFTER, BEFORE, IN_PARALLEL, ONCE_APPROVED
from examples.steps.story import Story

STEP_SECONDS = 1.0
LIMIT_SECONDS = 120.0
BEFORE_APPROVAL = [*BEFORE, *IN_PARALLEL, *AFTER]


class DemoError(Exception):
    """What was not as it should be."""


class Demo:
    """One run of the demo."""

    def __init__(self, context: str | None, namespace: str, story: Story) -> None:
        self._kubectl = ["kubectl", *([] if context is None else ["--context", context]), "-n", namespace]
        self._story = story
        self._thread = f"refund-{uuid.uuid4().hex[:6]}"

    def run(self) -> None:
        """Raises DemoError with what was wrong."""
        self._story.title("kubectl apply: a refund in twelve steps")
        self._apply(self._thread, {"input": {"step_seconds": STEP_SECONDS}})
        pod = self._wait(self._thread, lambda status: status.get("phase") == "Running")["runnerName"]
        self._story.line(f"runs on {pod}")
        time.sleep(3.5 * STEP_SECONDS)  # into the parallel steps: two are done, two are in the middle
        self._story.line(f"kubectl delete pod {pod} --force", "bold red")
        killed = time.monotonic()
        self._run("delete", "pod", pod, "--force", "--grace-period=0")
        status = self._wait(self._thread, lambda status: status.get("attempts", 0) > 1)
        took = time.monotonic() - killed
        self._story.line(f"attempt 2 on {status['runnerName']}, seen {took:.1f} s after the deletion", "bold green")
        waiting = self._finished(self._thread)
        self._expect(waiting["phase"] == "WaitingForInput", f"it waits for a person's approval: {waiting['phase']}")
        self._expect(sorted(waiting["output"]["done"]) == sorted(BEFORE_APPROVAL), "each of 8 steps is done, once")
        self._expect(waiting["failedAttempts"] == 0, "the lost attempt counts for nothing: it had made progress")
        self._story.title("kubectl apply: a person approves")
        self._apply(f"{self._thread}-approved", {"command": {"resume": {"approved": True}}})
        done = self._finished(f"{self._thread}-approved")
        self._expect(done["phase"] == "Succeeded", f"it succeeds: {done['phase']} {done['message']}")
        every = [*BEFORE_APPROVAL, "approve", *ONCE_APPROVED]
        self._expect(sorted(done["output"]["done"]) == sorted(every), "all 12 steps are done, each once")
        self._story.title("kubectl get agentruns")
        print(self._run("get", "ar", self._thread, f"{self._thread}-approved", "-o", "wide"))

    def _apply(self, name: str, payload: dict[str, Any]) -> None:
        spec = {"agentRef": {"name": "steps"}, "thread": self._thread, **payload}
        made = {"apiVersion": "relayrun.dev/v1alpha1", "kind": "AgentRun", "metadata": {"name": name}, "spec": spec}
        self._run("apply", "-f", "-", stdin=json.dumps(made))

    def _finished(self, name: str) -> dict[str, Any]:
        self._run("wait", "--for=condition=Finished", f"agentrun/{name}", f"--timeout={LIMIT_SECONDS}s")
        return self._status(name)

    def _wait(self, name: str, seen: Any) -> dict[str, Any]:
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            if seen(status := self._status(name)):
                return status
            time.sleep(0.1)  # until kubectl shows it
        raise DemoError(f"AgentRun {name} stays as it is: {self._status(name)}")

    def _status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._run("get", "ar", name, "-o", "json")).get("status", {})
        return status

    def _expect(self, so: bool, what: str) -> None:
        if not so:
            raise DemoError(f"not so: {what}")
        self._story.line(what, "green")

    def _run(self, *arguments: str, stdin: str | None = None) -> str:
        ended = subprocess.run([*self._kubectl, *arguments], input=stdin, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise DemoError(ended.stderr.strip())
        return ended.stdout


def main() -> int:
    """0 when all was as it should be, 1 with a sentence when not."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--context", help="kubectl's context; default: the current one")
    options.add_argument("--namespace", default="relayrun")
    given = options.parse_args()
    story = Story(Console())
    try:
        Demo(given.context, given.namespace, story).run()
    except DemoError as error:
        story.wrong(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
