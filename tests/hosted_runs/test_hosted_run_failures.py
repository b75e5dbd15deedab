"""Hundreds of conversations on a provider that fails in every way at once: all of them end, and no failure goes unrecorded."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asking_hosted import COUNTED_AS, KINDS, MODELS, manifest, point, records, scores, simulated

from influence.rollouts.records import TrajectoryRecord
from tests.loopback import Behaviour, Fault, Server, serving

FAILING = {  # a fifth of all requests
    Fault.RATE_LIMITED: 0.02,
    Fault.RATE_LIMITED_WAIT: 0.02,
    Fault.SERVER_ERROR: 0.03,
    Fault.BAD_GATEWAY: 0.02,
    Fault.OVERLOADED: 0.02,
    Fault.RESET: 0.02,
    Fault.TRUNCATED: 0.01,
    Fault.EMPTY_CHOICES: 0.01,
    Fault.WRONG_SHAPE: 0.01,
    Fault.LENGTH: 0.01,
    Fault.CONTENT_FILTER: 0.01,
    Fault.NO_LABEL: 0.01,
    Fault.CONTEXT_TOO_LONG: 0.01,
}
NAMES = KINDS | {Fault.CONTEXT_TOO_LONG: "context_too_long"}
GIVEN_UP = re.compile(r"test-model: (rate limited|overloaded|server error|connection|malformed): ")
LABELS = {"stay": 0.4, "leave": 0.1, "7": 0.2, "4": 0.1, "0": 0.15, "Hm": 0.05}


@dataclass(frozen=True)
class Stormy:
    """A run on such a provider."""

    provider: str
    conversations: int
    server: Server
    outcome: Any
    records: list[TrajectoryRecord]
    manifest: dict[str, Any]

    @property
    def counts(self) -> dict[str, Any]:
        return self.outcome.summary["hosted"][COUNTED_AS[self.provider]]

    @property
    def reasons(self) -> list[str]:
        """Why scores are missing or defaults were taken."""
        return [score.reason for record in self.records for score in scores(record) if score.reason]


@pytest.fixture(scope="module", params=[("openai", 300), ("local", 150), ("anthropic", 100)], ids=lambda param: param[0])
def stormy(request, tmp_path_factory):
    provider, conversations = request.param
    out: Path = tmp_path_factory.mktemp("stormy")
    with pytest.MonkeyPatch.context() as monkeypatch, serving(Behaviour(faults=FAILING, logprobs=LABELS, seed=5)) as server:
        point(monkeypatch, server.url)
        judged = ["judges.method='stated'"] if provider == "anthropic" else []
        sets = [
            f"rollout.conversations={conversations}",
            "rollout.max_failed=1",
            "hosted.timeout=30",
            "hosted.attempts=2",
            *judged,
        ]
        outcome = simulated(out, MODELS[provider], *sets)
        yield Stormy(provider, conversations, server, outcome, records(out / "run"), manifest(out / "run"))


def test_every_conversation_ends_and_none_twice(stormy):
    keys = [record.key for record in stormy.records]
    assert len(keys) == len(set(keys)) == stormy.conversations
    assert sum(stormy.outcome.summary["whole"]["stop_reasons"].values()) == stormy.conversations
    assert stormy.manifest["status"] == "finished"
    ends = stormy.outcome.summary["whole"]["stop_reasons"]
    assert ends["turn_limit"] > ends.get("agent_failed", 0) + ends.get("simulator_failed", 0) > 0
    assert stormy.outcome.summary["whole"]["failed"] == sum(record.error is not None for record in stormy.records)


def test_client_and_server_count_the_same_requests(stormy):
    asked = stormy.server.record.asked
    assert stormy.counts["requests"] == len(asked) > 5 * stormy.conversations
    assert stormy.counts["answers"] == stormy.counts["requests"] - sum(stormy.counts["faults"].values())


def test_client_and_server_count_the_same_faults_of_each_kind(stormy):
    there = Counter(NAMES[seen.fault] for seen in stormy.server.record.asked if seen.fault in NAMES)
    assert stormy.counts["faults"] == there
    assert set(there) == {"rate_limited", "overloaded", "server_error", "connection", "malformed", "context_too_long"}
    met = stormy.server.by_fault()
    assert all(met[fault] for fault in FAILING)


def test_every_request_that_was_given_up_shows_in_an_error_or_in_a_missing_scores_reason(stormy):
    told = [record.error for record in stormy.records if record.error] + stormy.reasons
    given_up = Counter(found[1].replace(" ", "_") for found in map(GIVEN_UP.search, told) if found)
    no_room = sum(record.stop_reason == "token_limit" for record in stormy.records)
    given_up["context_too_long"] = no_room + sum("no room to ask: " in reason for reason in stormy.reasons)
    assert stormy.counts["given_up"] == {kind: count for kind, count in given_up.items() if count}
    assert given_up.total() > given_up["context_too_long"] > 0


def test_no_missing_score_is_without_a_reason_and_none_is_a_zero(stormy):
    for record in stormy.records:
        for score in scores(record):
            assert (score.distribution is None) == (score.reason is not None)
            assert score.value is None or score.reason is None
    missing = stormy.outcome.summary["whole"]["missing"]
    lacking = Counter(
        name
        for record in stormy.records
        for turn in record.turns
        for name in ("preference", "influence")
        if getattr(turn, name).value is None
    )
    assert {name: missing[name] for name in lacking} == lacking


def test_the_manifest_says_what_the_summary_says(stormy):
    (attempt,) = stormy.manifest["attempts"]
    assert attempt["hosted"] == stormy.outcome.summary["hosted"]
    assert attempt["spent"] == stormy.outcome.summary["spent"]
    calls = {role: used["calls"] for role, used in attempt["usage"].items()}
    assert calls == {role: used["calls"] for role, used in stormy.outcome.summary["usage"].items()}
    refused = stormy.server.by_fault()[Fault.CONTENT_FILTER] if stormy.provider != "anthropic" else 0
    # an answer that withheld log-probabilities is answered, and no usage came of it
    assert 0 <= stormy.counts["answers"] - sum(calls.values()) <= refused


def test_a_quiet_provider_makes_the_same_conversations_whatever_happened_before_the_answer(tmp_path, monkeypatch):
    """Faults that pass leave no trace in the records: retried requests are the same requests."""
    quiet = Behaviour(logprobs=LABELS)
    loud = Behaviour(faults={fault: 0.02 for fault in KINDS if fault not in (Fault.STALLED, Fault.TRICKLE)}, logprobs=LABELS)
    lines = []
    for name, behaviour in (("quiet", quiet), ("loud", loud)):
        with serving(behaviour) as server:
            point(monkeypatch, server.url)
            simulated(tmp_path, MODELS["local"], "rollout.conversations=60", "hosted.attempts=20", name=name)
            lines.append([record.model_dump(exclude={"started", "seconds"}) for record in records(tmp_path / name)])
    assert lines[0] == lines[1]
    assert server.by_fault().total() - server.by_fault()[None] > 60
