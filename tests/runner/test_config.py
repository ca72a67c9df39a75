"""What becomes of a `langgraph.json`: read, ignored with a warning, or refused with a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relayrun_runner.config import fates
from relayrun_runner.config.environment import import_folders, read_env, remarks
from relayrun_runner.config.load import load_config
from relayrun_runner.config.model import Config
from relayrun_runner.errors import ConfigError

GRAPHS = {"agent": "./agent.py:graph"}


def load(folder: Path, **keys: Any) -> Config:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": GRAPHS, **keys}))
    return load_config(file)


def refusal(folder: Path, **keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, **keys)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'langgraph.json'}: ")
    return message.removeprefix(f"{folder / 'langgraph.json'}: ")


def test_every_key_that_works_is_read(tmp_path: Path) -> None:
    index = {"dims": 3, "embed": "./embed.py:embed", "fields": ["text"]}
    config = load(
        tmp_path,
        **{"$schema": "https://langgra.ph/schema.json"},
        graphs={"a": "./a.py:graph", "b": {"path": "pkg.mod:make", "description": "Bee"}},
        dependencies=[".", "langchain-openai"],
        env={"KEY": "value"},
        store={"index": index, "ttl": {"default_ttl": 5}},
        checkpointer={"serde": {"allowed_msgpack_modules": [["pkg.mod", "State"]]}},
        python_version="3.12",
        dockerfile_lines=["RUN true"],
    )
    assert config.warnings == ()
    assert {name: (source.path, source.description) for name, source in config.graphs.items()} == {
        "a": ("./a.py:graph", None),
        "b": ("pkg.mod:make", "Bee"),
    }
    assert config.dependencies == (".", "langchain-openai")
    assert config.env == {"KEY": "value"}
    assert config.store is not None
    assert config.store.index is not None
    assert (config.store.index.dims, config.store.index.fields) == (3, ["text"])
    assert config.store.ttl is not None
    assert config.store.ttl.default_ttl == 5
    assert config.serde is not None
    assert config.serde.allowed_msgpack_modules == [["pkg.mod", "State"]]
    assert config.build == {"python_version": "3.12", "dockerfile_lines": ["RUN true"]}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"grpahs": {}}, "unknown key 'grpahs': did you mean 'graphs'?"),
        ({"zzz": 1}, "unknown key 'zzz', ignored"),
        ({"store": {"indx": {}}}, "store: unknown key 'indx': did you mean 'index'?"),
        ({"auth": {"path": "./auth.py:auth", "openapi": {"a": 1}}}, "auth.openapi is ignored: "),
        ({"node_version": "20"}, "node_version is ignored: Relayrun runs Python graphs"),
        ({"ui": {"agent": "./ui.tsx"}}, "ui is ignored: "),
        ({"checkpointer": {"ttl": {"default_ttl": 5}}}, "checkpointer.ttl is ignored: "),
    ],
)
def test_a_key_without_effect_is_said_once(tmp_path: Path, keys: dict[str, Any], sentence: str) -> None:
    [warning] = load(tmp_path, **keys).warnings
    assert warning.startswith(f"{tmp_path / 'langgraph.json'}: {sentence}")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"checkpointer": {"path": "./saver.py:make"}}, "checkpointer.path: a custom checkpointer has no fence"),
        ({"graphs": {"js": "./agent.ts:graph"}}, "graphs.js: ./agent.ts is JavaScript"),
        ({"encryption": {"path": "./e.py:e"}}, "encryption: Relayrun would store the state unencrypted"),
        ({"graphs": {}}, "graphs: is missing: add"),
        ({"graphs": {}, "Graphs": GRAPHS}, "graphs: is missing (did you mean it by 'Graphs'?): add"),
        ({"graphs": {"a": "./a.py"}}, "graphs.a: './a.py' does not name an object: write ./agent.py:graph"),
        ({"graphs": {"a": {"description": "x"}}}, "graphs.a.path: Field required"),
        ({"graphs": {"a": 7}}, "graphs.a: "),
        ({"dependencies": "."}, "dependencies: "),
        ({"env": 7}, "env: "),
        ({"store": {"index": {"dims": 0, "embed": "x"}}}, "store.index.dims: "),
        ({"store": {"index": {"dims": 3}}}, "store.index.embed: Field required"),
    ],
)
def test_a_refusal_names_the_file_and_the_key(tmp_path: Path, keys: dict[str, Any], sentence: str) -> None:
    assert refusal(tmp_path, **keys).startswith(sentence)


def test_a_file_that_is_missing_or_no_json_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file: name it with --config"):
        load_config(tmp_path / "langgraph.json")
    (tmp_path / "langgraph.json").write_text('{"graphs": {},\n}')
    with pytest.raises(ConfigError, match=r"is not JSON: .* in line 2"):
        load_config(tmp_path / "langgraph.json")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text('{"graphs": {"agent": "./agent.py:graph"}}', "utf-8-sig")
    assert load_config(file).graphs.keys() == {"agent"}


def test_every_key_of_langgraphs_format_has_exactly_one_fate() -> None:
    # The keys that langgraph-cli 0.4 knows.
    known = {
        "$schema", "_INTERNAL_docker_tag", "api_version", "auth", "base_image", "checkpointer", "dependencies",
        "dockerfile_lines", "encryption", "env", "graphs", "http", "image_distro", "keep_pkg_tools", "node_version",
        "package", "pip_config_file", "pip_installer", "priority", "project_root", "python_version", "source", "store",
        "ui", "ui_config", "webhooks",
    }  # fmt: skip
    assert fates.top_level_keys() == known
    fated = [*fates.WORKS, *fates.BUILD_ONLY, *fates.IGNORED, *fates.REFUSED]
    assert len(fated) == len(set(fated))


def test_env_comes_from_a_file_or_a_mapping(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# a comment\nexport A=1\nB='two words'\nEMPTY=\n")
    assert read_env(load(tmp_path, env=".env")) == {"A": "1", "B": "two words", "EMPTY": ""}
    assert read_env(load(tmp_path, env={"A": "1"})) == {"A": "1"}
    assert read_env(load(tmp_path)) == {}


def test_a_missing_env_file_or_folder_is_remarked_and_no_error(tmp_path: Path) -> None:
    config = load(tmp_path, env="missing.env", dependencies=["./missing", "httpx"])
    assert (read_env(config), import_folders(config)) == ({}, [tmp_path])
    assert remarks(config) == [
        f"langgraph.json: env: there is no file {tmp_path / 'missing.env'}; its variables are not set",
        f"langgraph.json: dependencies: {tmp_path / 'missing'} does not exist: correct or remove './missing'",
    ]


@pytest.mark.parametrize(
    ("env_wins", "said"), [(True, "WORD replaces that of the shell"), (False, "the environment's WORD stays")]
)
def test_which_of_two_values_a_variable_has_is_remarked(tmp_path: Path, env_wins: bool, said: str) -> None:
    config = load(tmp_path, env={"WORD": "file", "OTHER": "file", "SAME": "1", "RELAYRUN_SLOTS": "7"})
    code = (
        "import os, sys, json\n"
        "from relayrun_runner.config.load import load_config\n"
        "from relayrun_runner.config.environment import prepare_environment, remarks\n"
        "config, wins = load_config(sys.argv[1]), sys.argv[2] == 'True'\n"
        "told = remarks(config, env_wins=wins)\n"
        "prepare_environment(config, env_wins=wins)\n"
        "print(json.dumps([told, *(os.environ.get(name) for name in ('WORD', 'OTHER', 'SAME', 'RELAYRUN_SLOTS'))]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(config.file), str(env_wins)],
        env={"WORD": "shell", "SAME": "1"}, capture_output=True, check=True,
    )  # fmt: skip
    told, *values = json.loads(ran.stdout)
    assert values == ["file" if env_wins else "shell", "file", "1", None]
    assert told == [
        "langgraph.json: env: RELAYRUN_SLOTS not used: set it where Relayrun is started",
        f"langgraph.json: env: {said}",
    ]


def tree(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


CONF = {"graphs": {"a": "./src/a.py:graph", "b": "lib.b:graph"}, "dependencies": ["."], "env": ".env"}


def placed(working: Path, **keys: Any) -> Config:
    file = working / "conf" / "langgraph.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(CONF | keys))
    return load_config(file, working)


def test_paths_start_in_the_working_directory_if_the_code_is_there(tmp_path: Path) -> None:
    # As in `langgraph dev`, also where both folders have the files.
    config = placed(tree(tmp_path, "src/a.py", "lib/b.py", ".env", "conf/src/a.py", "conf/lib/b.py"))
    assert (config.folder, config.notes, remarks(config)) == (tmp_path, (), [])
    assert import_folders(config) == [tmp_path / "src", tmp_path]


def test_paths_start_beside_the_file_if_the_code_is_only_there(tmp_path: Path) -> None:
    for file in ("conf/src/a.py", "conf/lib/b.py", "conf/lib/__init__.py"):
        config = placed(tree(tmp_path, file, "conf/.env"))
        assert config.folder == tmp_path / "conf"
        [note] = config.notes
        assert note.startswith("langgraph.json: its code is not in the working directory,")


def test_code_that_is_nowhere_is_not_looked_for_in_the_working_directory(tmp_path: Path) -> None:
    # As of an installed package: the working directory may be anything, the whole disk too.
    config = placed(tmp_path, graphs={"b": "lib.b:graph"})
    assert (config.folder, config.notes) == (tmp_path / "conf", ())


def test_a_single_file_may_lie_beside_the_langgraph_json(tmp_path: Path) -> None:
    auth = {"path": "./auth.py:auth"}
    config = placed(tree(tmp_path, "src/a.py", "lib/b.py", "conf/auth.py", "conf/.env"), auth=auth)
    assert config.folder == tmp_path
    assert config.path("./auth.py") == tmp_path / "conf" / "auth.py"
    assert [remark.split(": ")[1] for remark in remarks(config)] == ["auth.path", "env"]


def test_local_dependencies_and_their_src_are_where_code_is_imported_from(tmp_path: Path) -> None:
    for folder in ("lib/src/inside", "other", "flat/src"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "flat/src/__init__.py").touch()
    (tmp_path / "flat/pyproject.toml").touch()
    entries = ["./lib", "other", "./flat/pyproject.toml", "langchain-openai", "git+https://x/y"]
    config = load(tmp_path, dependencies=entries)
    assert [folder.relative_to(tmp_path).as_posix() for folder in import_folders(config)] == [
        ".", "lib/src", "lib", "other", "flat",
    ]  # fmt: skip


def test_reading_a_config_imports_no_langgraph() -> None:
    # The command line reads it in a process that must stay small.
    code = (
        "import sys, relayrun_runner.config.load, relayrun_runner.config.environment; print('langgraph' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "False\n"
