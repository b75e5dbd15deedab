from __future__ import annotations

import pytest
from hypothesis import settings
from small_models import STYLES, Model, make_model

settings.register_profile("unhurried", deadline=None)  # other work on this machine is not a failure
settings.load_profile("unhurried")


@pytest.fixture(params=STYLES)
def model(request: pytest.FixtureRequest) -> Model:
    """A model in every style, one after the other."""
    return make_model(request.param)
