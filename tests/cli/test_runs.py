"""The verbs about runs and threads, against a real `relayrun dev`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.author import GRAPHS, REFUND, REPAIRED
from tests.cli.command_line import Ended, Relayrun, command_line
from tests.cli.dev_process import Dev, Project, running_dev
from tests.support.postgres import scratch_folder
from tests.support.waiting import until

STEPS = ["first", "beside", "risky", "last"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[Dev]:
    async with scratch_folder("dev-verbs") as folder, running_dev(Project(folder, REFUND, GRAPHS)) as dev:
        yield dev
        dev.send(signal.SIGTERM)
        assert await dev.ended() == 0, dev.log


@pytest.fixture
def relayrun(dev: Dev, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relayrun:
    dev.project.close_gate()
    return command_line(monkeypatch, capsys, dev.url)


def start(dev: Dev, *arguments: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "relayrun_cli", *arguments, "--url", dev.url]
    environment = {name: value for name, value in os.environ.items() if name != "RELAYRUN_URL"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


async def ended(process: subprocess.Popen[str]) -> Ended:
    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    return Ended(process.returncode, out, err)


async def at_risky(dev: Dev) -> None:
    await until(lambda: "risky" in dev.project.effects())


def read_all(terminal: int) -> str:
    """What was written to the terminal, a piece a line, until nobody has it open any more."""
    said = b""
    with contextlib.suppress(OSError):  # which says so
        while piece := os.read(terminal, 10_000):
            said += piece
    return said.decode()


def how(word: str) -> tuple[str, str]:
    return "-i", json.dumps({"how": word})


def test_a_run_is_shown_step_by_step_as_plain_text_into_a_pipe(relayrun: Relayrun) -> None:
    told = relayrun("run", "refund", "-t", "shown", *how("finish"))
    assert told.code == 0
    assert sorted(told.lines[1:3]) == ['beside  {"steps": ["beside"]}', 'risky  {"steps": ["risky"]}']
    assert told.lines[0] == 'first  {"steps": ["first"]}'
    assert told.lines[3:] == ['custom  "nearly there"', 'last  {"steps": ["last"]}', "end  success"]
    assert "on thread shown" in told.err


def test_tokens_stand_on_one_line_and_cannot_steer_the_terminal(relayrun: Relayrun) -> None:
    told = relayrun("run", "talk", "-i", '{"messages": [{"role": "user", "content": "Hi"}]}')
    assert told.lines == ["answer  Hello from [31mafar", "end  success"]


def test_on_a_terminal_there_are_colours_and_values_over_several_lines(dev: Dev, relayrun: Relayrun) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "relayrun_cli", "run", "refund", "--wait", *how("finish"), "--url", dev.url]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        said = read_all(ours)
        process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert "\x1b[" in said
    assert len(said.splitlines()) > 3


@pytest.mark.parametrize(
    ("word", "code", "out", "err"),
    [
        ("finish", 0, {"how": "finish", "steps": ["first", "beside", "risky", "last"]}, ""),
        ("fail", 1, None, "ValueError in node risky: no such order"),
        ("ask", 3, "Refund?", "--resume JSON"),
    ],
)
def test_run_wait_prints_the_values_and_its_exit_code_says_how_it_ended(
    relayrun: Relayrun, word: str, code: int, out: object, err: str
) -> None:
    done = relayrun("run", "refund", "--wait", *how(word))
    assert done.code == code
    assert err in done.err
    values = done.json() if done.out else None
    assert (values["__interrupt__"][0]["value"] if word == "ask" else values) == out


def test_a_question_is_answered_with_resume(relayrun: Relayrun) -> None:
    assert relayrun("run", "refund", "-t", "asked", *how("ask")).code == 3
    answered = relayrun("run", "refund", "-t", "asked", "--resume", '"yes"', "--wait")
    assert (answered.code, answered.json()["steps"]) == (0, ["first", "beside", "told yes", "last"])


async def test_a_detached_run_is_listed_followed_and_cancelled(dev: Dev, relayrun: Relayrun) -> None:
    ids = relayrun("run", "refund", "-t", "detached", "--detach", "--json", *how("wait")).json()
    await at_risky(dev)
    waiting = start(dev, "run", "refund", "-t", "detached", "--wait", *how("wait"))
    await until(lambda: "pending" in relayrun("ps").out)
    assert ids["run_id"] in relayrun("ps").out
    following = start(dev, "logs", "-f", ids["run_id"])
    cancelled = relayrun("cancel", "detached", "--wait")
    assert len(cancelled.lines) == 2  # the run that waited for its turn as well
    assert (await ended(waiting)).code == 4
    followed = await ended(following)
    assert (followed.code, followed.out.splitlines()[-1]) == (0, "end  cancelled")
    assert ids["run_id"] not in relayrun("ps").out
    assert [run["status"] for run in relayrun("ps", "-a", "--json").json()][:1] == ["interrupted"]
    again = relayrun("cancel", ids["run_id"])
    assert (again.code, "has ended already" in again.err) == (1, True)


async def test_ctrl_c_leaves_the_run_running_and_says_how_to_go_on(dev: Dev, relayrun: Relayrun) -> None:
    showing = start(dev, "run", "refund", "-t", "left", *how("wait"))
    await at_risky(dev)
    assert showing.stdout is not None
    assert "first" in await asyncio.to_thread(showing.stdout.readline)  # it knows which run it shows
    showing.send_signal(signal.SIGINT)
    left = await ended(showing)
    assert left.code == 130
    assert "Traceback" not in left.err
    [hint] = [line for line in left.err.splitlines() if "relayrun logs -f" in line]
    assert dev.url in hint
    run_id = hint.split("logs -f ")[1].split()[0]
    dev.project.open_gate()
    assert relayrun("logs", "-f", run_id).lines[-1] == "end  success"


async def test_a_killed_api_costs_a_watcher_nothing(dev: Dev, relayrun: Relayrun) -> None:
    showing, waiting = (start(dev, "run", "refund", "-t", name, *how("wait"), *more) for name, more in _WATCHERS)
    await until(lambda: dev.project.effects().count("risky") == 2)
    [api] = dev.part("relayrun_api")
    api.kill()
    await until(lambda: [process.pid for process in dev.part("relayrun_api")] != [api.pid])
    dev.project.open_gate()
    shown, waited = await ended(showing), await ended(waiting)
    assert (shown.code, waited.code) == (0, 0), shown.err + waited.err
    assert "The connection was lost" in shown.err
    assert [line.split()[0] for line in shown.out.splitlines()] == ["first", "beside", "risky", "custom", "last", "end"]
    assert sorted(json.loads(waited.out)["steps"]) == sorted(STEPS)


_WATCHERS = (("watched", ()), ("awaited", ("--wait",)))


def test_the_journal_is_replayed_and_gone_on_with_from_any_event(relayrun: Relayrun) -> None:
    streamed = relayrun("run", "refund", "-t", "journal", "--json", *how("finish"))
    assert relayrun("logs", "journal", "--json").out == streamed.out
    third = json.loads(streamed.lines[2])["id"]
    assert relayrun("logs", "journal", "--json", "--last-event-id", third).lines == streamed.lines[3:]


def test_the_output_of_a_run_is_printed_once_it_has_one(relayrun: Relayrun) -> None:
    done = relayrun("run", "refund", "-t", "printed", "--wait", *how("finish"))
    assert relayrun("output", "printed").json() == done.json()
    assert relayrun("run", "refund", "-t", "printed", *how("fail")).code == 1
    said = relayrun("output", "printed")
    assert (said.code, "has no output, its status is error" in said.err) == (1, True)


async def test_logs_of_a_run_under_way_end_without_follow(dev: Dev, relayrun: Relayrun) -> None:
    relayrun("run", "refund", "-t", "under-way", "--detach", *how("wait"))
    await at_risky(dev)
    assert relayrun("logs", "under-way").lines[0] == 'first  {"steps": ["first"]}'
    relayrun("cancel", "under-way")


async def test_retry_goes_on_in_repaired_code_with_the_failed_node_and_repeats_no_finished_step(
    dev: Dev, relayrun: Relayrun
) -> None:
    relayrun("run", "refund", "-t", "answered", *how("ask, then fail"))
    assert relayrun("run", "refund", "-t", "answered", "--resume", '"yes"').code == 1
    dev.project.close_gate()
    failed = relayrun("run", "refund", "-t", "repaired", *how("fail"))
    assert failed.code == 1
    assert "relayrun retry" in failed.err
    assert dev.project.effects() == ["first", "beside", "risky"]
    dev.project.code.write_text(REPAIRED)
    await dev.wait_for("The new code runs")
    retried = relayrun("retry", "repaired", "--wait")
    assert (retried.code, retried.err) == (0, "")
    assert retried.json()["steps"] == ["first", "beside", "repaired", "last"]
    assert dev.project.effects() == ["first", "beside", "risky", "risky", "last"]
    [newest, oldest] = relayrun("show", "repaired", "--json").json()["runs"]
    assert newest["metadata"]["retry_of"] == oldest["run_id"]
    refused = relayrun("retry", oldest["run_id"])
    assert (refused.code, newest["run_id"] in refused.err) == (2, True)
    # The answer was taken before the failure: nobody is asked again.
    assert relayrun("retry", "answered", "--wait").json()["steps"] == ["first", "beside", "yes", "last"]


def test_retry_of_a_run_whose_graph_could_not_be_opened_gives_its_input_again(dev: Dev, relayrun: Relayrun) -> None:
    broken = dev.project.folder / "broken"
    broken.touch()
    failed = relayrun("run", "made", "-t", "opened", *how("finish"))
    assert (failed.code, "no connection to the shop" in failed.err) == (1, True)
    still = relayrun("retry", "opened")
    assert (still.code, "no connection to the shop" in still.err) == (1, True)
    broken.unlink()
    retried = relayrun("retry", "opened", "--wait")
    assert (retried.code, retried.json()["how"]) == (0, "finish")


def test_a_cancelled_run_can_be_retried_and_a_done_or_waiting_one_cannot(dev: Dev, relayrun: Relayrun) -> None:
    relayrun("run", "refund", "-t", "stopped", "--detach", *how("wait"))
    relayrun("cancel", "stopped", "--wait")
    dev.project.open_gate()
    assert relayrun("retry", "stopped", "--wait").json()["steps"] == STEPS
    assert "is done" in relayrun("retry", "stopped").err
    relayrun("run", "refund", "-t", "stopped", *how("ask"))
    refused = relayrun("retry", "stopped")
    assert (refused.code, "--resume" in refused.err) == (2, True)


def test_show_of_a_failed_run_has_the_authors_traceback(dev: Dev, relayrun: Relayrun) -> None:
    (dev.project.folder / "broken").touch()
    relayrun("run", "made", "-t", "traced", *how("finish"))
    (dev.project.folder / "broken").unlink()
    [run] = relayrun("show", "traced", "--json").json()["runs"]
    shown = relayrun("show", run["run_id"])
    assert shown.code == 0
    assert 'raise RuntimeError("no connection to the shop")' in shown.out


def test_threads_are_listed_shown_and_deleted(relayrun: Relayrun, monkeypatch: pytest.MonkeyPatch) -> None:
    relayrun("run", "refund", "-t", "listed", *how("ask"))
    [row] = [line for line in relayrun("threads", "--status", "interrupted").lines if line.startswith("listed ")]
    assert row.split()[2:4] == ["refund", "interrupted"]
    shown = relayrun("threads", "show", "listed")
    assert '"Refund?"' in shown.out
    assert json.loads(shown.lines[-1])["how"] == "ask"
    assert relayrun("threads", "show", "listed", "--json").json()["next"] == ["risky"]
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert relayrun("threads", "delete", "listed").code == 1
    assert relayrun("threads", "delete", "listed", "--yes").code == 0
    gone = relayrun("threads", "show", "listed")
    assert (gone.code, "not found" in gone.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "refnd"), "did you mean 'refund'? There are: made, refund, talk."),
        (("run", "refund", "--stream-mode", "vales"), "stream_mode"),
        (("run", "refund", "-t", "unused", "--resume", "true"), "Thread unused has no question"),
        (("threads", "--json", "show", "t"), "Write options after the verb"),
        (("threads", "--status", "lazy"), "'interrupted'"),
    ],
)
def test_what_the_api_refuses_ends_with_2_and_a_sentence(
    relayrun: Relayrun, arguments: tuple[str, ...], sentence: str
) -> None:
    refused = relayrun(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert sentence in refused.err


async def test_what_a_run_printed_is_shown_with_its_node(relayrun: Relayrun) -> None:
    assert relayrun("run", "refund", "-t", "printed", *how("finish")).code == 0
    await until(lambda: bool(relayrun("logs", "--output", "printed").lines))
    told = relayrun("logs", "--output", "-f", "printed", "--attempt", "1", "--since", "1h")
    [line] = told.lines
    assert line.endswith(" first  how: finish [2J")  # what would clear the screen
    [entry] = [json.loads(line) for line in relayrun("logs", "--output", "printed", "--json").lines]
    assert (entry["node"], entry["text"]) == ("first", "how: finish \x1b[2J")
    assert relayrun("logs", "printed", "--since", "1h").code == 2
    assert relayrun("logs", "printed", "--output", "--since", "soon").code == 2


@pytest.mark.parametrize(("verb", "code"), [("show", 1), ("logs", 1), ("cancel", 1), ("retry", 2)])
def test_a_run_that_does_not_exist_is_said_to_be_none(relayrun: Relayrun, verb: str, code: int) -> None:
    for unknown in ("nobody", "01a2049d-33ae-759e-a859-f26869ed1075"):
        refused = relayrun(verb, unknown)
        assert (refused.code, f"There is no run or thread {unknown}" in refused.err) == (code, True)
