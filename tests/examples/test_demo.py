"""`make demo` as a person runs it: all of it, and cut short."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.processes import processes_that_name

ROOT = Path(__file__).resolve().parents[2]

# It may take four times as long on a machine with much else to do.
pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the demo puts its files; passable for the user that Postgres runs as when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def start(temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "examples.steps.demo"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary), "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_demo_shows_a_run_that_survives_and_leaves_the_machine_clean(temporary):
    demo = start(temporary)
    told, _ = demo.communicate(timeout=280)
    assert demo.returncode == 0, told
    assert "kill -9" in told
    assert "✗" not in told
    assert list(temporary.iterdir()) == []
    assert processes_that_name(temporary) == []


@pytest.mark.parametrize("reached", ["survives kill -9", "in the middle of"])
def test_a_demo_stopped_with_ctrl_c_leaves_the_machine_clean(temporary, reached):
    demo = start(temporary)
    assert demo.stdout is not None
    for line in demo.stdout:
        if reached in line:
            demo.send_signal(signal.SIGINT)
            break
    told, _ = demo.communicate(timeout=120)
    # A shell says 130 for both; Python takes the second when Ctrl-C comes in the middle of an `exec` of a library.
    assert demo.returncode in (130, -signal.SIGINT), told
    assert "Traceback" not in told
    assert list(temporary.iterdir()) == []
    assert processes_that_name(temporary) == []
