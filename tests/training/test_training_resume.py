"""A training run that is killed at any instant ends as if nobody had disturbed it, and one that was tampered with is refused.

What a kill leaves is what is on disk at that instant. So one undisturbed run is photographed after each of its changes to a
file, and every photograph is gone on with to the end. Some runs are killed in earnest, by signal 9, and some again and again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from faking import RUN, TRAININGS, WEIGHTS, Photograph, Place, Run, essence, lines, make_adapter, photographed, staged, watch

from influence.errors import RunTakenError

COMMANDS = ("train-ei", "train-kto")
ITERATIONS = (1, 2, 3)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed, and its photographs."""

    command: str
    place: Place
    photographs: list[Photograph]
    ending: dict[str, Any]
    folder: Path

    def at(self, label: str, iteration: int, nth: int = 0) -> Path:
        """The folder of a photograph by the end of its label."""
        found = [p.folder for p in self.photographs if f"/{iteration:03d}/" in p.label and p.label.endswith(label)]
        return found[nth]


@pytest.fixture(scope="module", params=COMMANDS)
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        place = staged(folder, patch)
        photographs = photographed(place, folder / "photographs", request.param)
        yield Undisturbed(request.param, place, photographs, essence(), folder)


@pytest.fixture
def at_work(undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    """Makes a copy of a photograph the working folder, or an empty one."""
    numbers = count()

    def begin(photograph: Path | None) -> None:
        folder = tmp_path / str(next(numbers))
        if photograph is None:
            folder.mkdir()
        else:
            shutil.copytree(photograph, folder, symlinks=True)
        monkeypatch.chdir(folder)

    return begin


def assert_as_if_undisturbed(run: Undisturbed, label: str) -> None:
    ending = essence()
    assert ending.keys() == run.ending.keys(), label
    different = [name for name in ending if ending[name] != run.ending[name]]
    assert different == [], label
    attempts = [attempt["status"] for attempt in Run(RUN).manifest["attempts"]]
    assert set(attempts[:-1]) <= {"interrupted"}, label
    assert attempts[-1] == "finished", label
    steps = [line["step"] for line in lines(RUN / "metrics.jsonl")]
    assert steps == list(range(1, len(steps) + 1)), label
    assert_trained_on_one_thing(run, label)


def assert_trained_on_one_thing(run: Undisturbed, label: str) -> None:
    """Every try at an iteration had the same rows and the same beginning, which is what the iteration before ended with."""
    tries = lines(Path(TRAININGS))
    for iteration in ITERATIONS:
        of_it = {json.dumps(one) for one in tries if one["iteration"] == iteration}
        assert len(of_it) == 1, label
        start = json.loads(next(iter(of_it)))["start"]
        assert start == (Run(RUN).digest(iteration - 1) if iteration > 1 else None), label
    assert [one["iteration"] for one in tries] == sorted(one["iteration"] for one in tries), label


def test_the_undisturbed_run_is_one_to_compare_with(undisturbed):
    """It has everything that a kill could spoil: several rollouts, selections and adapters, all different."""
    os.chdir(undisturbed.folder / "work")
    run = Run(RUN)
    assert len({run.digest(iteration) for iteration in ITERATIONS}) == 3
    assert len({(run.folder(iteration) / "dataset.jsonl").read_bytes() for iteration in ITERATIONS}) == 3
    base = f"vllm/{undisturbed.place.base}"
    adapters = [base, *(f"{base}:{run.folder(iteration)}/adapter" for iteration in ITERATIONS)]
    for iteration in ITERATIONS:
        assert {t.models["agent"] for t in run.rollout(iteration)} == {adapters[iteration - 1]}
        assert {t.models["agent"] for t in run.heldout(iteration)} == {adapters[iteration]}
        assert {model for t in run.rollout(iteration) for role, model in t.models.items() if role != "agent"} == {base}
        keys = [t.key for t in run.rollout(iteration)]
        assert len(set(keys)) == len(keys) == 6
    said = [[m["content"] for t in run.heldout(iteration) for m in t.messages] for iteration in (0, *ITERATIONS)]
    assert len({str(texts) for texts in said}) == 4
    assert len(lines(Path(TRAININGS))) == 3


def test_the_photographs_are_of_every_phase_of_every_iteration(undisturbed):
    labels = [photograph.label for photograph in undisturbed.photographs]
    assert sum("heldout.jsonl" in label for label in labels) >= 4 * 4
    for iteration in ITERATIONS:
        for ending in (
            "appended to {}/trajectories.jsonl",
            "replaced {}/trajectories.jsonl",
            "replaced {}/selection.jsonl",
            "written {}/.dataset.jsonl.partial",
            "replaced {}/dataset.jsonl",
            "written {}/adapter.partial/adapter_config.json",
            f"written {{}}/adapter.partial/{WEIGHTS}",
            "replaced {}/iteration.json",
            "renamed {}/adapter",
            "appended to {}/heldout.jsonl",
            "replaced {}/scored.jsonl",
            "written {}/.metrics.json.partial",
            "replaced {}/metrics.json",
        ):
            assert ending.format(f"runs/run/iterations/{iteration:03d}") in labels
        assert f"iteration {iteration}, before step 2" in labels


def test_a_run_killed_at_any_instant_ends_as_if_undisturbed(undisturbed, at_work):
    """Every other instant for one method, the ones between for the other. Of one kind in a row, the first and the last."""
    every = undisturbed.photographs
    ends = [
        one
        for before, one, after in zip([None, *every], every, [*every[1:], None], strict=False)
        if not (before and after and before.label == one.label == after.label)
    ]
    assert len(ends) > 150
    for photograph in ends[COMMANDS.index(undisturbed.command) :: 2]:
        at_work(photograph.folder)
        undisturbed.place.train(undisturbed.command)
        assert_as_if_undisturbed(undisturbed, photograph.label)


def test_a_line_that_was_half_written_is_written_again(undisturbed, at_work):
    torn = [p for p in undisturbed.photographs if p.label.startswith("appended to")]
    assert len(torn) == 4 + 3 * (6 + 4)
    for photograph in torn[COMMANDS.index(undisturbed.command) :: 6]:
        at_work(photograph.folder)
        journal = Path(photograph.label.removeprefix("appended to "))
        os.truncate(journal, journal.stat().st_size - 200)
        undisturbed.place.train(undisturbed.command)
        assert_as_if_undisturbed(undisturbed, photograph.label)


def killed(place: Place, command: str, instant: Callable[[int, str], bool], **sets: Any) -> bool:
    """Run the command in a process that kills itself at the first instant of which that is said. False if it came to its end."""
    child = os.fork()
    if child == 0:
        numbers = count()

        def moment(label: str) -> None:
            if instant(next(numbers), label):
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            watch(place, pytest.MonkeyPatch(), moment)
            place.train(command, **sets)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.mark.parametrize(
    "ending",
    [
        "002/trajectories.jsonl",
        "001/dataset.jsonl",
        "iteration 2, before step 2",
        "003/adapter",
        "002/.metrics.json.partial",
    ],
)
def test_a_process_that_is_really_killed_leaves_a_run_that_goes_on(undisturbed, at_work, ending):
    at_work(None)
    assert killed(undisturbed.place, undisturbed.command, lambda _, label: label.endswith(ending))
    assert Run(RUN).manifest["status"] == "running"
    undisturbed.place.train(undisturbed.command)
    assert_as_if_undisturbed(undisturbed, ending)
    assert [attempt["status"] for attempt in Run(RUN).manifest["attempts"]] == ["interrupted", "finished"]


def test_a_run_that_is_killed_again_and_again_comes_to_the_same_end(undisturbed, at_work):
    at_work(None)
    attempts = 0
    while killed(undisturbed.place, undisturbed.command, lambda number, _: number == 40):
        attempts += 1
        assert attempts < 20
    assert attempts >= 5
    assert_as_if_undisturbed(undisturbed, f"{attempts} kills")


def assert_refused(run: Undisturbed, message: str) -> None:
    """The run is not gone on with, says why, and what it has stays as it is."""
    before = {path: path.read_bytes() for path in RUN.rglob("*.jsonl")}
    with pytest.raises(RunTakenError, match=message) as refusal:
        run.place.train(run.command)
    assert refusal.value.exit_code == 2
    assert "--name" in str(refusal.value)
    assert {path: path.read_bytes() for path in RUN.rglob("*.jsonl")} == before
    assert Run(RUN).manifest["attempts"][-1]["status"] == "failed"


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_other_rows_than_were_written_are_not_trained_on(undisturbed, at_work):
    at_work(undisturbed.at("replaced runs/run/iterations/002/iteration.json", 2, 4))
    dataset = RUN / "iterations/002/dataset.jsonl"
    rows = dataset.read_text()
    assert Run(RUN).state(2)["trained"] is None
    dataset.write_text("".join(rows.splitlines(keepends=True)[:-1]))
    assert_refused(undisturbed, "002/dataset.jsonl is not what this run wrote")
    dataset.unlink()
    assert_refused(undisturbed, "002/dataset.jsonl is not what this run wrote")
    assert not any(one["iteration"] == 2 for one in lines(Path(TRAININGS)))
    dataset.write_text(rows)
    undisturbed.place.train(undisturbed.command)
    assert essence() == undisturbed.ending


def test_rows_that_an_iteration_was_trained_on_cannot_be_changed_afterwards(undisturbed, at_work):
    at_work(undisturbed.at("appended to runs/run/iterations/003/trajectories.jsonl", 3))
    edited(RUN / "iterations/001/dataset.jsonl", '"trained":', '"trained": ')
    assert_refused(undisturbed, "001/dataset.jsonl is not what this run wrote")


@pytest.mark.parametrize("iteration", [1, 2])
def test_an_adapter_that_was_changed_is_not_gone_on_with(undisturbed, at_work, iteration):
    at_work(undisturbed.at("appended to runs/run/iterations/003/trajectories.jsonl", 3))
    edited(RUN / f"iterations/{iteration:03d}/adapter" / WEIGHTS, '"level"', ' "level"')
    assert_refused(undisturbed, f"{iteration:03d}/adapter is not the adapter that this run trained")


def test_a_file_more_in_an_adapter_is_a_change(undisturbed, at_work):
    at_work(undisturbed.at("appended to runs/run/iterations/002/heldout.jsonl", 2))
    (RUN / "iterations/002/adapter/README.md").write_text("Mine.")
    assert_refused(undisturbed, "002/adapter is not the adapter that this run trained")


def test_an_iteration_of_another_agent_is_not_gone_on_with(undisturbed, at_work):
    at_work(undisturbed.at("appended to runs/run/iterations/002/trajectories.jsonl", 2))
    edited(RUN / "iterations/002/iteration.json", '"agent": "', '"agent": "0')
    assert_refused(undisturbed, "002 was begun by another agent")


def test_an_environment_that_was_changed_is_refused_and_once_that_is_undone_the_run_goes_on(undisturbed, at_work):
    at_work(undisturbed.at("appended to runs/run/iterations/002/heldout.jsonl", 2))
    text = undisturbed.place.world / "environment.toml"
    before = text.read_bytes()
    edited(text, "wants a short answer", "wants an answer")
    try:
        assert_refused(undisturbed, r"begun with other files \(environment booth changed since\)")
    finally:
        text.write_bytes(before)
    undisturbed.place.train(undisturbed.command)
    assert essence() == undisturbed.ending


def test_another_base_model_is_refused(undisturbed, at_work):
    at_work(undisturbed.at("appended to runs/run/iterations/001/trajectories.jsonl", 1))
    config = undisturbed.place.base / "config.json"
    config.write_text('{"other": 1}')
    try:
        assert_refused(undisturbed, r"begun with other files \(agent, user, preference, transition, influence changed since\)")
    finally:
        config.write_text("{}")


def test_another_configuration_is_refused(undisturbed, at_work):
    at_work(undisturbed.at("appended to runs/run/iterations/001/trajectories.jsonl", 1))
    with pytest.raises(RunTakenError, match=r"trainer.learning_rate: 2e-05 there, 0.01 now"):
        undisturbed.place.train(undisturbed.command, trainer__learning_rate=0.01)


def test_a_finished_run_is_not_run_again(undisturbed, at_work):
    at_work(undisturbed.folder / "work")
    with pytest.raises(RunTakenError, match="is finished"):
        undisturbed.place.train(undisturbed.command)


@pytest.mark.parametrize("label", ["appended to runs/run/iterations/000/heldout.jsonl", "iterations/001/trajectories.jsonl"])
def test_the_first_agents_own_adapter_belongs_to_the_run_from_its_first_conversation_on(undisturbed, at_work, tmp_path, label):
    adapter = make_adapter(tmp_path / "mine")
    at_work(None)
    models = {"models__agent": f"'vllm/{undisturbed.place.base}:{adapter}'"}

    assert killed(undisturbed.place, undisturbed.command, lambda _, reached: reached.endswith(label), **models)
    make_adapter(tmp_path / "other", level=1)
    shutil.copy(tmp_path / "other" / WEIGHTS, adapter / WEIGHTS)
    with pytest.raises(RunTakenError, match="was begun by another agent"):
        undisturbed.place.train(undisturbed.command, **models)
