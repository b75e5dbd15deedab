"""From a folder in `envs/` to an `Environment`: read, check everything, and only then hand it out.

A problem is reported with its file, line and key, all problems of a folder at once, before any model is started.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from influence.chat import message_from_dict
from influence.config.places import is_file, is_folder, listed, place, problems_of, read_toml
from influence.environments import checks
from influence.environments.schema import EnvironmentFile, Opening, ScenarioFile, Split
from influence.environments.world import Environment, InitialState, Scenario
from influence.errors import Problem, WorldError, not_allowed
from influence.resources import data_folders
from influence.seeds import fraction

ENVIRONMENT_FILE = "environment.toml"


def environment_names() -> list[str]:
    """The environments that ship with the program or stand in the working folder's `envs/`."""
    return sorted({path.parent.name for folder in data_folders("envs") for path in folder.glob(f"*/{ENVIRONMENT_FILE}")})


def find_environment(name: str) -> Path:
    """The folder of an environment, by name or by path. Raises WorldError with the nearest name."""
    for folder in data_folders("envs"):
        if is_file(folder / name / ENVIRONMENT_FILE):
            return folder / name
    path = Path(name)
    if is_file(path / ENVIRONMENT_FILE):
        return path
    if is_folder(path):
        raise WorldError(f"{path}: the folder has no {ENVIRONMENT_FILE}, so it is not an environment.")
    raise WorldError(f"there is no environment `{name}`. {not_allowed(name, environment_names())} A path to a folder works too.")


def load_environment(name: str) -> Environment:
    """Read and check one environment. Raises WorldError that lists every problem found."""
    folder = find_environment(name)
    world, world_text = _read(folder / ENVIRONMENT_FILE, EnvironmentFile)
    problems = list(checks.state_problems(world, str(folder / ENVIRONMENT_FILE), world_text))
    world_names = checks.world_names(world)
    scenarios: dict[str, Scenario] = {}
    used: set[str] = set()
    for path in checks.visible((folder / "scenarios").glob("*.toml")):
        scenario, found, names = _load_scenario(folder.resolve().name, world, world_names, path)
        scenarios[path.stem] = scenario
        problems += found
        used |= names
    if not scenarios:
        problems.append(Problem(str(folder / "scenarios"), "there is no scenario here.", "Write at least one `<name>.toml`."))
    problems += checks.stray_files(folder, ENVIRONMENT_FILE)
    problems += checks.template_problems(world, folder / ENVIRONMENT_FILE, world_text, scenarios, used)
    if problems:
        raise WorldError(listed(list(dict.fromkeys(problems))))
    return Environment(folder.resolve().name, folder, world, scenarios)


def _read(path: Path, model: Any) -> tuple[Any, str]:
    data, text = read_toml(path, WorldError)
    try:
        return model.model_validate(data), text
    except ValidationError as error:
        raise WorldError(listed(problems_of(model, error, str(path), text))) from None


def _load_scenario(
    environment: str, world: EnvironmentFile, world_names: set[str], path: Path
) -> tuple[Scenario, list[Problem], set[str]]:
    """One scenario with its openings, what is wrong with it, and the variable names that its openings use."""
    file, text = _read(path, ScenarioFile)
    problems: list[Problem] = []
    used: set[str] = set()
    for number, kind in enumerate(file.kinds):
        where = place(str(path), text, ("kinds", number))
        if kind not in world.kinds:
            problems.append(Problem(where, f"`{kind}` is not a kind of user here.", not_allowed(kind, list(world.kinds))))
        if kind in file.kinds[:number]:
            problems.append(Problem(where, f"`{kind}` stands here already."))
    kinds = tuple(dict.fromkeys(kind for kind in (file.kinds or world.kinds) if kind in world.kinds))
    states: list[InitialState] = []
    seen: dict[str, str] = {}
    for where, opening in _openings(path, file, text):
        if opening.id in seen:
            problems.append(
                Problem(where, f"the id `{opening.id}` is taken already, at {seen[opening.id]}.", "Ids are unique in a scenario.")
            )
            continue
        seen[opening.id] = where
        problems += [
            Problem(where, f"`{kind}` is not a kind of user of this scenario.", not_allowed(kind, kinds))
            for kind in opening.kinds
            if kind not in kinds
        ]
        names, found = checks.names_used([(where, m.content) for m in opening.messages])
        problems += found
        used |= names
        split = opening.split or hashed_split(environment, path.stem, opening.id, world.heldout_fraction)
        messages = tuple(message_from_dict(m.model_dump(exclude_defaults=True) | {"role": m.role}) for m in opening.messages)
        for kind in kinds:
            if not opening.kinds or kind in opening.kinds:
                states.append(InitialState(environment, path.stem, kind, opening.id, split, messages, opening.variables))
                problems += checks.missing(where, names, world, file, kind, opening)
        problems += checks.unused(where, None, ("variables",), opening.variables, names | world_names)
    if not states:
        problems.append(
            Problem(
                str(path),
                "the scenario has no openings.",
                "Write [[openings]] here, or a file beside it: " + path.stem + ".jsonl.",
            )
        )
    return Scenario(path.stem, file, kinds, tuple(states)), problems, used


def hashed_split(environment: str, scenario: str, opening: str, heldout: float) -> Split:
    """The split of an opening that states none: fixed by its address, so that adding openings moves no other."""
    return "heldout" if fraction("split", environment, scenario, opening) < heldout else "train"


def _openings(path: Path, file: ScenarioFile, text: str) -> Iterator[tuple[str, Opening]]:
    for number, opening in enumerate(file.openings):
        yield place(str(path), text, ("openings", number)), opening
    beside = path.with_suffix(".jsonl")
    if not beside.is_file():
        return
    problems: list[Problem] = []
    for number, line in enumerate(beside.read_bytes().splitlines(), start=1):
        where = f"{beside}, line {number}"
        try:
            if line.strip():
                yield where, Opening.model_validate(json.loads(line.decode(), object_pairs_hook=_each_key_once))
        except ValidationError as error:
            problems += problems_of(Opening, error, where, None)
        except RecursionError:
            problems.append(Problem(where, "this line is nested too deeply."))
        except ValueError as error:  # neither UTF-8 nor JSON, or a key stands twice
            problems.append(Problem(where, f"this line is not JSON: {error}."))
    if problems:
        raise WorldError(listed(problems))


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key `{next(key for key in keys if keys.count(key) > 1)}` stands twice")
    return table
