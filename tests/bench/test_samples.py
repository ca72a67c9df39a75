import math

import pytest

from bench.kills import ready_runners
from bench.parts import ALL, CLIENT, cpu_ms_per_run
from bench.report import markdown
from bench.samples import KillSample, Results, RunSample, Throughput, p50, p99, summary


def test_a_percentile_is_interpolated_between_its_neighbours():
    assert p50([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert p99(range(101)) == 99
    assert p99([7.0]) == 7.0


def test_no_samples_have_no_percentile():
    assert math.isnan(p50([]))


def test_rounds_are_added_up():
    rounds = Throughput(1, runs=10, seconds=2.0, samples=[RunSample(1, 2, 3)])
    rounds.add(Throughput(1, runs=20, seconds=1.0, samples=[RunSample(3, 4, 5)], errors=["late"]))
    assert rounds.runs_per_second() == pytest.approx(10)
    assert summary(rounds)["end_ms_p50"] == 4
    assert rounds.errors == ["late"]


def test_the_table_has_a_column_for_each_server_and_says_what_was_not_measured():
    ours = Results("ours", "1", {1: Throughput(1, 1, 0.5, [RunSample(10, 20, 30)])})
    ours.kills = [KillSample(200, 260, repeated_steps=1, missing_steps=0, attempts=2)]
    theirs = Results("theirs", "2", {1: Throughput(1, 1, 1.0, [RunSample(500, 600, 700)])})
    table = markdown([ours, theirs], "here")
    assert "| create → first event, 1 client (p50 / p99) | 10.0 ms / 10.0 ms | 500 ms / 500 ms |" in table
    assert "| runs a second, 1 client | 2.0 (n = 1) | 1.0 (n = 1) |" in table
    assert "| kills; steps told twice; steps lost | 1; 1; 0 | a kill ends the server |" in table


def test_only_ready_runners_count(tmp_path):
    listed = tmp_path / "runners.json"
    assert ready_runners(listed) == 0
    listed.write_text('{"runners": [{"ready": true}, {"ready": false}], "desired": 2, "problems": []}')
    assert ready_runners(listed) == 1


def test_the_client_does_not_count_as_a_part_of_the_server():
    assert cpu_ms_per_run({"api": 0.2, "runners": 0.3, CLIENT: 9.0}, runs=10) == {
        "api": 20.0,
        "runners": 30.0,
        CLIENT: 900.0,
        ALL: 50.0,
    }
    assert cpu_ms_per_run({"api": 0.2}, runs=0) == {}
