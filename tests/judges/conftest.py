from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # other work on this machine is not a failure
settings.load_profile("unhurried")
