"""docs/how-to/install.md says which versions of the shared libraries fit; this holds it against what is declared."""

from __future__ import annotations

from packaging.requirements import Requirement

from tests.cli.documents import rows, sections
from tests.distribution.test_metadata import project

DECLARED = {wanted.name: wanted for wanted in map(Requirement, project("cli")["dependencies"])}
PAGE = {
    cells[0]: cells[1]
    for cells in rows(sections("how-to/install.md")["Versions of the libraries that your project shares"])
}


def test_the_page_names_the_lowest_versions_that_are_declared() -> None:
    for names, said in PAGE.items():
        for name in names.replace("`", "").split(", "):
            [lowest] = [each.version for each in DECLARED[name].specifier if each.operator == ">="]
            assert lowest in said, (name, said)


def test_what_has_an_upper_end_on_the_page_has_one_that_is_declared() -> None:
    ended = {name.strip("`") for name, said in PAGE.items() if " to " in said or "below" in said or said == "1.2"}
    upper = {name for name, wanted in DECLARED.items() if any(each.operator == "<" for each in wanted.specifier)}
    assert ended == upper - {"psycopg-pool"}  # psycopg brings it
