"""Docker's command line: which client, which images there are, and how ours are built."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from relayrun_cli import checkout
from relayrun_cli.errors import CliError
from relayrun_cli.output import stderr
from relayrun_core import __version__

#: The Pythons that there are runner images for; the default first.
PYTHON_VERSIONS = ("3.13", "3.12", "3.11")
#: Where the Pythons come from, by a variable of this name: `{python}` in it is the version.
PYTHON_IMAGE = "RELAYRUN_PYTHON_IMAGE"
_PYTHON_IMAGE = "python:{python}-slim-trixie"
_REVISION = "org.opencontainers.image.revision"
_OWN = "sources-"


def part_image(part: str, python: str = PYTHON_VERSIONS[0]) -> str:
    """The name of the image of `operator`, `api` or `runner` of this version."""
    return f"relayrun-{part}:{__version__}" + ("" if python == PYTHON_VERSIONS[0] else f"-py{python}")


def ensure_part(part: str, python: str = PYTHON_VERSIONS[0], *, pull: bool = False) -> str:
    """The name of a part's image, which is built where there is none, or only one that older sources made.

    An image of that name that somebody else made is used as it is. Raises CliError where it cannot be built.
    """
    image, base = part_image(part, python), (os.environ.get(PYTHON_IMAGE) or _PYTHON_IMAGE).format(python=python)
    revision = f"{_OWN}{checkout.digest()}-{base}"
    there = _revision(image)
    if there is not None and not pull and (there == revision or not there.startswith(_OWN)):
        return image
    stderr().print(f"Building {image}: there is none yet." if there is None else f"Building {image} anew.")
    arguments = {"PART": part, "PYTHON_IMAGE": base, "VERSION": __version__, "REVISION": revision}
    given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    with checkout.build_context() as folder:
        code = build([*given, *(["--pull"] if pull else [])], tag=image, file=folder / "Dockerfile", context=folder)
    if code:
        raise CliError(f"{image} could not be built: docker's output is above.")
    return image


def build(arguments: Sequence[str], *, tag: str, file: Path, context: Path) -> int:
    """Run `docker build`, and return its exit code."""
    line = [client(), "build", "-f", str(file), "-t", tag, *arguments, str(context)]
    return subprocess.run(line, env={**os.environ, "DOCKER_BUILDKIT": "1"}, check=False).returncode


def client() -> str:
    """The docker to call. Raises CliError where there is none."""
    found = shutil.which("docker")
    if found is None:
        raise CliError("there is no docker on the PATH: install it, or use `relayrun dockerfile` with another builder.")
    # Debian's client has BuildKit built in; another one on the PATH may have neither it nor buildx.
    buildx = subprocess.run([found, "buildx", "version"], capture_output=True, check=False)
    return found if buildx.returncode == 0 or not Path("/usr/bin/docker").exists() else "/usr/bin/docker"


def _revision(image: str) -> str | None:
    """What the image says that it was built from; None where there is no such image here."""
    wanted = f'{{{{index .Config.Labels "{_REVISION}"}}}}'
    asked = subprocess.run(
        [client(), "image", "inspect", "-f", wanted, image], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else None
