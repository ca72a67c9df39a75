"""What the images are built from, and how the chart names them."""

from __future__ import annotations

import re
import shutil

import pytest

from relayrun_cli import checkout
from tests.charts.test_templates import EVERYTHING, render

DIGEST = f"sha256:{'a' * 64}"
OURS = re.compile(r"image: (?:\S+/)?(relayrun-[a-z-]+)\S*$", re.MULTILINE)


def test_the_command_line_brings_all_that_the_images_are_built_from() -> None:
    with checkout.build_context() as folder:
        copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", (folder / "Dockerfile").read_text(), re.MULTILINE)
        paths = {path for line in copied for path in line.split()} - {"${PART}"}
        assert {"scripts/relayrun", "cli/relayrun_cli", "uv.lock"} <= paths
        assert [path for path in sorted(paths) if not (folder / path).exists()] == []
        assert not list(folder.rglob("_checkout"))
        assert not list(folder.rglob("__pycache__"))


needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="there is no helm on the PATH")


@needs_helm
def test_relayruns_own_images_are_in_its_registry_and_others_where_they_were() -> None:
    text = render("--set=global.relayrunRegistry=ghcr.io/somebody", "--set=postgres.enabled=true")
    assert "image: ghcr.io/somebody/relayrun-api:" in text
    assert "image: pgvector/pgvector:pg17" in text
    assert set(OURS.findall(text)) == set(OURS.findall(render("--set=postgres.enabled=true")))
    assert not re.search(r"image: relayrun-", text)


@needs_helm
def test_a_mirror_goes_before_relayruns_own_registry() -> None:
    text = render("-f", str(EVERYTHING), "--set=global.relayrunRegistry=ghcr.io/somebody")
    assert "ghcr.io" not in text


@needs_helm
def test_a_digest_decides_and_the_tag_stays_readable() -> None:
    text = render(f"--set=api.image.digest={DIGEST}", "--set=api.image.tag=9.9.9")
    assert f"relayrun-api:9.9.9@{DIGEST}" in text
    assert "@sha256" not in render("--set=api.image.digest=")
