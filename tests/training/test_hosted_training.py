"""Expert iteration with an agent that its provider trains: who is asked when, what it is trained on, and that nothing is paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import Any

import openai
import pytest
from tuned_runs import (
    BASE,
    KEY,
    MADE,
    asked_models,
    between_jobs,
    chosen,
    dataset,
    iteration,
    json_of,
    lines_of,
    replies,
    sets_of,
    talks,
    told,
    trained,
)

from influence.cli.live import line
from influence.errors import ConfigError, RunTakenError, TrainerError
from influence.rollouts import scheduler
from influence.rollouts.progress import Progress
from influence.training.hosted_agent import suffix_of
from influence.training.iterations import IterationFolder
from influence.training.lab import Lab
from tests.loopback import Behaviour, Server, serving
from tests.loopback.fine_tuning import FILES, JOBS

CALL = ("book", '{"train": "9:40"}')
STATE = "fine_tuning.json"


class Killed(BaseException):
    """What stands for the end of the process."""


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's key or proxy; an empty folder."""
    for name in [name for name in os.environ if name.upper().endswith(("_API_KEY", "_BASE_URL", "_LOG", "_PROXY"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scheduler, "rare_collections", nullcontext)  # walks over all that the tests have imported


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Start a provider that has the base model, and whatever is made of it."""
    with ExitStack() as servers:

        def start(**behaviour: Any) -> Server:
            server = servers.enter_context(serving(Behaviour(**{"models": [BASE], **behaviour}), keep_bodies=True))
            for name in ("OPENAI", "LOCAL"):
                monkeypatch.setenv(f"{name}_BASE_URL", server.openai_url)
                monkeypatch.setenv(f"{name}_API_KEY", KEY)
            return server

        yield start


# who is asked when


def test_the_new_model_is_measured_and_plays_the_next_rollout(serve, tmp_path):
    server = serve()
    trained(tmp_path)
    names = [f"openai/{model}" for model in (BASE, *MADE)]
    rolled = {number: talks(tmp_path, number) for number in (1, 2)}
    heldout = {number: talks(tmp_path, number, "heldout.jsonl") for number in (0, 1, 2)}
    assert [{talk.models["agent"] for talk in rolled[number]} for number in (1, 2)] == [{names[0]}, {names[1]}]
    assert [{talk.models["agent"] for talk in heldout[number]} for number in (0, 1, 2)] == [{name} for name in names]
    # and the server says the same: nobody else was asked, in this order, once for each reply
    assert asked_models(server) == [
        (BASE, replies(heldout[0]) + replies(rolled[1])),
        (MADE[0], replies(heldout[1]) + replies(rolled[2])),
        (MADE[1], replies(heldout[2])),
    ]
    assert between_jobs(server) == [{BASE}, {MADE[0]}, {MADE[1]}]
    assert [job.request["model"] for job in server.tuning.jobs] == [BASE, MADE[0]]
    assert [talk.messages for talk in heldout[0]] != [talk.messages for talk in heldout[1]]


def test_training_goes_on_from_the_newest_model_under_a_seed_of_its_own(serve, tmp_path):
    server = serve()
    trained(tmp_path, trainer__epochs=2, fine_tuning__learning_rate_multiplier=0.5)
    one, other = (job.request for job in server.tuning.jobs)
    assert one["method"] == other["method"]
    assert one["method"]["supervised"]["hyperparameters"] == {"n_epochs": 2, "learning_rate_multiplier": 0.5}
    assert one["seed"] != other["seed"]
    assert (one["suffix"], other["suffix"]) == ("run-1", "run-2")


def test_a_server_of_ones_own_whose_models_have_slashes_in_their_names(serve, tmp_path):
    server = serve(models=["lab/tiny/one"])
    trained(tmp_path, models__agent="'openai-api/local/lab/tiny/one'", training__iterations=1)
    made = "ft:lab/tiny/one:lab:run-1:ftjob-0"
    assert server.tuning.jobs[0].request["model"] == "lab/tiny/one"
    assert [model for model, _ in asked_models(server)] == ["lab/tiny/one", made]
    assert json_of(iteration(tmp_path, 1) / "iteration.json")["trained_name"] == f"openai-api/local/{made}"


def test_each_arm_begins_with_the_base_model_and_what_it_said_is_not_asked_again(serve, tmp_path):
    server = serve()
    trained(tmp_path, training__control="true", training__iterations=1)
    arms = ("seed-0", "seed-0-control")
    for name, number in (("heldout.jsonl", 0), ("trajectories.jsonl", 1)):
        one, other = (iteration(tmp_path, number, arm) / name for arm in arms)
        assert one.read_bytes() == other.read_bytes()
    assert [job.request["model"] for job in server.tuning.jobs] == [BASE, BASE]
    made = [f"ft:{BASE}:lab:run-{arm}-1:ftjob-{n}" for n, arm in enumerate(arms)]
    assert [model for model, _ in asked_models(server)] == [BASE, *made]
    assert [{talk.models["agent"] for talk in talks(tmp_path, 1, "heldout.jsonl", arm)} for arm in arms] == [
        {f"openai/{model}"} for model in made
    ]


def test_the_next_seed_begins_with_the_base_model_again(serve, tmp_path):
    server = serve()
    trained(tmp_path, training__seeds="[0, 1]", training__iterations=1)
    made = [f"ft:{BASE}:lab:run-seed-{n}-1:ftjob-{n}" for n in (0, 1)]
    assert [model for model, _ in asked_models(server)] == [BASE, made[0], BASE, made[1]]
    assert [job.request["model"] for job in server.tuning.jobs] == [BASE, BASE]


@pytest.mark.parametrize(
    ("run", "arm", "wanted"),
    [("run", "", "run-12"), ("r" * 100, "", "r" * 61 + "-12"), ("r" * 100, "seed-0-control", "r" * 46 + "-seed-0-control-12")],
)
def test_a_long_name_leaves_room_for_arm_and_iteration(run, arm, wanted):
    assert suffix_of(run, arm, 12) == wanted
    assert len(wanted) <= 64


# what it is trained on


def without_weights(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in message.items() if name != "weight"} for message in messages]


@pytest.mark.parametrize("number", [1, 2])
def test_the_training_file_is_the_selected_conversations_as_the_agent_saw_them(serve, tmp_path, number):
    server = serve()
    trained(tmp_path)
    rows, picked = dataset(tmp_path, number), chosen(tmp_path, number)
    sent = [json.loads(text) for text in server.tuning.files[number - 1].text.splitlines()]
    assert sent == [row.line for row in rows]
    # one row a conversation, in which each of its replies is trained, once
    assert [(row.trajectory, row.turns) for row in rows] == [
        (key, list(range(1, len(talk.turns) + 1))) for key, talk in picked.items()
    ]
    assert len(rows) == 3
    prompts = [body["messages"] for body in server.bodies]
    for row in rows:
        talk, messages = picked[row.trajectory], row.line["messages"]
        assert messages[0] == {"role": "system", "content": talk.agent_system}
        own = [turn.reply + 1 for turn in talk.turns]
        assert [n for n, message in enumerate(messages) if message.get("weight") == 1] == visible(talk, own)
        assert messages[-1] == {"role": "assistant", "content": talk.messages[own[-1] - 1]["content"], "weight": 1}
        assert without_weights(messages[:-1]) in prompts
        assert [tool["function"]["name"] for tool in row.line["tools"]] == ["book"]
        assert row.key == f"{row.trajectory}/t{'-'.join(map(str, row.turns))}"


def visible(talk: Any, places: list[int]) -> list[int]:
    """Where messages stand among those that the agent was shown, its system prompt first."""
    hidden = [n for n, message in enumerate(talk.messages, start=1) if "agent" not in message.get("seen_by", ["agent"])]
    return [place - sum(n < place for n in hidden) for place in places]


def test_openings_and_injected_messages_are_there_and_what_the_agent_never_saw_is_not(serve, tmp_path):
    serve()
    trained(tmp_path, selection__best=1.0, training__iterations=1)
    rows = dataset(tmp_path, 1)
    assert len(rows) == 6  # half of them: nobody below the median is among the best
    said = [message for row in rows for message in row.line["messages"]]
    assert any(message["content"] == "I am on the train now. Thank you!" for message in said)  # injected
    assert any(message["role"] == "tool" and message["content"] == "error: sold out" for message in said)
    calls = [message for message in said if message.get("tool_calls")]
    assert calls
    assert all(call["weight"] == 0 and call["tool_calls"][0]["function"]["name"] == "book" for call in calls)  # the opening's
    assert not any("boards the train" in (message["content"] or "") for message in said)
    assert all(message.keys() <= {"role", "content", "weight", "tool_calls", "tool_call_id"} for message in said)


def test_a_call_of_a_tool_is_trained_as_a_call_and_never_as_words(serve, tmp_path):
    server = serve(tool_call=CALL)
    trained(tmp_path, training__iterations=1)
    rows, picked = dataset(tmp_path, 1), chosen(tmp_path, 1)
    assert [(row.trajectory, row.turns) for row in rows] == [
        (key, [number]) for key, talk in picked.items() for number in range(1, len(talk.turns) + 1)
    ]
    assert any(row.turns == [2] for row in rows)
    prompts = [body["messages"] for body in server.bodies]
    for row in rows:
        *before, last = row.line["messages"]
        assert (last["tool_calls"][0]["function"], last["weight"]) == ({"name": CALL[0], "arguments": CALL[1]}, 1)
        assert all(message.get("weight", 0) == 0 for message in before)
        assert without_weights(before) in prompts  # where earlier calls stand as words
    assert [json.loads(text) for text in server.tuning.files[0].text.splitlines()] == [row.line for row in rows]


def test_a_dataset_that_was_changed_is_not_trained_on(serve, tmp_path, monkeypatch):
    server = serve()
    with monkeypatch.context() as patched:
        patched.setattr("influence.training.hosted_agent.OpenAiTuner.train", killed)
        with pytest.raises(Killed):
            trained(tmp_path)
    path = iteration(tmp_path, 1) / "dataset.jsonl"
    path.write_text(path.read_text().replace('"weight":0', '"weight":1'))
    with pytest.raises(RunTakenError, match="is not what this run wrote"):
        trained(tmp_path)
    assert server.tuning.asked == []


async def killed(*_: Any, **__: Any) -> str:
    raise Killed


# what is written down


def test_metrics_curve_and_time(serve, tmp_path):
    server = serve()
    server.tuning.losses = [2.0, 1.0, 0.5]
    outcome = trained(tmp_path)
    for number in (1, 2):
        curve = lines_of(iteration(tmp_path, number) / "trainer.jsonl")
        assert [(one["step"], one["loss"]) for one in curve] == [(1, 2.0), (2, 1.0), (3, 0.5)]
        metrics = json_of(iteration(tmp_path, number) / "metrics.json")
        assert metrics["heldout"]["kl_to_base"] is None
        assert metrics["agent"] == f"openai/{MADE[number - 1]}"
        facts = metrics["trainer"]
        assert facts.pop("seconds") > 0
        assert facts == {"rows": 3, "model": MADE[number - 1], "job": f"ftjob-{number - 1}", "trained_tokens": 4321}
    (arm,) = outcome.summary["arms"]
    assert [one["heldout"]["kl_to_base"] for one in arm["iterations"]] == [None] * 3
    assert arm["change"]["reward"]["n"] == arm["iterations"][0]["heldout"]["conversations"] > 0
    logged = lines_of(tmp_path / "runs" / "run" / "metrics.jsonl")
    assert [one["trainer/loss"] for one in logged if "trainer/loss" in one] == [2.0, 1.0, 0.5] * 2
    assert not outcome.too_many_failed


def test_the_wait_for_the_provider_counts_as_the_trainers_own_time(serve, tmp_path):
    serve()
    time = trained(tmp_path).summary["time"]
    states = [json_of(iteration(tmp_path, number) / "iteration.json") for number in (0, 1, 2)]
    phases = {"rolling out", "rolling out held-out states", "selecting", "training", "handing over", "measuring"}
    assert set(time["phases"]) == phases | {"starting the engine"}
    for state in states[1:]:
        assert state["facts"]["seconds"] == state["seconds"]["training"]
    working = sum(time["phases"][phase] for phase in ("rolling out", "rolling out held-out states", "training"))
    assert time["outside"] == pytest.approx(1 - working / sum(time["phases"].values()))


class Watched(Progress):
    """What a live line says, whenever it says something new of the training."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "note" and value:
            self.__dict__.setdefault("lines", []).append(line(self))


def test_live_lines_say_where_the_training_is(serve, tmp_path):
    serve()
    progress = Watched(total=0)
    trained(tmp_path, progress, training__iterations=1)
    here = "iteration 1 of 1: training at openai: "
    assert progress.lines == [
        f"{here}{words}"
        for words in (
            "uploading the training file",
            "making the job",
            "job ftjob-0: validating files",
            "job ftjob-0: queued",
            "job ftjob-0: running",
            *("step 1, loss 2.5", "step 2, loss 1.75"),
            "job ftjob-0: succeeded",
            *("step 3, loss 1.25", "step 4, loss 0.5"),
        )
    ]


# interruptions


def kill_after(number: int, patched: pytest.MonkeyPatch) -> None:
    """End the process, as it were, right after the `number`-th time that an iteration wrote down what it has done."""
    real, noted = IterationFolder.note, 0

    def note(self: IterationFolder, **facts: Any) -> None:
        nonlocal noted
        noted += 1
        if noted <= number:
            real(self, **facts)
        if noted >= number:
            raise Killed

    patched.setattr(IterationFolder, "note", note)


def kill_at_request(number: int, patched: pytest.MonkeyPatch) -> None:
    """End the process right after the `number`-th answer about fine-tuning has come, before anything is made of it."""
    real, answered = openai.AsyncOpenAI.request, 0

    async def request(self: Any, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        nonlocal answered
        answer = await real(self, cast_to, options, **kwargs)
        answered += options.url.startswith(("/files", "/fine_tuning"))
        if answered == number:
            raise Killed
        return answer

    patched.setattr(openai.AsyncOpenAI, "request", request)


def kill_at_hand_over(number: int, patched: pytest.MonkeyPatch) -> None:
    """End the process when the agent is to be handed over for the `number`-th time: between two iterations."""
    real, handed = Lab.hand_over, 0

    async def hand_over(self: Lab, agent: Any) -> None:
        nonlocal handed
        handed += 1
        if handed == number:
            raise Killed
        await real(self, agent)

    patched.setattr(Lab, "hand_over", hand_over)


@pytest.fixture
def undisturbed(serve, tmp_path):
    """The files of a run in one go, and what was asked for them about fine-tuning."""
    server = serve()
    (tmp_path / "at-once").mkdir()
    trained(tmp_path / "at-once")
    return told(tmp_path / "at-once"), list(server.tuning.asked)


@pytest.mark.parametrize("kill", [kill_after, kill_at_request, kill_at_hand_over])
def test_a_run_that_is_killed_anywhere_goes_on_and_nothing_is_made_twice(serve, tmp_path, monkeypatch, undisturbed, kill):
    """At every stage, one after the other, until there is none left to be killed at."""
    files, asked = undisturbed
    for number in count(1):
        server, folder = serve(), tmp_path / str(number)
        folder.mkdir()
        with monkeypatch.context() as patched:
            kill(number, patched)
            try:
                trained(folder)
            except Killed:
                pass
            else:
                break
        trained(folder)
        assert told(folder) == files, number
        made = [request for request in server.tuning.asked if request.startswith("POST")]
        # only an upload whose answer was never read is made again, and nothing is trained on the first one
        lost = kill is kill_at_request and asked[number - 1] == f"POST {FILES}"
        assert (made.count(f"POST {FILES}"), made.count(f"POST {JOBS}")) == (3 if lost else 2, 2), number
    assert number > {kill_after: 20, kill_at_request: len(asked), kill_at_hand_over: 3}[kill]


def test_a_killed_process_and_the_same_command_again(serve, tmp_path):
    """SIGKILL while the job runs, on the real command line."""
    server = serve(reply="I would sleep on it.")
    server.tuning.ending = None
    process = subprocess.Popen(words(tmp_path, training__iterations=1), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(process, lambda: server.tuning.asked.count(f"GET {JOBS}/ftjob-0") > 4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.tuning.ending = "succeeded"
    done = command(tmp_path, training__iterations=1)
    assert done.returncode == 0, done.stderr
    assert (len(server.tuning.files), len(server.tuning.jobs)) == (1, 1)
    assert f"Next:    influence simulate --set models.agent=openai/{MADE[0]}\n" in done.stdout
    attempts = json_of(tmp_path / "runs" / "run" / "manifest.json")["attempts"]
    assert [attempt["status"] for attempt in attempts] == ["interrupted", "finished"]


def words(folder: Path, name: str = "train-ei", **sets: Any) -> list[str]:
    """The command of the same run that `trained` makes."""
    preset = folder / f"{name}.toml"
    preset.write_text(f'command = "{name}"\n')
    options = [word for assignment in sets_of(folder, name, **sets) for word in ("--set", assignment)]
    return [sys.executable, "-m", "influence", name, str(preset), *options]


def wait_for(process: subprocess.Popen[str], so_far: Callable[[], bool]) -> None:
    while not so_far():
        assert process.poll() is None, process.communicate()[1]
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.005)


# failures


def command(folder: Path, name: str = "train-ei", **sets: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words(folder, name, **sets), capture_output=True, text=True, timeout=120)


def test_a_failed_job_ends_the_command_with_1_and_its_remedy_works(serve, tmp_path):
    server = serve(echo_key=True)
    server.tuning.ending, server.tuning.error = "failed", f"The file was moderated ({KEY})."
    stopped = command(tmp_path, training__iterations=1)
    state = iteration(tmp_path, 1) / STATE
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert f"influence: openai/{BASE}: the fine-tuning job ftjob-0 failed: The file was moderated ([key]).\n" in stopped.stderr
    assert f"remove {state}" in stopped.stderr
    chats = len(server.bodies)
    assert command(tmp_path, training__iterations=1).returncode == 1  # the same again: no other job
    assert len(server.tuning.jobs) == 1
    state.unlink()
    server.tuning.ending = "succeeded"
    done = command(tmp_path, training__iterations=1)
    assert done.returncode == 0, done.stderr
    made = MADE[0].replace("ftjob-0", "ftjob-1")
    assert [job.model for job in server.tuning.jobs] == [None, made]
    assert {body["model"] for body in server.bodies[chats:]} == {made}
    assert server.tuning.files[0].text == server.tuning.files[1].text
    everything = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert KEY not in stopped.stdout + stopped.stderr + done.stdout + done.stderr
    assert not any(KEY.encode() in data for data in everything)
    assert {seen.key for seen in server.requests} == {KEY}


def test_a_model_that_vanished_stops_the_run(serve, tmp_path, monkeypatch):
    server = serve()
    with monkeypatch.context() as patched:
        kill_at_hand_over(2, patched)
        with pytest.raises(Killed):
            trained(tmp_path)
    server.tuning.jobs.clear()
    server.behave(Behaviour(models=[BASE]))
    stopped = command(tmp_path)
    assert stopped.returncode == 1
    assert f"The model `{MADE[0]}` does not exist" in stopped.stderr


# budgets


def priced(path: Path, *names: str, dollars: float = 1.0) -> str:
    entries = [f'[[model]]\nname = "{name}"\ninput = {dollars}\noutput = {dollars}\n' for name in names]
    path.write_text("date = 2026-11-01\n" + "".join(entries))
    return f"'{path}'"


def test_a_dated_model_has_the_price_of_its_fine_tuned_self(serve, tmp_path):
    dated = "gpt-4.1-mini-2025-04-14"
    serve(models=[dated])
    trained(tmp_path, models__agent=f"'openai/{dated}'", training__iterations=1, budget__max_cost=5)
    models = json_of(tmp_path / "runs" / "run" / "manifest.json")["models"]
    assert models["agent"]["name"] == f"openai/ft:{dated}:lab:run-1:ftjob-0"
    assert (models["agent"]["prices"]["input"], models["agent"]["prices"]["output"]) == (0.80, 3.20)
    (before, *_), (after, *_) = (talks(tmp_path, number, "heldout.jsonl") for number in (0, 1))
    assert cost_of(before, 0.40, 1.60) == pytest.approx(before.usage["agent"].cost)
    assert cost_of(after, 0.80, 3.20) == pytest.approx(after.usage["agent"].cost)


def cost_of(talk: Any, prompt: float, completion: float) -> float:
    used = talk.usage["agent"]
    return (used.prompt_tokens * prompt + used.completion_tokens * completion) / 1e6


def test_a_price_that_is_going_to_be_missing_stops_the_run_before_anything_is_uploaded(serve, tmp_path):
    server = serve()
    with pytest.raises(ConfigError) as error:
        trained(tmp_path, budget__max_cost=5)
    said = str(error.value)
    assert f"budget.max_cost: nobody has said what the fine-tuned model openai/ft:{BASE}:" in said
    assert f"openai/ft:{BASE}:*" in said
    assert "Limit budget.max_tokens instead" in said
    assert server.tuning.asked == []
    # the remedy
    trained(tmp_path, budget__max_tokens=10_000_000)
    assert [model for model, _ in asked_models(server)] == [BASE, *MADE]


def test_a_price_in_a_file_of_ones_own(serve, tmp_path):
    server = serve()
    own = priced(tmp_path / "own.toml", f"openai/ft:{BASE}:*", dollars=100.0)
    trained(tmp_path, training__iterations=1, budget__max_cost=50, hosted__catalogue=own)
    assert [model for model, _ in asked_models(server)] == [BASE, MADE[0]]
    (talk, *_) = talks(tmp_path, 1, "heldout.jsonl")
    assert talk.usage["agent"].cost == pytest.approx(cost_of(talk, 100, 100))


def test_a_model_of_ones_own_server_without_a_price_is_not_asked(serve, tmp_path):
    """How such a server calls what it has made is seen only then."""
    server = serve()
    own = tmp_path / "own.toml"
    sets = {"models__agent": f"'openai-api/local/{BASE}'", "training__iterations": 1, "budget__max_cost": 5}
    sets["hosted__catalogue"] = priced(own, f"openai-api/local/{BASE}")
    for _ in range(2):  # also not by the next attempt
        with pytest.raises(ConfigError) as error:
            trained(tmp_path, **sets)
        assert f"the fine-tuned model openai-api/local/{MADE[0]}" in str(error.value)
        assert f"a pattern such as openai-api/local/ft:{BASE}:*, into {own}" in str(error.value)
        assert {body["model"] for body in server.bodies} == {BASE}
    priced(own, f"openai-api/local/{BASE}", f"openai-api/local/ft:{BASE}:*")
    trained(tmp_path, **sets)
    assert (len(server.tuning.files), len(server.tuning.jobs)) == (1, 1)
    assert [model for model, _ in asked_models(server)] == [BASE, MADE[0]]


# refused before anything is written

REFUSED = {
    "KTO": (
        "train-kto",
        {},
        "KTO needs the model's weights, and this one is behind an API. `influence train-ei` trains it there.",
    ),
    "static data": (
        "train-ei",
        {"static_data__fraction": 0.5, "static_data__source": "'rows.jsonl'"},
        "static data and given trajectories are mixed in for local agents only.",
    ),
    "given trajectories": (
        "train-ei",
        {"training__start_from": "'somewhere'"},
        "static data and given trajectories are mixed in for local agents only.",
    ),
    "another provider": (
        "train-ei",
        {"models__agent": "'anthropic/claude-haiku'"},
        "OpenAI's fine-tuning API trains openai/<model> and openai-api/<name>/<model>.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_hosted_agent_cannot_be_given(serve, tmp_path, monkeypatch, name):
    which, sets, message = REFUSED[name]
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    server = serve()
    stopped = command(tmp_path, name=which, **sets)
    agent = sets.get("models__agent", f"'openai/{BASE}'")
    assert stopped.stderr == f"influence: models.agent = {agent}: {message}\n"
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert server.requests == []
    assert not (tmp_path / "runs").exists()


def test_a_maximum_of_dollars_that_comes_later_needs_the_price_of_a_model_that_is_there(serve, tmp_path, monkeypatch):
    server = serve()
    sets = {"models__agent": f"'openai-api/local/{BASE}'"}
    sets["hosted__catalogue"] = priced(tmp_path / "own.toml", f"openai-api/local/{BASE}")
    with monkeypatch.context() as patched:
        kill_at_hand_over(2, patched)
        with pytest.raises(Killed):
            trained(tmp_path, **sets)
    asked = len(server.bodies)
    with pytest.raises(ConfigError, match="nobody has said what the fine-tuned model openai-api/local/ft:"):
        trained(tmp_path, **sets, budget__max_cost=5)
    assert len(server.bodies) == asked


def test_waiting_longer_is_no_other_run(serve, tmp_path):
    server = serve()
    server.tuning.ending = None
    with pytest.raises(TrainerError, match="goes on at the provider"):
        trained(tmp_path, fine_tuning__hours=1e-9)
    server.tuning.ending = "succeeded"
    trained(tmp_path, fine_tuning__hours=2)
    assert len(server.tuning.jobs) == 2
