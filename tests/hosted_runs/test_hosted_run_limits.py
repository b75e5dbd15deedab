"""A provider's limits hold over all roles and models of a run, and for what is tried again too."""

from __future__ import annotations

from math import ceil

import pytest
from asking_hosted import simulated

from tests.loopback import Behaviour, Fault

LABELS = {"stay": 0.5, "7": 0.3, "0": 0.2}
BUNCHED = 0.2  # seconds by which arrivals at the server may lie closer together than departures


def allowed_in(window: float, per_minute: int) -> int:
    """The most requests in any so many seconds: a burst of two seconds' worth, then one each interval (ITU-T I.371)."""
    burst = per_minute * 2 // 60
    interval = 60 * 1.02 / (per_minute - burst + 1)
    return burst - 1 + ceil((window + BUNCHED) / interval)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "openai-api/local"])
def test_no_window_ever_holds_more_requests_than_are_allowed(serve, tmp_path, provider):
    """Two models of one provider, four roles, a fifth of the requests tried again: one line."""
    server = serve(Behaviour(faults={Fault.SERVER_ERROR: 0.2}, logprobs=LABELS))
    models = [f"models.agent='{provider}/one'", f"models.judge='{provider}/two'", "judges.method='stated'"]
    sets = ["rollout.conversations=24", "rollout.turns=1", "hosted.requests_per_minute=2400", "hosted.attempts=9"]
    simulated(tmp_path, f"{provider}/one", *models, *sets)
    assert len(server.record.asked) >= 24 * 4
    arrivals = [seen.arrived for seen in server.record.asked]
    for window in (0.1, 0.25, 0.5, 1.0, 1.5):
        assert server.most_in_any_minute(window) <= allowed_in(window, 2400)
    assert server.most_in_any_minute(0.5) >= 60  # the burst is used
    assert arrivals[-1] - arrivals[0] >= (len(arrivals) - 80) * 60 / 2400 * 0.9


def test_a_providers_own_limit_stands_above_the_one_for_all(serve, tmp_path):
    server = serve(Behaviour(latency=0.003))
    models = ["models.user='anthropic/x'", "models.judge='anthropic/x'", "judges.method='stated'"]
    sets = ["rollout.conversations=30", "rollout.turns=2", "hosted.concurrency=4", "hosted.providers.anthropic.concurrency=3"]
    simulated(tmp_path, "openai/x", *models, *sets)
    by_path = {
        path: [seen for seen in server.record.asked if seen.path == path] for path in ("/v1/messages", "/v1/chat/completions")
    }
    assert {path: most_at_once(seen) for path, seen in by_path.items()} == {"/v1/messages": 3, "/v1/chat/completions": 4}


def most_at_once(requests) -> int:
    changes = sorted([(seen.arrived, 1) for seen in requests] + [(seen.until, -1) for seen in requests])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def test_tokens_a_minute_are_paced_by_what_was_used(serve, tmp_path):
    """The most that each request may use is set aside, and what it did not use is given back to the line."""
    server = serve(Behaviour(reply="x" * 40))
    sets = ["rollout.conversations=40", "rollout.turns=1", "judges.method='stated'", "hosted.tokens_per_minute=600000"]
    outcome = simulated(tmp_path, "openai-api/local/x", *sets)
    used = sum(role["prompt_tokens"] + role["completion_tokens"] for role in outcome.summary["usage"].values())
    arrivals = [seen.arrived for seen in server.record.asked]
    assert used == outcome.summary["spent"]["tokens"]
    # ten thousand tokens a second after a burst of two seconds' worth: less than that in all, so nobody waits for long
    assert used < 20_000
    assert arrivals[-1] - arrivals[0] < 5
