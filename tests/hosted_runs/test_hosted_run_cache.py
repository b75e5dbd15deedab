"""Answers that were paid for once: the same run again asks nobody and says the same, and nothing else is taken for the same."""

from __future__ import annotations

import json

import pytest
from asking_hosted import BOOTH, MODELS, PROVIDERS, as_answered, catalogue, records, simulated

from tests.loopback import Behaviour, Fault
from tests.loopback.answers import text_of

LABELS = {"stay": 0.5, "7": 0.3, "0": 0.2}
ROLES = ["agent", "influence", "preference", "transition", "user"]
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


def calls(outcome) -> int:
    return sum(used["calls"] for used in outcome.summary["usage"].values())


@pytest.fixture
def run(serve, tmp_path):
    """One run of 7 conversations with the cache on; a server that answers by the request's text."""
    server = serve(Behaviour(logprobs=LABELS), keep_bodies=True)
    own = catalogue(tmp_path / "own.toml", 'name = "*/test-model"\ninput = 1.0\noutput = 2.0')

    def simulate(provider: str, name: str, *sets: str):
        judged = ["judges.method='samples'", "judges.samples=2"] if provider == "anthropic" else []
        fixed = [f"hosted.catalogue='{own}'", "rollout.conversations=7", "hosted.cache=true", *judged]
        return simulated(tmp_path, MODELS[provider], *fixed, *sets, name=name)

    simulate.server = server
    return simulate


@each_provider
def test_the_same_run_again_asks_nobody_and_says_the_same(run, tmp_path, provider):
    first = run(provider, "first")
    asked = len(run.server.record.asked)
    second = run(provider, "second")
    assert len(run.server.record.asked) == asked == calls(first) == calls(second)
    once, again = records(tmp_path / "first"), records(tmp_path / "second")
    assert [as_answered(record) for record in again] == [as_answered(record) for record in once]
    assert all(turn.from_cache == [] for record in once for turn in record.turns)
    for record in again:
        *others, last = record.turns
        assert all(turn.from_cache == ROLES for turn in others)
        assert last.from_cache == ROLES[:-1]  # nobody asked the user after the last reply
        assert all((used.cost, used.from_cache, used.unpriced) == (0, used.calls, 0) for used in record.usage.values())
    assert all(used.cost > 0 and used.from_cache == 0 for record in once for used in record.usage.values())
    assert first.summary["whole"] == second.summary["whole"]
    assert first.summary["spent"]["cost"] > 0
    assert second.summary["spent"] == {"cost": 0, "tokens": 0}
    (counts,) = second.summary["hosted"].values()
    assert counts == {"requests": 0, "answers": 0, "faults": {}, "given_up": {}}


@each_provider
@pytest.mark.parametrize("tells", [True, False], ids=["logprobs", "no-logprobs"])
def test_a_run_that_is_all_in_the_cache_needs_no_server(run, tmp_path, monkeypatch, provider, tells):
    """Also where judges had to fall back to samples, which the first run found out by asking."""
    run.server.behave(Behaviour(logprobs=LABELS if tells else None))
    first = run(provider, "first")
    run.server.behave(Behaviour(faults={Fault.NO_CREDIT: 1.0}, key="sk-of-somebody-else"))
    seen = len(run.server.requests)
    second = run(provider, "second")
    assert len(run.server.requests) == seen
    assert second.summary["whole"] == first.summary["whole"]
    once, again = records(tmp_path / "first"), records(tmp_path / "second")
    assert [as_answered(record) for record in again] == [as_answered(record) for record in once]


@each_provider
def test_another_seed_asks_again(run, tmp_path, provider):
    run(provider, "first")
    asked = len(run.server.record.asked)
    other = run(provider, "second", "seed=1")
    assert len(run.server.record.asked) - asked == calls(other)
    assert all(turn.from_cache == [] for record in records(tmp_path / "second") for turn in record.turns)


@pytest.mark.parametrize(
    "change",
    [
        "sampling.agent.temperature=0.5",
        "sampling.agent.max_tokens=161",
        "models.agent='openai/another'",
        "judges.method='stated'",
    ],
)
def test_what_determines_an_answer_is_part_of_its_key(run, change):
    run("openai", "first")
    asked = len(run.server.record.asked)
    run("openai", "second", change, "rollout.turns=1")
    assert len(run.server.record.asked) > asked


def test_what_determines_no_answer_is_not(run):
    run("openai", "first")
    asked = len(run.server.record.asked)
    for number, change in enumerate(
        ["hosted.concurrency=2", "rollout.in_flight=1", "hosted.timeout=5", "tracking.log_calls=true"]
    ):
        run("openai", f"again-{number}", change)
    assert len(run.server.record.asked) == asked


def test_another_server_is_another_answer(run, serve):
    run("local", "first")
    other = serve(Behaviour(logprobs=LABELS, reply="Elsewhere."))
    run("local", "second")
    assert len(other.record.asked) == 7 * 14


@each_provider
def test_two_samples_of_a_state_are_two_answers(run, tmp_path, provider):
    run(provider, "first", "rollout.samples=2", "rollout.turns=1", "rollout.conversations=14")
    prompts = [text_of(body["messages"][-1]["content"]) for body in run.server.bodies if "tools" in body]
    assert len(prompts) == 14  # every agent's reply was asked for
    replies: dict[str, list[str]] = {}
    for record in records(tmp_path / "first"):
        replies.setdefault(record.key.rpartition("/")[0], []).append(record.messages[record.turns[0].reply]["content"])
    assert [len(said) for said in replies.values()] == [2] * 7
    if provider != "anthropic":  # whose requests have no seed for the server to answer by
        assert all(one != other for one, other in replies.values())


@each_provider
def test_failures_are_not_kept(run, tmp_path, provider):
    """A second run asks again for what failed, and for nothing else."""
    faults = {Fault.SERVER_ERROR: 0.1, Fault.TRUNCATED: 0.1, Fault.CONTEXT_TOO_LONG: 0.05}
    run.server.behave(Behaviour(logprobs=LABELS, faults=faults, seed=2))
    first = run(provider, "first", "hosted.attempts=1", "rollout.max_failed=1")
    assert any(record.failed for record in records(tmp_path / "first"))
    run.server.behave(Behaviour(logprobs=LABELS))
    asked, answered = len(run.server.record.asked), sum(seen.status == 200 for seen in run.server.record.asked)
    second = run(provider, "second", "hosted.attempts=1")
    kept = sum(used["from_cache"] for used in second.summary["usage"].values())
    (counts,) = first.summary["hosted"].values()
    assert kept == counts["answers"] < answered
    assert len(run.server.record.asked) - asked == calls(second) - kept > 0
    assert not any(record.failed for record in records(tmp_path / "second"))


def test_an_attempt_that_goes_on_takes_its_own_answers_from_the_cache(run, tmp_path):
    """Conversations that were cut off are asked for again, and their answers are there."""
    run.server.behave(Behaviour(first=[None] * 50, faults={Fault.NO_CREDIT: 1.0}, logprobs=LABELS))
    with pytest.raises(Exception, match="needs credit"):
        run("openai", "run", "hosted.concurrency=8")
    stopped_at = sum(seen.status == 200 for seen in run.server.record.asked)
    assert stopped_at == 50
    run.server.behave(Behaviour(logprobs=LABELS))
    outcome = run("openai", "run", "hosted.concurrency=8")
    answered = [seen for seen in run.server.record.asked if seen.status == 200]
    assert len(answered) == 7 * 14
    run("openai", "at-once", "hosted.cache=false")
    assert [as_answered(r) for r in records(tmp_path / "run")] == [as_answered(r) for r in records(tmp_path / "at-once")]
    assert outcome.summary["whole"]["conversations"] == 7


# the commands


@pytest.fixture
def command(serve, influence):
    server = serve(Behaviour(logprobs=LABELS))

    def simulate(name: str, *options: str):
        models = [part for role in ("agent", "user", "judge") for part in ("--set", f"models.{role}={MODELS['openai']}")]
        answer = influence("simulate", "--env", str(BOOTH), *models, "-n", "5", "--turns", "1", "--name", name, *options)
        assert answer.code == 0
        return len(server.record.asked)

    return simulate


def held(influence) -> dict[str, int]:
    answer = influence("cache", "--json")
    assert (answer.code, answer.err) == (0, "")
    return {model["model"]: model["answers"] for model in json.loads(answer.out)["models"]}


def test_no_cache_asks_again_and_keeps_nothing(command, influence, tmp_path):
    assert command("first", "--no-cache") == 20
    assert held(influence) == {}
    assert not (tmp_path / "cache").exists()
    assert command("second") == 40
    assert held(influence) == {"openai/test-model": 20}
    assert command("third", "--no-cache") == 60
    assert command("fourth", "--no-cache", "--seed", "7") == 80
    assert held(influence) == {"openai/test-model": 20}
    assert command("fifth") == 80


def test_the_cache_is_shown_and_emptied(command, influence, tmp_path):
    empty = influence("cache")
    path = tmp_path / "cache" / "influence" / "responses.sqlite"
    assert (empty.code, empty.err) == (0, "")
    assert empty.out.replace("\n", "") == f"0 answers, 0.0 MB on disk: {path}"
    command("first")
    command("second", "--set", "models.judge=anthropic/another")
    shown = influence("cache").out
    assert [line.split()[:2] for line in shown.splitlines()[1:3]] == [["anthropic/another", "75"], ["openai/test-model", "20"]]
    assert "95 answers, " in shown
    assert "influence cache clear" in shown
    told = json.loads(influence("cache", "--json").out)
    assert told["path"] == str(path)
    assert told["bytes"] == sum(file.stat().st_size for file in path.parent.glob("responses.sqlite*"))
    cleared = influence("cache", "clear")
    assert (cleared.code, cleared.out, cleared.err) == (0, "95 answers forgotten.\n", "")
    assert held(influence) == {}
    assert influence("cache", "clear").out == "0 answers forgotten.\n"
    assert command("third") == 20 + 75 + 20


def test_a_file_that_is_no_cache_is_told_with_its_remedy_and_left_alone(command, influence, tmp_path):
    path = tmp_path / "cache" / "influence" / "responses.sqlite"
    path.parent.mkdir(parents=True)
    path.write_text("not a database, but somebody's notes " * 100)
    before = path.read_bytes()
    for arguments in (["cache"], ["cache", "clear"], ["simulate", "--env", str(BOOTH), "--model", MODELS["openai"], "-n", "2"]):
        answer = influence(*arguments)
        assert answer.code == 1
        assert f"the response cache {path} cannot be used: " in answer.err
        assert "--no-cache" in answer.err
        assert "Traceback" not in answer.err
    assert path.read_bytes() == before
    assert command("run", "--no-cache") == 20
