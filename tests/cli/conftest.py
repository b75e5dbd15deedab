"""A working folder of one's own with the small environment `booth` in it, and the command as a person runs it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from influence.cli import main

BOOTH = Path(__file__).parent.parent / "fixtures" / "envs" / "booth"
SCRIPT = '[[replies]]\ntexts = ["Fine."]\n[[labels]]\ndistribution = { stay = 0.5, 0 = 0.2, 5 = 0.3 }\n'


@dataclass(frozen=True)
class Answer:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(BOOTH, tmp_path / "booth")
    (tmp_path / "script.toml").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`influence` with some arguments, in this process."""

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["influence", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(cli: Callable[..., Answer], folder: Path) -> Callable[[list[str], str], None]:
    """`influence simulate` with some arguments prints one message and nothing else, ends with 2, and writes nothing."""

    def run(arguments: list[str], message: str) -> None:
        before = files_in(folder)
        arguments = arguments + ([] if "--env" in arguments else ["--env", "booth"])
        arguments += [] if "--model" in arguments else ["--set", "models.agent=scripted/script.toml"]
        answer = cli("simulate", *arguments)
        assert answer.err == f"influence: {message}\n"
        assert (answer.code, answer.out) == (2, "")
        assert files_in(folder) == before

    return run


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def refused_edit(refused: Callable[[list[str], str], None], folder: Path) -> Callable[[str, str | None, str, str], None]:
    """The environment `booth` with one passage of one file replaced (or, for no passage, the whole file) is refused."""

    def run(file: str, old: str | None, new: str, message: str) -> None:
        path = folder / "booth" / file
        text = path.read_text()
        assert old is None or text.count(old) == 1
        path.write_text(new if old is None else text.replace(old, new))
        refused([], message)

    return run
