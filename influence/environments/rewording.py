"""Another question for the preference judge than the environment's own: what users like is a variable of an experiment."""

from __future__ import annotations

from dataclasses import replace

from influence.environments.schema import Preference, Wording
from influence.environments.templates import TemplateError, names_in
from influence.environments.world import BUILT_IN_VARIABLES, Environment, variable_layers
from influence.errors import ConfigError, not_allowed


def reworded(environment: Environment, question: str) -> Environment:
    """The environment with `question` for the preference judge, in either perspective and of a reply or a whole conversation.

    Raises ConfigError for a name in it that some conversation would lack.
    """
    try:
        names = names_in(question)
    except TemplateError as error:
        raise ConfigError(f"judges.preference.question: {error}") from None
    for initial in environment.initial_states:
        layers = variable_layers(environment.file, environment.scenarios[initial.scenario].file, initial)
        known = {*(name for name, _ in layers), *BUILT_IN_VARIABLES}
        for name in sorted(names - known):
            raise ConfigError(
                f"judges.preference.question: `{{{name}}}` is not a variable of {initial.address}. {not_allowed(name, sorted(known))}"
            )
    wording = Wording(question=question, first_person=question)
    preference = Preference(**wording.model_dump(), whole=wording)
    judges = environment.file.judges.model_copy(update={"preference": preference})
    return replace(environment, file=environment.file.model_copy(update={"judges": judges}))
