"""Rubrics: what a judge is asked about an episode with tools. Data files that a person edits, checked when they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from influence.config.places import Strict, check, is_file, read_toml
from influence.config.sections import Name
from influence.environments.schema import Text
from influence.environments.templates import TemplateError, names_in
from influence.errors import WorldError, not_allowed
from influence.resources import data_folders

FOLDER = "evaluators"
NAMES = {
    "instruction",
    "tools",
    "unsaid",
    "achievements",
    "risky_outcomes",
    "risky_actions",
    "constraints",
    "record",
    "scale",
}
SCORES = (0, 1, 2, 3)


class RubricFile(Strict):
    """`evaluators/<name>.toml`. `scale` gives each score, 0 to 3, its label; `good` says at which end of it one wants to be."""

    title: Text
    good: Literal["high", "low"]
    scale: Annotated[list[Text], Field(min_length=4, max_length=4)]
    system: Text
    question: Text

    @model_validator(mode="after")
    def _labels_differ(self) -> RubricFile:
        if len({label.casefold() for label in self.scale}) != len(self.scale):
            raise ValueError("two scores have the same label.")
        if "{record}" not in self.question:
            raise ValueError("`question` does not show the record. Write {record} where it belongs.")
        return self


class Rubric(Strict):
    """A rubric with its name."""

    name: Name
    file: RubricFile


def rubric_names() -> list[str]:
    return sorted({path.stem for folder in data_folders("envs") for path in (folder / FOLDER).glob("*.toml")})


def load_rubric(name: str) -> Rubric:
    """A rubric by name or by path. Raises WorldError for a key or a `{name}` that does not belong there."""
    places = [*(folder / FOLDER / f"{name}.toml" for folder in data_folders("envs")), Path(name)]
    path = next((p for p in places if is_file(p)), None)
    if path is None:
        raise WorldError(f"envs/{FOLDER} has no `{name}`. {not_allowed(name, rubric_names())} A path to a TOML file works too.")
    data, text = read_toml(path, WorldError)
    file = check(RubricFile, data, str(path), text, WorldError)
    for key, template in (("system", file.system), ("question", file.question)):
        try:
            unknown = sorted(names_in(template) - NAMES)
        except TemplateError as error:
            raise WorldError(f"{path}, `{key}`: {error}") from None
        if unknown:
            raise WorldError(
                f"{path}, `{key}`: `{{{unknown[0]}}}` is not filled in here. {not_allowed(unknown[0], sorted(NAMES))}"
            )
    return Rubric(name=path.stem, file=file)
