"""`python -m release`: the parts of a release that the workflow calls."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from relayrun_core import __version__
from release import built, chart, krew, notes, version


def main() -> int:
    """0, or 1 with a sentence on standard error."""
    try:
        return _run(_arguments())
    except version.ReleaseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    verbs = options.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("version", help="print the version, or write a new one everywhere")
    one.add_argument("new", nargs="?")
    one.add_argument("--tag", help="fail unless this is the tag of the version")
    for name, what in (
        ("chart", "package the chart"),
        ("push", "build and push the images, and package the chart that names them"),
        ("notes", "print the notes"),
        ("krew", "pack the kubectl plugin"),
    ):
        verb = verbs.add_parser(name, help=what)
        verb.add_argument("--out", type=Path, default=Path("dist"), help="a folder")
        verb.add_argument("--registry", help="of the images: ghcr.io/owner")
        verb.add_argument("--digests", type=Path, help="a folder with a file an image, called NAME@TAG")
        verb.add_argument("--sizes", type=Path, help="lines of `name<tab>size`")
        verb.add_argument("--repository", help="owner/name of GitHub")
    return options.parse_args()


def _run(given: argparse.Namespace) -> int:
    match given.verb:
        case "version":
            if given.new:
                version.write(given.new, datetime.now(UTC).date())
                print(f"{given.new} is written. Next: uv lock, commit, and tag v{given.new}.")
                return 0
            if wrong := version.disagreements():
                raise version.ReleaseError("\n".join(wrong))
            if given.tag and given.tag != f"v{__version__}":
                raise version.ReleaseError(f"the tag is {given.tag}, and the version {__version__}.")
            print(__version__)
        case "chart":
            of_version = {
                name.split(":")[0]: digest for name, digest in _digests(given.digests).items() if "-py3" not in name
            }
            print(chart.package(given.out, given.registry, of_version))
        case "push":
            digests = built.images(version.ROOT, given.registry, __version__, built.PARTS)
            print(chart.package(given.out, given.registry, digests))
        case "notes":
            sizes = dict(line.split("\t") for line in given.sizes.read_text().splitlines()) if given.sizes else {}
            text = version.CHANGELOG.read_text()
            print(notes.notes(text, __version__, given.registry, _digests(given.digests), sizes))
        case "krew":
            given.out.mkdir(parents=True, exist_ok=True)
            packed = krew.archive(given.out)
            (given.out / "relayrun.yaml").write_text(krew.manifest(__version__, given.repository, packed))
    return 0


def _digests(folder: Path) -> dict[str, str]:
    return {file.name.replace("@", ":"): file.read_text().strip() for file in sorted(folder.iterdir())}


if __name__ == "__main__":
    sys.exit(main())
