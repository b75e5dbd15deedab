"""Another question for the preference judge, named in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from influence.environments.loading import load_environment
from influence.environments.rewording import reworded
from influence.environments.world import situation
from influence.errors import ConfigError

BOOTH = Path(__file__).parent.parent / "fixtures" / "envs" / "booth"


@pytest.fixture(scope="module")
def booth():
    return load_environment(str(BOOTH))


def test_the_question_is_put_in_every_perspective_and_scope_and_leaves_the_rest_alone(booth):
    changed = reworded(booth, "How clear was it to {traveller} ({kind}), from 1 to 10?")
    initial = changed.initial_states[0]
    here, before = situation(changed, initial, seed=3), situation(booth, initial, seed=3)
    asked = f"How clear was it to {here.variables['traveller']} ({initial.kind}), from 1 to 10?"
    preference = here.world.judges.preference
    assert preference.whole is not None
    assert [here.question(w, first) for w in (preference, preference.whole) for first in (False, True)] == [asked] * 4
    assert here.world.judges.influence == before.world.judges.influence
    assert (here.judge_frame, here.opening) == (before.judge_frame, before.opening)
    assert before.question(booth.file.judges.preference, False).startswith("How would")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("How did {traveler} like it?", r"`\{traveler\}` is not a variable of booth/.*Did you mean `?traveller"),
        ("How {did you like it?", r"judges.preference.question: a stray `\{`"),
        ("Do the rules hold: {principles}?", r"`\{principles\}` is not a variable"),
    ],
)
def test_a_question_with_names_that_nothing_defines_is_refused(booth, question, message):
    with pytest.raises(ConfigError, match=message):
        reworded(booth, question)
