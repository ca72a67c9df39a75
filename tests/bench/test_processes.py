"""The folder of a measured server is gone whenever Ctrl-C comes while it is made."""

import itertools
import signal
import sys
import tempfile
from types import FrameType
from typing import Any

from bench.processes import work_folder

WATCHED = {work_folder.__wrapped__.__code__.co_filename, tempfile.__file__}


class CtrlC:
    """Comes at one step of the Python code that makes the folder."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.came = False

    def __call__(self, frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        frame.f_trace_opcodes = True
        if event != "opcode":  # Python handles signals between instructions only
            return self
        self._left -= 1
        if self._left < 0 and not self.came:
            self.came = True
            signal.raise_signal(signal.SIGINT)
        return self


def test_a_ctrl_c_at_any_step_leaves_no_folder_behind(tmp_path, monkeypatch):
    source, temporary = tmp_path / "source", tmp_path / "temporary"
    source.mkdir()
    (source / "langgraph.json").write_text("{}")
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    interrupted = 0
    for step in itertools.count():
        monkeypatch.setattr(tempfile, "tempdir", None)  # asked for anew: a file is tried in it
        ctrl_c = CtrlC(step)
        before = sys.gettrace()
        sys.settrace(ctrl_c)
        try:
            with work_folder("test", source) as folder:
                sys.settrace(before)
                assert (folder / "langgraph.json").exists()
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        assert list(temporary.iterdir()) == [], f"left behind by Ctrl-C at step {step}"
        if not ctrl_c.came:
            break
    assert interrupted > 50
