"""What must hold for an environment beyond the shape of its files: states that are reached, variables that exist and are used.

Every check yields problems with their place, so that a person mends a folder in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from influence.config.lines import KeyPath
from influence.config.places import place
from influence.environments.schema import EnvironmentFile, Opening, ScenarioFile
from influence.environments.templates import TemplateError, names_in
from influence.environments.world import BUILT_IN_VARIABLES, DERIVED_VARIABLES, InitialState, Scenario
from influence.errors import Problem, nearest, not_allowed

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def visible(paths: Iterable[Path]) -> list[Path]:
    """Paths in their order, without those that systems and editors hide."""
    return sorted(path for path in paths if not path.name.startswith("."))


def stray_files(folder: Path, environment_file: str) -> Iterator[Problem]:
    """Files whose name makes them invisible to the loader are mistakes, never ignored."""
    allowed = {environment_file, "scenarios", "README.md"}
    for path in visible(folder.iterdir()):
        if path.name not in allowed:
            yield Problem(str(path), "this does not belong to an environment.", not_allowed(path.name, sorted(allowed)))
    for path in visible((folder / "scenarios").glob("*")):
        if path.suffix not in (".toml", ".jsonl"):
            yield Problem(str(path), "this is neither a scenario (.toml) nor its openings (.jsonl).")
        elif not NAME.fullmatch(path.stem):
            yield Problem(str(path), f"{path.stem!r} is not a name here. Allowed: lower-case letters, digits, `-` and `_`.")
        elif path.suffix == ".jsonl" and not path.with_suffix(".toml").is_file():
            yield Problem(str(path), "these openings belong to no scenario.", f"Write {path.stem}.toml beside them.")


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


def _built_in(world: EnvironmentFile, key: KeyPath = ()) -> set[str]:
    """What is defined in the text under `key` besides the variables: a text cannot hold what is made from it."""
    if key[:1] == ("kinds",):
        return {"kind"}
    a_principle = bool(key) and isinstance(key[-1], int)
    listed = world.judges.influence.principles is not None and bool(key) and not a_principle
    return {*BUILT_IN_VARIABLES, *(("principles",) if listed else ())}


def missing(
    where: str, names: set[str], world: EnvironmentFile, file: ScenarioFile, kind: str, opening: Opening
) -> Iterator[Problem]:
    """Names that an opening's own messages use and nothing defines."""
    known = {*world.variables, *world.kinds[kind].variables, *file.variables, *opening.variables, *_built_in(world)}
    for name in sorted(names - known):
        yield Problem(where, f"`{{{name}}}` is not a variable here.", not_allowed(name, sorted(known)))


def template_problems(
    world: EnvironmentFile, path: Path, text: str, scenarios: dict[str, Scenario], used_by_openings: set[str]
) -> Iterator[Problem]:
    """Variables of the environment's own texts that some conversation would lack, and variables that nothing uses."""
    source = str(path)
    used = set(used_by_openings)
    defined = list(_defined(world, scenarios))
    for key, template in _world_templates(world):
        names, problems = names_used([(place(source, text, key), template)])
        yield from problems
        used |= names
        built_in = _built_in(world, key)
        for name in sorted(names - built_in):
            kind = key[1] if key[0] == "kinds" else None
            lacking = next(((s, known) for s, known in defined if kind in (None, s.kind) and name not in known), None)
            if lacking:
                remedy = f"It is missing for {lacking[0].address}. {not_allowed(name, sorted(lacking[1] | built_in))}"
                yield Problem(place(source, text, key), f"`{{{name}}}` is not a variable here.", remedy)
    yield from _principles_problems(world, source, text)
    yield from unused(source, text, ("variables",), world.variables, used)
    for kind_name, user_kind in world.kinds.items():
        yield from unused(source, text, ("kinds", kind_name, "variables"), user_kind.variables, used)
    for name, scenario in scenarios.items():
        scenario_path = path.parent / "scenarios" / f"{name}.toml"
        scenario_text = scenario_path.read_text(encoding="utf-8")
        yield from unused(str(scenario_path), scenario_text, ("variables",), scenario.file.variables, used)


def _principles_problems(world: EnvironmentFile, source: str, text: str) -> Iterator[Problem]:
    """Each wording of the question by principles shows them."""
    wording = world.judges.influence.principles
    for key in ("question", "first_person") if wording else ():
        template = getattr(wording, key)
        if template is not None and "{principles}" not in template:
            where = place(source, text, ("judges", "influence", "principles", key))
            yield Problem(where, "the question does not show the list.", "Write {principles} where the list belongs.")


def unused(source: str, text: str | None, path: KeyPath, variables: Iterable[str], used: set[str]) -> Iterator[Problem]:
    """Variables that no text uses, or that stand for something else already."""
    for name in variables:
        where = place(source, text, (*path, name))
        if name in DERIVED_VARIABLES:
            yield Problem(where, f"`{name}` is built in and cannot be set.")
        elif name not in used:
            remedy = f"{nearest(name, sorted(used.difference(DERIVED_VARIABLES)))}Use it in a text as {{{name}}}, or remove it."
            yield Problem(where, f"the variable `{name}` is never used.", remedy)


def _defined(world: EnvironmentFile, scenarios: dict[str, Scenario]) -> Iterator[tuple[InitialState, set[str]]]:
    """The variables that an initial state has: for one state of each scenario and kind with the same variables of its own."""
    seen = set()
    for scenario in scenarios.values():
        for state in scenario.initial_states:
            alike = (state.scenario, state.kind, frozenset(state.variables))
            if alike not in seen:
                seen.add(alike)
                yield state, {*world.variables, *world.kinds[state.kind].variables, *scenario.file.variables, *state.variables}
