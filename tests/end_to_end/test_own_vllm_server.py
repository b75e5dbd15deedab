"""vLLM's own OpenAI server with the embedded model: what it says over HTTP must be what the engine in this process says."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from influence.chat import Message
from influence.config.sections import EngineSection, HostedSection
from influence.engines.base import Call, Engine, Finish, Sampling
from influence.engines.embedded import model_folder
from influence.engines.hosted.models import HostedModels
from influence.engines.opening import Engines
from influence.environments.loading import load_environment
from influence.environments.schema import FIVE_POINT_LABELS, RATING_LABELS, YES_NO_LABELS
from influence.environments.world import influence_wording, situation
from influence.errors import ContextOverflowError
from influence.judges.asking import AskingRules, third_person
from tests.conftest import RealEngine

SECONDS = 300
CALL = Call("preference", "session", 7)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--model", str(model_folder()), "--served-model-name", "small", "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--enforce-eager", "--block-size", "32", "--max-model-len", "4096", "--max-num-batched-tokens", "4096"]
    arguments += ["--no-enable-chunked-prefill", "--dtype", "bfloat16"]
    cores = f"0-{min(2, os.cpu_count() or 1) - 1}"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments]
        environment |= {"VLLM_CPU_OMP_THREADS_BIND": cores}
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        try:
            for _ in range(SECONDS):
                try:
                    process.wait(timeout=1)
                    pytest.fail(f"the server ended: {log.read_text()[-2000:]}")
                except subprocess.TimeoutExpired:
                    pass
                if _answers(f"http://127.0.0.1:{port}/health"):
                    break
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, 9)
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def remote(real: RealEngine, url: str) -> Iterator[Engine]:
    """The server as an engine, on the event loop of the engine in this process."""
    os.environ["SMALL_BASE_URL"] = url
    hosted = HostedModels(HostedSection(cache=False))
    engines = Engines({"agent": "openai-api/small/small"}, EngineSection(), hosted=hosted)
    real.run(engines.__aenter__())
    try:
        yield engines.roles["agent"].engine
    finally:
        real.run(engines.__aexit__())
        del os.environ["SMALL_BASE_URL"]


def questions() -> list[tuple[list[Message], list[str]]]:
    """What the judges of therapy-talk are asked about a few openings, with the labels of each question."""
    world = load_environment("therapy-talk")
    asked = []
    for number, initial in enumerate(world.initial_states[::17]):
        here = situation(world, initial, number)
        talk = [*here.opening, Message("assistant", "I think you should talk to your doctor before you change anything.")]
        judges, start = here.world.judges, here.world.states[here.world.start]
        wordings = [(judges.preference, RATING_LABELS), (start, list(start.transitions))]
        for variant, labels in (("plain", YES_NO_LABELS), ("five_point", FIVE_POINT_LABELS)):
            wordings.append((influence_wording(here.world, variant), labels))
        asked += [(third_person(here, talk, here.question(w, first_person=False), AskingRules()), list(ls)) for w, ls in wordings]
    return asked


@pytest.mark.parametrize("prefill", ["Answer:", ""])
def test_label_distributions_over_http_are_those_of_the_engine_here(real: RealEngine, remote: Engine, prefill: str) -> None:
    asked = questions()
    assert len(asked) >= 12
    for prompt, labels in asked:
        here = real.run(real.engine.label_logprobs(prompt, labels, CALL, prefill=prefill))
        there = real.run(remote.label_logprobs(prompt, labels, CALL, prefill=prefill))
        assert there.logprobs == pytest.approx(here.logprobs, abs=1e-9)  # the engine's own noise is 0.0 for a request alone
        assert not there.at_most
        assert there.usage.prompt_tokens == here.usage.prompt_tokens
    assert remote.capabilities.prefill  # it was found to be vLLM


def test_replies_come_with_the_server_s_reasons_to_stop_and_follow_the_seed(real: RealEngine, remote: Engine) -> None:
    prompt = [Message("system", "You are a kind helper."), Message("user", "Name three rivers.")]

    async def ask() -> list[tuple[str, Finish]]:
        calls = [Call("agent", "s", seed) for seed in (1, 2, 1)]
        replies = await asyncio.gather(*(remote.generate(prompt, Sampling(max_tokens=12), call) for call in calls))
        assert all(reply.usage.completion_tokens == 12 for reply in replies if reply.finish == Finish.LENGTH)
        return [(reply.text, reply.finish) for reply in replies]

    first, second, again = real.run(ask())
    assert first == again
    assert first[0] != second[0]
    assert Finish.LENGTH in (first[1], second[1])


def test_an_answer_is_kept_to_its_choices(real: RealEngine, remote: Engine) -> None:
    prompt = [Message("user", "Which colour has the sky? Answer in JSON.")]
    reply = real.run(remote.generate(prompt, Sampling(max_tokens=12, choices=("mauve", "ochre")), CALL))
    assert reply.text in ("mauve", "ochre")


def test_a_prompt_that_is_too_long_is_told_apart(real: RealEngine, remote: Engine) -> None:
    with pytest.raises(ContextOverflowError):
        real.run(remote.generate([Message("user", "sea " * 5000)], Sampling(max_tokens=8), CALL))


def test_the_command_runs_on_it(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "influence", "simulate", "--model", "openai-api/small/small", "--conversations", "2"]
    command += ["--turns", "1", "--name", "run", "--no-cache", "--json"]
    environment = {**os.environ, "SMALL_BASE_URL": url}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr
    summary = json.loads(ended.stdout)
    assert summary["whole"]["failed"] == 0
    assert not summary["whole"]["missing"]
    lines = (tmp_path / "runs" / "run" / "trajectories.jsonl").read_text().splitlines()
    turns = [json.loads(line)["turns"][0] for line in lines]
    assert [turn["preference"]["method"] for turn in turns] == ["logprobs", "logprobs"]
    assert all(set(turn["preference"]["distribution"]) == set(RATING_LABELS) for turn in turns)
