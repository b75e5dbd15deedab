"""Whatever an agent asks its tools for, nothing of it is run: the interpreter itself is asked, through its audit hooks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = Path(__file__).parent / "watched_episode.py"


@pytest.mark.parametrize("protocol", ["native", "react"])
def test_an_episode_opens_no_file_no_connection_and_no_process(protocol, tmp_path):
    ended = subprocess.run(
        [sys.executable, str(WATCHED), protocol], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["end"] == "final_answer"
    assert seen["calls"] == 7 * 16
    assert seen["outcomes"] == ["bad_arguments", "exception", "injected", "no_such_tool", "returned"]
    *during, control = seen["events"]
    assert control[0] == "open", "the hook would have seen it"
    assert [event for event in during if not harmless(event)] == []
    assert list(tmp_path.iterdir()) == []


def harmless(event: list[str]) -> bool:
    """Looking at an object: what copying one does."""
    return event[0] in ("builtins.id", "object.__getattr__", "sys._getframe")


IMPORTS = """
import sys
events = []
sys.addaudithook(lambda event, arguments: events.append(event) if event.startswith(("socket", "subprocess", "os.", "pty", "ctypes")) else None)
import asyncio
before, seen = set(sys.modules), len(events)
import importlib, pkgutil
import influence.tools, influence.refinement
for package in (influence.tools, influence.refinement):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
print(*sorted(set(events[seen:])))
"""


def test_importing_the_packages_starts_nothing_and_brings_no_means_to():
    ended = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    modules, events = ended.stdout.split("\n")[:2]
    assert "influence" in modules.split()
    heavy = {"torch", "vllm", "openai", "anthropic", "requests", "transformers", "trl", "datasets", "matplotlib", "wandb"}
    started = {
        "pexpect",
        "ptyprocess",
        "docker",
        "paramiko",
        "jupyter_client",
        "IPython",
        "multiprocess",
        "pty",
        "code",
        "codeop",
    }
    assert set(modules.split()) & (heavy | started) == set()
    assert [
        event
        for event in events.split()
        if event.startswith(("socket.connect", "subprocess", "os.system", "os.exec", "os.fork", "os.posix_spawn", "pty"))
    ] == []


SOURCES = sorted((WATCHED.parents[2] / "influence" / "tools").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_names_a_means_to_run_anything(path):
    """Also what no test happens to reach: these words stand in no module of the emulated tools."""
    import ast

    tree = ast.parse(path.read_text())
    imported = {alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert (
        imported & {"os", "subprocess", "socket", "http", "urllib", "shutil", "ctypes", "importlib", "pickle", "runpy"} == set()
    )
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called & {"eval", "exec", "compile", "open", "__import__", "globals"} == set()
