"""A run whose provider stops says why and what to do, keeps what is finished, and goes on by the same command once it can."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from asking_hosted import BOOTH, KEYS, MODELS, PROVIDERS, VARIABLES, as_answered, manifest, places, records

from tests.loopback import Behaviour, Fault

LABELS = {"stay": 0.5, "7": 0.3, "0": 0.2}
QUICK = (
    "--set",
    "hosted.backoff=0.001",
    "--set",
    "hosted.attempts=2",
    "--set",
    "hosted.cache=false",
    "--set",
    "rollout.in_flight=4",
)
each_provider = pytest.mark.parametrize("provider", PROVIDERS)


@pytest.fixture
def simulate(influence):
    def run(provider: str, *options: str, name: str = "run", conversations: int = 12):
        model = ["--env", str(BOOTH), "--model", MODELS[provider], "-n", str(conversations), "--name", name, *QUICK]
        judged = ["--set", "judges.method=stated"] if provider == "anthropic" else []
        return influence("simulate", *model, *judged, *options)

    return run


def keys(run) -> list[str]:
    return [json.loads(line)["key"] for line in (run / "trajectories.jsonl").read_bytes().split(b"\n")[:-1]]


@each_provider
def test_a_wrong_key_stops_the_run_and_the_right_one_goes_on(serve, simulate, tmp_path, monkeypatch, provider):
    server = serve(Behaviour(first=[None] * 80, faults={Fault.INVALID_KEY: 1.0}, logprobs=LABELS))
    run = tmp_path / "runs" / "run"
    stopped = simulate(provider)
    assert (stopped.code, stopped.out) == (1, "")
    assert f"Is {VARIABLES[provider]} the right key, with access to this model? " in stopped.err
    assert "Then run the same command again: what is finished is kept." in stopped.err
    assert stopped.err.count("influence: ") == 1
    held = manifest(run)
    (counts,) = held["attempts"][0]["hosted"].values()
    assert (held["status"], counts["answers"], counts["given_up"].keys()) == ("failed", 80, {"invalid_key"})
    finished = keys(run)
    assert 0 < len(finished) < 12
    assert len(server.record.asked) <= 80 + 12  # nobody goes on asking
    asked = len(server.record.asked)
    monkeypatch.setenv(VARIABLES[provider], "sk-renewed-key-2231")
    server.behave(Behaviour(key="sk-renewed-key-2231", logprobs=LABELS))
    assert simulate(provider).code == 0
    assert len(keys(run)) == len(set(keys(run))) == 12
    assert set(finished) < set(keys(run))
    assert {seen.key for seen in server.record.asked[asked:]} == {"sk-renewed-key-2231"}
    assert [attempt["status"] for attempt in manifest(run)["attempts"]] == ["failed", "finished"]
    assert simulate(provider, name="at-once").code == 0
    assert [as_answered(r) for r in records(run)] == [as_answered(r) for r in records(tmp_path / "runs" / "at-once")]


@each_provider
def test_a_key_that_was_never_right(serve, simulate, tmp_path, provider):
    server = serve(Behaviour(key="sk-another"))
    stopped = simulate(provider)
    assert stopped.code == 1
    assert f"{VARIABLES[provider]} the right key" in stopped.err
    assert KEYS[provider] not in stopped.err
    assert len(server.requests) == 1
    assert keys(tmp_path / "runs" / "run") == []


def test_the_log_of_a_stopped_run_holds_no_alarm_of_a_library(serve, tmp_path):
    """No exception that nobody retrieved, no session that nobody closed."""
    server = serve(Behaviour(first=[None] * 60, faults={Fault.NO_CREDIT: 1.0}, logprobs=LABELS, latency=0.002))
    models = [part for role in ("agent", "user", "judge") for part in ("--set", f"models.{role}={MODELS['openai']}")]
    command = [sys.executable, "-W", "default", "-m", "influence", "simulate", "--env", str(BOOTH), "-n", "20", "--name", "run"]
    env = {**os.environ, **places(server.url)}
    mixed = ["--set", f"models.influence={MODELS['local']}"]
    ended = subprocess.run([*command, *models, *mixed], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=env)
    assert ended.returncode == 1
    assert "needs credit" in ended.stderr
    log = (tmp_path / "runs" / "run" / "logs" / "attempt-1.log").read_text()
    assert log == ""


def test_a_server_that_is_gone_stops_the_run_and_keeps_what_is_finished(serve, simulate, tmp_path):
    """Conversations that lost a request before it was clear that nobody is there have failed, and stay so."""
    server = serve(Behaviour(first=[None] * 60, faults={Fault.RESET: 1.0}, logprobs=LABELS))
    options = ("--set", "rollout.in_flight=20", "--set", "rollout.max_failed=1")
    stopped = simulate("local", *options, conversations=20)
    assert stopped.code == 1
    assert f"20 requests in a row had no answer from {server.url}/v1, each tried 2 times." in stopped.err
    run = tmp_path / "runs" / "run"
    before = keys(run)
    server.behave(Behaviour(logprobs=LABELS))
    assert simulate("local", *options, conversations=20).code == 0
    assert len(keys(run)) == len(set(keys(run))) == 20
    assert {record.key for record in records(run) if record.failed} <= set(before)


# refused before anything is written


def files(folder) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


REFUSED = {
    "a misspelt provider": (
        ["--set", "hosted.providers.opnai.concurrency=3"],
        "hosted.providers.opnai: no model is asked there. Did you mean `openai`? Allowed: anthropic, openai.",
    ),
    "a server of one's own that no model is on": (
        ["--set", "hosted.providers.local.concurrency=3"],
        "hosted.providers.local: no model is asked there. Allowed: anthropic, openai.",
    ),
    "a limit that is none": (
        ["--set", "hosted.requests_per_minute=0"],
        "--set, `hosted.requests_per_minute`: found 0, but it should be greater than or equal to 1.",
    ),
    "a catalogue that is not there": (["--set", "hosted.catalogue=gone.toml"], "hosted.catalogue: there is no file gone.toml."),
    "a budget of nothing": (["--max-cost", "0"], "--max-cost, `budget.max_cost`: found 0.0, but it should be greater than 0."),
    "log-probabilities of a model that has none": (
        ["--set", "models.influence=anthropic/x", "--set", "judges.method=logprobs"],
        'judges.method = "logprobs": anthropic/x, the influence judge, has none. Set "samples", "stated" or "auto".',
    ),
    "a model of a server that nobody named": (
        ["--set", "models.user=openai-api/elsewhere/x"],
        "models.user = 'openai-api/elsewhere/x': set ELSEWHERE_BASE_URL to where the server is, such as http://localhost:8000/v1.",
    ),
    "a server's name without a model": (
        ["--set", "models.user=openai-api/local"],
        "--set, `models.user`: 'openai-api/local' is incomplete. Allowed: embedded, vllm/<hub id or folder>[:<adapter folder>], "
        "scripted/<file>, openai/<model>, anthropic/<model>, openai-api/<name>/<model>.",
    ),
}


@pytest.fixture
def refused(serve, influence, tmp_path):
    """One message, exit code 2, nothing written, nobody asked."""

    def run(arguments: list[str], message: str) -> None:
        before = files(tmp_path)
        answer = influence("simulate", "--env", str(BOOTH), "--set", f"models.agent={MODELS['openai']}", *arguments)
        assert answer.err == f"influence: {message}\n"
        assert (answer.code, answer.out) == (2, "")
        assert files(tmp_path) == before
        assert run.server.requests == []

    run.server = serve()
    return run


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_about_hosted_models(refused, name):
    refused(*REFUSED[name])


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_key_that_is_missing(refused, monkeypatch, provider):
    monkeypatch.delenv(VARIABLES[provider])
    told = f"set {VARIABLES[provider]} in the environment, or in a file .env here."
    refused(
        ["--set", f"models.user={MODELS[provider]}"],
        f"models.{'agent' if provider == 'openai' else 'user'} = {MODELS[provider]!r}: {told}",
    )


def test_a_server_of_ones_own_needs_no_key(serve, simulate, monkeypatch):
    server = serve(Behaviour(logprobs=LABELS))
    monkeypatch.delenv(VARIABLES["local"])
    assert simulate("local").code == 0
    assert {seen.key for seen in server.requests} == {"none"}


@pytest.mark.parametrize(
    "address", ["localhost:8000", "ftp://localhost/v1", "http://", "http://[::1/v1", "http://localhost:port/v1"]
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_address_that_is_none(refused, monkeypatch, provider, address):
    variable = VARIABLES[provider].replace("_API_KEY", "_BASE_URL")
    monkeypatch.setenv(variable, address)
    role = "agent" if provider == "openai" else "user"
    told = f"models.{role} = {MODELS[provider]!r}: {variable} is not a URL such as http://localhost:8000/v1."
    refused(["--set", f"models.user={MODELS[provider]}"], told)


@pytest.mark.parametrize("key", ["sk-two\nlines", "sk-blank ", "sk-ümlaut-key"])
def test_a_key_that_no_key_is(refused, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    told = "OPENAI_API_KEY holds characters that no key has (a line break, a blank, a letter outside ASCII)."
    refused([], f"models.agent = {MODELS['openai']!r}: {told}")


def test_keys_in_a_file_stand_below_those_of_the_environment(serve, simulate, tmp_path, monkeypatch):
    server = serve(Behaviour(logprobs=LABELS))
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-the-file\n")
    simulate("openai", "--turns", "1")
    monkeypatch.delenv("OPENAI_API_KEY")
    simulate("openai", "--turns", "1", name="other")
    used = [seen.key for seen in server.record.asked]
    assert used == [KEYS["openai"]] * 48 + ["sk-from-the-file"] * 48
