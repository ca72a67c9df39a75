"""Secrets that are replaced while a process runs: what counts, as their files are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from relayrun_core.rotating import RotatingSecret, bearer, shows


def mount(folder: Path, **contents: str) -> Path:
    """Write a Secret's keys as the kubelet does, all at once; a key is one of `token` and `previous`."""
    names = {"token": "token", "previous": "previous-token"}
    version = folder / f"..{len(list(folder.iterdir()))}"
    version.mkdir()
    for key, content in contents.items():
        (version / names[key]).write_text(content)
    data = folder / "..data"
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").replace(data)
    for name in names.values():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    return folder / "token"


def long_enough(secret: str) -> None:
    if len(secret) < 3:
        raise ValueError("too short")


def test_the_walk_of_a_rotation(tmp_path: Path) -> None:
    secret = RotatingSecret("from the environment", mount(tmp_path, token="old\n"), long_enough)
    walk = [
        ({}, ("old",)),
        ({"token": "new", "previous": "old"}, ("new", "old")),
        ({"token": "new"}, ("new",)),
        ({"token": "new", "previous": "new"}, ("new",)),
        ({"token": "third"}, ("third",)),
    ]
    generations = []
    for written, expected in walk:
        if written:
            mount(tmp_path, **written)
        assert secret.all() == expected
        generations.append(secret.generation)
    assert generations == [1, 2, 3, 3, 4]


@pytest.mark.parametrize("unfit", [{"token": ""}, {"token": " \n"}, {"token": "x"}, {"token": "good", "previous": "x"}])
def test_what_cannot_be_used_changes_nothing(tmp_path: Path, unfit: dict[str, str]) -> None:
    secret = RotatingSecret("", mount(tmp_path, token="old"), long_enough)
    assert secret.all() == ("old",)
    mount(tmp_path, **unfit)
    assert secret.all() == ("old",)
    mount(tmp_path, token="new")
    assert secret.all() == ("new",)


def test_the_value_counts_until_the_file_is_there(tmp_path: Path) -> None:
    secret = RotatingSecret("first", tmp_path / "token")
    assert secret.all() == ("first",)
    mount(tmp_path, token="second")
    assert secret.all() == ("second",)
    assert RotatingSecret("", tmp_path / "nothing").all() == ()


@pytest.mark.parametrize("theirs", [("new",), ("new", "old"), ("a, b", "new"), ("new", "a, b"), ("a, b",)])
@pytest.mark.parametrize("ours", ["new", "old", "a, b", "ne", "ew"])
def test_a_caller_shows_what_it_has_and_nothing_else(theirs: tuple[str, ...], ours: str) -> None:
    header = bearer(theirs).encode()
    assert shows(header, ours) is (ours in theirs)
    assert not shows(header.replace(b"Bearer", b"Basic"), ours)
    assert not shows(b"", ours)
