from __future__ import annotations

import pytest
from small_models import STYLES, Model, make_model


@pytest.fixture(params=STYLES)
def model(request: pytest.FixtureRequest) -> Model:
    """A model in every style, one after the other."""
    return make_model(request.param)
