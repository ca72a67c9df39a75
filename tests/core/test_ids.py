"""Names and ids."""

from uuid import UUID

import pytest

from relayrun_core.ids import default_assistant_id, event_id, new_run_id, parse_event_id, uuid_of


def test_a_uuid_shaped_name_is_an_id() -> None:
    given = "6f1c2a9e-0000-4000-8000-000000000001"
    assert uuid_of(given) == uuid_of(given.upper()) == UUID(given)
    assert uuid_of("default_user") is None


def test_the_default_assistant_has_the_id_that_langgraph_dev_gives_it() -> None:
    assert default_assistant_id("agent") == UUID("fe096781-5601-53d2-b2f6-0d3403f7e9ca")


def test_run_ids_are_version_7_uuids_that_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert {run_id.version for run_id in ids} == {7}
    assert [run_id.int >> 80 for run_id in ids] == sorted(run_id.int >> 80 for run_id in ids)


def test_an_event_id_is_read_back() -> None:
    assert parse_event_id(event_id(3, (1 << 32) + 7)) == (3, (1 << 32) + 7)


@pytest.mark.parametrize("text", ["", "-", "-1"])
def test_these_event_ids_mean_from_the_start(text: str) -> None:
    assert parse_event_id(text) == (0, -1)


def test_a_number_alone_is_in_front_of_a_runs_events() -> None:
    assert parse_event_id("7") == (7, 0) < parse_event_id(event_id(7, 1 << 32))


@pytest.mark.parametrize("text", ["x", "1-x", "7.x"])
def test_other_texts_are_no_event_ids(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_event_id(text)
