"""What a run may spend is never overspent, whatever is under way at once, and a larger budget goes on where it stopped."""

from __future__ import annotations

import json

import pytest
from asking_hosted import BOOTH, KEYS, MODELS, QUICK, as_answered, catalogue, manifest, prompt_tokens, records

from tests.loopback import Behaviour, Fault
from tests.loopback.answers import tokens

REPLY = "Platform nine, at ten past nine, as it does every evening of the week."
INPUT, OUTPUT = 200.0, 1000.0  # dollars per million tokens, so that a small run costs some dollars
LABELS = {"stay": 0.5, "7": 0.3, "0": 0.2}


@pytest.fixture
def priced(serve, influence, tmp_path):
    """The command for one run of 20 conversations on a model with a price, and the server it asks."""
    own = catalogue(tmp_path / "own.toml", f'name = "*/test-model"\ninput = {INPUT}\noutput = {OUTPUT}')
    server = serve(Behaviour(logprobs=LABELS), keep_bodies=True)

    def run(*options: str, provider: str = "openai", name: str = "run"):
        settings = {f"hosted.{key}": value for key, value in QUICK.items() if key != "cache"}
        settings |= {"hosted.catalogue": own, "judges.method": "stated" if provider == "anthropic" else "auto"}
        sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        model = ["--env", str(BOOTH), "--model", MODELS[provider], "-n", "20", "--name", name]
        return influence("simulate", *model, *sets, *options)

    run.server = server
    return run


def billed(server) -> float:
    """What the server would charge for the requests that it answered."""
    answered = [body for body, seen in zip(server.bodies, server.record.asked, strict=True) if seen.status == 200]
    return sum(prompt_tokens(body) * INPUT for body in answered) / 1e6


def spent(run) -> list[float]:
    return [attempt["spent"]["cost"] for attempt in manifest(run)["attempts"]]


def keys(run) -> list[str]:
    return [json.loads(line)["key"] for line in (run / "trajectories.jsonl").read_bytes().split(b"\n")[:-1]]


@pytest.mark.parametrize("provider", MODELS)
def test_a_spent_budget_stops_the_run_and_says_how_to_go_on(priced, tmp_path, provider):
    stopped = priced("--max-cost", "3", "--set", "rollout.in_flight=4", provider=provider)
    run = tmp_path / "runs" / "run"
    assert (stopped.code, stopped.out) == (1, "")
    held = manifest(run)
    (cost,) = spent(run)
    assert 2.5 < cost <= 3
    assert f"the budget for hosted models is spent (${cost:.4g} of $3)" in stopped.err
    assert "Traceback" not in stopped.err
    assert (held["status"], held["attempts"][0]["status"]) == ("interrupted", "interrupted")
    assert held["attempts"][0]["error"] in stopped.err
    assert 0 < len(keys(run)) < 20
    assert not (run / "summary.json").exists()


def test_the_message_of_a_spent_budget_has_its_remedy(priced):
    stopped = priced("--max-cost", "1")
    assert "--max-cost" in stopped.err
    assert "same command" in stopped.err


@pytest.mark.parametrize("provider", MODELS)
def test_a_larger_budget_goes_on_and_pays_nothing_twice(priced, tmp_path, provider):
    run, server = tmp_path / "runs" / "run", priced.server
    server.behave(Behaviour(logprobs=LABELS, reply=REPLY if provider == "anthropic" else None))
    assert priced("--max-cost", "2", provider=provider).code == 1
    finished_before = keys(run)
    assert priced("--max-cost", "500", provider=provider).code == 0
    assert sorted(keys(run)) == sorted(set(keys(run)))
    assert len(keys(run)) == 20
    assert set(finished_before) < set(keys(run))
    summary = json.loads((run / "summary.json").read_text())
    assert summary["spent"]["cost"] == pytest.approx(sum(spent(run)))
    assert manifest(run)["status"] == "finished"
    # the same conversations in one go, with an empty cache, ask and cost exactly as much
    asked = len(server.record.asked)
    priced("--set", "hosted.cache=false", provider=provider, name="at-once")
    assert len(server.record.asked) == 2 * asked
    at_once = tmp_path / "runs" / "at-once"
    assert spent(at_once)[0] == pytest.approx(sum(spent(run)))
    assert [as_answered(record) for record in records(run)] == [as_answered(record) for record in records(at_once)]


def test_what_was_spent_is_what_the_server_answered(priced, tmp_path):
    """To the cent: prompts and answers by the server's own count, and nothing that was asked for and not counted."""
    server = priced.server
    server.behave(Behaviour(logprobs=LABELS, reply=REPLY))
    assert priced("--max-cost", "2").code == 1
    completions = tokens(REPLY)  # of every request for words; one for labels writes a single token
    words = sum("top_logprobs" not in body for body in server.bodies)
    written = words * completions + (len(server.bodies) - words)
    assert spent(tmp_path / "runs" / "run") == [pytest.approx(billed(server) + written * OUTPUT / 1e6)]


def test_earlier_attempts_count(priced, tmp_path):
    """The same maximum again buys only what is left of it, also where nothing is cached."""
    run = tmp_path / "runs" / "run"
    for _ in range(3):
        assert priced("--max-cost", "3", "--no-cache").code == 1
    assert len(spent(run)) == 3
    assert spent(run)[0] > 2.5
    assert sum(spent(run)) <= 3
    assert billed(priced.server) <= 3
    assert len(set(keys(run))) == len(keys(run))


def test_a_budget_too_small_for_one_request_sends_none(priced, tmp_path):
    stopped = priced("--max-cost", "0.0001")
    assert stopped.code == 1
    assert "$0 of $0.0001" in stopped.err
    assert priced.server.requests == []
    assert spent(tmp_path / "runs" / "run") == [0.0]


def test_failing_requests_do_not_overspend_either(priced, tmp_path):
    faults = {Fault.TRUNCATED: 0.2, Fault.SERVER_ERROR: 0.1, Fault.RATE_LIMITED: 0.05, Fault.RESET: 0.05}
    priced.server.behave(Behaviour(logprobs=LABELS, faults=faults))
    assert priced("--max-cost", "3", "--set", "rollout.max_failed=1").code == 1
    (cost,) = spent(tmp_path / "runs" / "run")
    assert billed(priced.server) <= cost <= 3


def test_a_limit_of_tokens(priced, tmp_path):
    stopped = priced("--set", "budget.max_tokens=8000")
    assert stopped.code == 1
    (attempt,) = manifest(tmp_path / "runs" / "run")["attempts"]
    assert 7000 < attempt["spent"]["tokens"] <= 8000
    assert f"{int(attempt['spent']['tokens']):,} of 8,000 tokens" in stopped.err
    read = sum(map(prompt_tokens, priced.server.bodies))
    assert read < attempt["spent"]["tokens"]
    assert priced("--set", "budget.max_tokens=10000000").code == 0
    assert len(keys(tmp_path / "runs" / "run")) == 20


def test_tokens_can_be_limited_without_a_price(serve, influence, tmp_path):
    server = serve(Behaviour(logprobs=LABELS))
    model = ["--env", str(BOOTH), "--model", "openai-api/local/nobody-knows", "-n", "20", "--name", "run"]
    stopped = influence("simulate", *model, "--set", "budget.max_tokens=5000")
    assert (stopped.code, "of 5,000 tokens" in stopped.err) == (1, True)
    assert len(server.record.asked) > 5


def test_a_maximum_of_dollars_without_a_price_is_refused_before_anything_is_written(serve, influence, tmp_path):
    server = serve()
    before = sorted(tmp_path.rglob("*"))
    model = ["--env", str(BOOTH), "--model", "openai/nobody-knows"]
    refused = influence("simulate", *model, "--max-cost", "1")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("influence: budget.max_cost: nobody has said what openai/nobody-knows (models.agent) costs. ")
    assert "hosted.catalogue" in refused.err
    assert "budget.max_tokens" in refused.err
    assert sorted(tmp_path.rglob("*")) == before
    assert server.requests == []
    assert KEYS["openai"] not in refused.err
