"""Several trainings in one run: seeds, and beside each a control that is trained on trajectories drawn by lot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from faking import RUN, TRAININGS, Place, Run, essence, lines, make_adapter, photographed, place

from influence.training.preparing import Arm, arms_of
from influence.training.selection import NEGATIVES, POSITIVES

__all__ = ["place"]

SEEDS = "[3, 5]"
PAIR = {"training__control": "true", "training__iterations": 2}
ITERATIONS = (1, 2)


def chosen(run: Run, iteration: int, arm: str) -> tuple[set[str], set[str]]:
    """The keys of the good and of the bad examples."""
    selected = run.selection(iteration, arm)
    return {one["key"] for one in selected if one["verdict"] in POSITIVES}, {
        one["key"] for one in selected if one["verdict"] in NEGATIVES
    }


@pytest.mark.parametrize(
    ("sets", "arms"),
    [
        ({"seed": 4}, [Arm("", 4, False, Path("."))]),
        ({"seed": 4, "training__seeds": "[9]"}, [Arm("", 9, False, Path("."))]),
        ({"selection__method": "'random'"}, [Arm("", 0, True, Path("."))]),
        (
            {"training__seeds": SEEDS},
            [Arm("seed-3", 3, False, Path("seed-3")), Arm("seed-5", 5, False, Path("seed-5"))],
        ),
        (
            {"seed": 4, "training__control": "true"},
            [Arm("seed-4", 4, False, Path("seed-4")), Arm("seed-4-control", 4, True, Path("seed-4-control"))],
        ),
    ],
)
def test_the_arms_of_a_configuration(place, sets, arms):
    assert arms_of(place.config(**sets)) == arms


def test_each_seed_is_a_training_of_its_own(place):
    run = place.train(training__seeds=SEEDS)
    assert [arm["name"] for arm in run.summary["arms"]] == ["seed-3", "seed-5"]
    three, five = ([t.seed for t in run.rollout(1, arm)] for arm in ("seed-3", "seed-5"))
    assert not set(three) & set(five)
    assert run.digest(3, "seed-3") != run.digest(3, "seed-5")
    assert not (run.path / "iterations").exists()
    assert len(lines(Path(TRAININGS))) == 6


@pytest.mark.parametrize("method", ["train-ei", "train-kto"])
def test_an_arm_is_what_it_would_be_alone(place, method):
    """Neither the arm before it nor its control shows in it: each begins with the untrained agent."""
    together = place.train(method, run__out="'together'", training__seeds=SEEDS, training__control="true")
    alone = place.train(method, run__out="'alone'", seed=5)
    for iteration in (1, 2, 3):
        for name in ("selection.jsonl", "dataset.jsonl"):
            assert (together.folder(iteration, "seed-5") / name).read_bytes() == (alone.folder(iteration) / name).read_bytes()
        assert together.digest(iteration, "seed-5") == alone.digest(iteration)
        one, other = together.metrics(iteration, "seed-5"), alone.metrics(iteration)
        assert one.pop("agent") != other.pop("agent")
        assert one == other


def test_every_arm_begins_with_the_agent_that_the_run_began_with(place, tmp_path):
    mine = make_adapter(tmp_path / "mine", level=1)
    run = place.train(models__agent=f"'vllm/{place.base}:{mine}'", training__seeds=SEEDS, **PAIR)
    starts = [event.what for event in place.stage.deeds("train")]
    arms = ("seed-3", "seed-3-control", "seed-5", "seed-5-control")
    assert starts == [start for arm in arms for start in (str(mine), str(run.folder(1, arm) / "adapter"))]
    for arm in arms:
        assert {t.models["agent"] for t in run.rollout(1, arm)} == {f"vllm/{place.base}:{mine}"}
        assert run.state(1, arm)["agent"] == run.state(1, "seed-3")["agent"]
    held: set[str | None] = set()
    for event in place.stage.deeds("add_adapter", "remove_adapter"):
        held = held | {event.what} if event.deed == "add_adapter" else held - {event.what}
        assert len(held) <= 2


def test_a_control_shares_the_untrained_measurement_and_the_first_rollout_which_are_held_once(place):
    run = place.train(**PAIR)
    for iteration, name in ((0, "heldout.jsonl"), (1, "trajectories.jsonl")):
        own, control = (run.folder(iteration, arm) / name for arm in ("seed-0", "seed-0-control"))
        assert own.read_bytes() == control.read_bytes()
    assert run.metrics(0, "seed-0") == run.metrics(0, "seed-0-control")
    untrained = [event.session for event in place.stage.asked("agent") if event.what is None]
    held = {t.key for t in (*run.heldout(0, "seed-0"), *run.rollout(1, "seed-0"))}
    assert set(untrained) == held
    turns = sum(len(t.turns) for t in (*run.heldout(0, "seed-0"), *run.rollout(1, "seed-0")))
    assert len(untrained) == turns
    assert [t.key for t in run.rollout(2, "seed-0")] == [t.key for t in run.rollout(2, "seed-0-control")]
    assert run.digest(1, "seed-0") != run.digest(1, "seed-0-control")


@pytest.mark.parametrize("method", ["train-ei", "train-kto"])
def test_a_control_is_trained_on_as_much_whatever_the_rewards_are(place, method):
    more = {"rollout__conversations": 14, "training__iterations": 1, "training__control": "true"}
    sweet = place.train(method, run__out="'sweet'", **more)
    place.stage.taste = -1
    sour = place.train(method, run__out="'sour'", **more)
    assert {t.reward for t in sweet.rollout(1, "seed-0")} != {t.reward for t in sour.rollout(1, "seed-0")}
    assert chosen(sweet, 1, "seed-0-control") == chosen(sour, 1, "seed-0-control")
    assert chosen(sweet, 1, "seed-0") != chosen(sour, 1, "seed-0")
    assert chosen(sweet, 1, "seed-0") != chosen(sweet, 1, "seed-0-control")
    own, control = (chosen(sweet, 1, arm) for arm in ("seed-0", "seed-0-control"))
    assert [len(keys) for keys in own] == [len(keys) for keys in control]
    assert len(control[1]) == (5 if method == "train-kto" else 0)


def test_the_summary_has_every_arm_and_the_mean_over_seeds(place):
    run = place.train(training__seeds="[3, 5, 8]", **PAIR)
    summary = run.summary
    assert [arm["control"] for arm in summary["arms"]] == [False, True] * 3
    assert [sentence.partition(":")[0] for sentence in summary["sentences"]] == [arm["name"] for arm in summary["arms"]]
    assert [sentence.endswith(" (selected by lot)") for sentence in summary["sentences"]] == [False, True] * 3
    own, controls = summary["over_seeds"]
    assert (own["control"], controls["control"]) == (False, True)
    for group, which in ((own, False), (controls, True)):
        values = [arm["change"]["reward"]["value"] for arm in summary["arms"] if arm["control"] is which]
        assert group["change"]["reward"]["value"] == pytest.approx(sum(values) / 3)
        assert group["change"]["reward"]["n"] == 3
        assert group["change"]["reward"]["low"] < min(values)


def test_a_single_seed_has_no_mean_over_seeds(place):
    assert place.train(**PAIR).summary["over_seeds"] == []


def test_selection_by_lot_alone_says_so(place):
    run = place.train(selection__method="'random'", training__iterations=1)
    assert run.summary["sentences"][0].endswith("(selected by lot)")
    assert run.summary["arms"][0]["control"]


def test_logged_numbers_carry_the_name_of_their_arm(place):
    run = place.train(**PAIR)
    named = [[name.split("/") for name in line] for line in lines(run.path / "metrics.jsonl")]
    arms = [parts[0] for line in named for parts in line if parts[1:] == ["iteration"]]
    told = {parts[0] for line in named for parts in line if parts[1:] == ["trainer", "loss"]}
    assert told == {"seed-0", "seed-0-control"}
    assert arms == ["seed-0"] * 3 + ["seed-0-control"] * 3


def test_given_trajectories_begin_every_arm(place):
    before = place.train(run__out="'given'", training__iterations=1, seed=7)
    path = before.folder(1) / "trajectories.jsonl"
    run = place.train(training__seeds=SEEDS, training__start_from=f"'{path}'", **PAIR)
    for arm in ("seed-3", "seed-3-control", "seed-5", "seed-5-control"):
        assert (run.folder(1, arm) / "trajectories.jsonl").read_bytes() == path.read_bytes()
    assert chosen(run, 1, "seed-3") == chosen(run, 1, "seed-5")
    assert chosen(run, 1, "seed-3-control") != chosen(run, 1, "seed-5-control")


def test_a_run_of_several_arms_that_is_killed_in_any_of_them_ends_as_if_undisturbed(place, tmp_path, monkeypatch):
    photographs = photographed(place, tmp_path / "photographs", "train-ei", **PAIR)
    ending = essence()
    copies = [p for p in photographs if p.label.startswith("copied") or p.label.endswith(".partial")]
    assert sum(p.label.startswith("copied") for p in copies) == 2
    picked = [p for p in copies if p.label.startswith("copied")] + photographs[len(photographs) // 3 :: 12]
    for number, photograph in enumerate(picked):
        folder = tmp_path / f"again-{number}"
        shutil.copytree(photograph.folder, folder, symlinks=True)
        monkeypatch.chdir(folder)
        place.train("train-ei", **PAIR)
        again = essence()
        assert again.keys() == ending.keys(), photograph.label
        assert [name for name in again if again[name] != ending[name]] == [], photograph.label
        tries = lines(Path(TRAININGS))
        assert len({(one["out"], one["dataset"], str(one["start"])) for one in tries}) == 4, photograph.label
    assert Run(RUN).manifest["status"] == "finished"


def test_a_failing_arm_can_be_gone_on_with_and_the_arms_before_it_stay(place: Place):
    def fails(iteration: int) -> int:
        if len(lines(Path(TRAININGS))) == 3:
            raise RuntimeError("a bug")
        return 1

    place.stage.step = fails
    with pytest.raises(RuntimeError):
        place.train(**PAIR)
    before = (RUN / "seed-0" / "iterations" / "002" / "metrics.json").stat().st_mtime_ns
    place.stage.step = lambda iteration: 1
    run = place.train(**PAIR)
    assert (RUN / "seed-0" / "iterations" / "002" / "metrics.json").stat().st_mtime_ns == before
    assert [arm["name"] for arm in run.summary["arms"]] == ["seed-0", "seed-0-control"]
