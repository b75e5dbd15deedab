"""What must hold for an environment beyond the shape of its files: states that are reached, variables that exist and are used.

Every check yields problems with their place, so that a person mends a folder in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from influence.config.places import KeyPath, place
from influence.environments.schema import EnvironmentFile, Opening, ScenarioFile
from influence.environments.templates import TemplateError, names_in
from influence.environments.world import BUILT_IN_VARIABLES, InitialState, Scenario
from influence.errors import Problem, not_allowed


def stray_files(folder: Path, environment_file: str) -> Iterator[Problem]:
    """Files whose name makes them invisible to the loader are mistakes, never ignored."""
    allowed = {environment_file, "scenarios", "README.md"}
    for path in sorted(folder.iterdir()):
        if path.name not in allowed and not path.name.startswith("."):
            yield Problem(str(path), "this does not belong to an environment.", not_allowed(path.name, sorted(allowed)))
    for path in sorted((folder / "scenarios").glob("*")) if (folder / "scenarios").is_dir() else []:
        if path.suffix == ".jsonl" and not path.with_suffix(".toml").is_file():
            yield Problem(str(path), "these openings belong to no scenario.", f"Write {path.stem}.toml beside them.")
        elif path.suffix not in (".toml", ".jsonl") and not path.name.startswith("."):
            yield Problem(str(path), "this is neither a scenario (.toml) nor its openings (.jsonl).")


def state_problems(world: EnvironmentFile, source: str, text: str) -> Iterator[Problem]:
    names = list(world.states)
    if world.start not in world.states:
        yield Problem(place(source, text, ("start",)), f"`{world.start}` is not a state.", not_allowed(world.start, names))
        return
    for name, state in world.states.items():
        for label, target in state.transitions.items():
            if target not in world.states:
                where = place(source, text, ("states", name, "transitions", label))
                yield Problem(where, f"the transition leads to `{target}`, which is not a state.", not_allowed(target, names))
    if world.states[world.start].terminal:
        yield Problem(place(source, text, ("start",)), f"`{world.start}` is terminal, so no conversation could begin.")
    reached, waiting = set(), [world.start]
    while waiting:
        name = waiting.pop()
        if name in world.states and name not in reached:
            reached.add(name)
            waiting += world.states[name].transitions.values()
    for name in world.states:
        if name not in reached:
            yield Problem(
                place(source, text, ("states", name)),
                f"no transition leads to the state `{name}`.",
                "Lead one there, or remove it.",
            )


def _world_templates(world: EnvironmentFile) -> Iterator[tuple[KeyPath, str]]:
    """Every template of `environment.toml` with the path of its key."""
    for kind_name, kind in world.kinds.items():
        yield ("kinds", kind_name, "persona"), kind.persona
    yield ("agent", "system"), world.agent.system
    yield ("user", "system"), world.user.system
    yield ("user", "cue"), world.user.cue
    yield ("judges", "frame"), world.judges.frame
    yield ("judges", "user_label"), world.judges.user_label
    yield ("judges", "agent_label"), world.judges.agent_label
    judges = world.judges
    wordings: list[tuple[KeyPath, Any]] = [
        (("judges", "preference"), judges.preference),
        (("judges", "preference", "whole"), judges.preference.whole),
        (("judges", "influence", "plain"), judges.influence.plain),
        (("judges", "influence", "five_point"), judges.influence.five_point),
        (("judges", "influence", "principles"), judges.influence.principles),
    ]
    for name, state in world.states.items():
        wordings += [(("states", name), state), (("states", name, "scale"), state.scale)]
        yield from ((("states", name, "inject", n, "content"), part.content) for n, part in enumerate(state.inject))
    for path, wording in wordings:
        if wording is not None:
            if wording.question:
                yield (*path, "question"), wording.question
            if wording.first_person:
                yield (*path, "first_person"), wording.first_person
    if judges.influence.principles:
        for number, text in enumerate(judges.influence.principles.principles):
            yield ("judges", "influence", "principles", "principles", number), text


def names_used(texts: Iterable[tuple[str, str]]) -> tuple[set[str], list[Problem]]:
    """The variable names that some texts use, and their stray braces."""
    names: set[str] = set()
    problems = []
    for where, text in texts:
        try:
            names |= names_in(text)
        except TemplateError as error:
            problems.append(Problem(where, str(error)))
    return names, problems


def world_names(world: EnvironmentFile) -> set[str]:
    return names_used(("", text) for _, text in _world_templates(world))[0]


def _built_in(world: EnvironmentFile) -> set[str]:
    return {*BUILT_IN_VARIABLES, *({"principles"} if world.judges.influence.principles else ())}


def missing(
    where: str, names: set[str], world: EnvironmentFile, file: ScenarioFile, kind: str, opening: Opening
) -> Iterator[Problem]:
    """Names that an opening's own messages use and nothing defines."""
    known = {*world.variables, *world.kinds[kind].variables, *file.variables, *opening.variables}
    for name in sorted(names - known - _built_in(world)):
        yield Problem(where, f"`{{{name}}}` is not a variable here.", not_allowed(name, sorted(known | _built_in(world))))


def template_problems(
    world: EnvironmentFile, path: Path, text: str, scenarios: dict[str, Scenario], used_by_openings: set[str]
) -> Iterator[Problem]:
    """Variables of the environment's own texts that some conversation would lack, and variables that nothing uses."""
    source = str(path)
    built_in = _built_in(world)
    used = set(used_by_openings)
    for key, template in _world_templates(world):
        names, problems = names_used([(place(source, text, key), template)])
        yield from problems
        used |= names
        for name in sorted(names - built_in):
            kind = key[1] if key[0] == "kinds" else None
            candidates = (s for s in _states(scenarios) if kind in (None, s.kind))
            lacking = next((s.address for s in candidates if name not in _defined(world, scenarios[s.scenario].file, s)), None)
            if lacking:
                known = sorted(set(world.variables) | built_in | {n for s in scenarios.values() for n in s.file.variables})
                remedy = f"It is missing for {lacking}. {not_allowed(name, known)}"
                yield Problem(place(source, text, key), f"`{{{name}}}` is not a variable here.", remedy)
    if world.judges.influence.principles and "principles" not in used:
        where = place(source, text, ("judges", "influence", "principles", "question"))
        yield Problem(where, "the question does not show the list.", "Write {principles} where the list belongs.")
    yield from _unused(source, text, ("variables",), world.variables, used)
    for kind_name, user_kind in world.kinds.items():
        yield from _unused(source, text, ("kinds", kind_name, "variables"), user_kind.variables, used)
    for name, scenario in scenarios.items():
        scenario_path = path.parent / "scenarios" / f"{name}.toml"
        yield from _unused(
            str(scenario_path), scenario_path.read_text(encoding="utf-8"), ("variables",), scenario.file.variables, used
        )


def _unused(source: str, text: str, path: KeyPath, variables: Iterable[str], used: set[str]) -> Iterator[Problem]:
    for name in variables:
        if name in BUILT_IN_VARIABLES or name == "principles":
            yield Problem(place(source, text, (*path, name)), f"`{name}` is built in and cannot be set.")
        elif name not in used:
            near = not_allowed(name, sorted(used - {name}))
            yield Problem(place(source, text, (*path, name)), f"the variable `{name}` is never used.", f"Used are others. {near}")


def _states(scenarios: dict[str, Scenario]) -> Iterator[InitialState]:
    for scenario in scenarios.values():
        yield from scenario.initial_states


def _defined(world: EnvironmentFile, file: ScenarioFile, state: InitialState) -> set[str]:
    return {*world.variables, *world.kinds[state.kind].variables, *file.variables, *state.variables}
