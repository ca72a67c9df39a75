"""Images for the check: built from a checkout, pushed to a registry on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.processes import free_port
from release.report import Report, call
from release.version import ROOT, ReleaseError

CRANE = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"
BASE = "python:3.13-slim-trixie"
START_SECONDS = 30
PARTS = ("runner", "operator", "api", "cli", "example-steps")


def crane(folder: Path) -> str | None:
    """The command that is a registry and asks one; built from its Go module where it is not on the PATH."""
    if found := shutil.which("crane"):
        return found
    if shutil.which("go") is None:
        return None
    call("go", "install", CRANE, GOBIN=str(folder))
    return str(folder / "crane")


@contextmanager
def registry(command: str) -> Iterator[str]:
    """A registry in memory, as `localhost:port`: on all addresses, because kind's nodes ask it."""
    port = free_port()
    serving = subprocess.Popen(
        [command, "registry", "serve", "--address", f"0.0.0.0:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            if serving.poll() is not None or time.monotonic() > end:
                raise ReleaseError(f"{command} registry serve does not answer on port {port}.")
            time.sleep(0.1)
        yield f"localhost:{port}"
    finally:
        serving.terminate()
        serving.wait()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def images(source: Path, registry: str, tag: str, parts: Sequence[str]) -> dict[str, str]:
    """Digests of a checkout's images by their name, pushed under `registry`. `forget` removes them from Docker."""
    digests = {}
    for part in parts:
        image = f"{registry}/relayrun-{part}:{tag}"
        if part == "example-steps":
            of_part, context = f"RUNNER_IMAGE={registry}/relayrun-runner:{tag}", source / "examples" / "steps"
        else:
            of_part, context = f"PART={part}", source
        call(docker(), "build", "-q", "-t", image, "--build-arg", of_part, context, DOCKER_BUILDKIT="1")
        call(docker(), "push", "--quiet", image)
        known = call(docker(), "image", "inspect", "-f", '{{join .RepoDigests "\\n"}}', image).split()
        digests[f"relayrun-{part}"] = next(each.partition("@")[2] for each in known if each.startswith(f"{registry}/"))
    return digests


def sizes(report: Report, registry: str, tag: str, parts: Sequence[str]) -> None:
    """Tell how much each image adds to the base image."""
    base = _bytes(BASE)
    for part in parts:
        report.size(f"relayrun-{part} over {BASE}", (_bytes(f"{registry}/relayrun-{part}:{tag}") - base) / 1e6)


def forget(registry: str) -> None:
    """Remove the images of a registry from Docker."""
    known = call(docker(), "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    if names := [name for name in known if name.startswith(f"{registry}/")]:
        call(docker(), "rmi", *names)


def _bytes(image: str) -> int:
    return int(call(docker(), "image", "inspect", "-f", "{{.Size}}", image))


def docker() -> str:
    """A client that has BuildKit: Debian's has it built in, another one on the PATH may lack it."""
    from relayrun_cli.docker import client

    return client()


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """A worktree of another revision, with the console built."""
    place = folder / "previous"
    call("git", "worktree", "add", "--detach", place, revision)
    try:
        call(place / "scripts" / "console.sh", cwd=place, UV=os.environ.get("UV", "uv"))
        yield place
    finally:
        call("git", "-C", ROOT, "worktree", "remove", "--force", place)
