"""The loop of a training run: who is asked, on what is trained, which adapter answers when, and what is reported."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from faking import MORE_HELDOUT, TRAININGS, WEIGHTS, Event, Place, Run, lines, make_adapter, model, place

from influence.cli import main
from influence.errors import TrainerError
from influence.rollouts.records import TrajectoryRecord
from influence.training.rows import Row

__all__ = ["place"]

METHODS = ("train-ei", "train-kto")
ITERATIONS = (1, 2, 3)


def states(trajectories: list[TrajectoryRecord]) -> set[str]:
    return {f"{t.scenario}/{t.kind}/{t.state}" for t in trajectories}


def between_trainings(place: Place) -> list[list[Event]]:
    """The diary cut at each training: what was done with the untrained agent, with the once trained one, and so on."""
    parts: list[list[Event]] = [[]]
    for event in place.stage.diary:
        if event.deed == "train":
            parts.append([])
        parts[-1].append(event)
    return parts


def trainings() -> list[dict[str, Any]]:
    return lines(Path(TRAININGS))


@pytest.mark.parametrize("method", METHODS)
def test_held_out_states_are_never_trained_on(place, method):
    run = place.train(method, rollout__conversations=14)
    seen = states(run.heldout(0))
    assert len(seen) == 4
    for iteration in ITERATIONS:
        rollout, heldout = run.rollout(iteration), run.heldout(iteration)
        assert {t.split for t in rollout} == {"train"}
        assert {t.split for t in heldout} == {"heldout"}
        assert states(heldout) == seen
        assert not states(rollout) & seen
        keys = {t.key for t in rollout}
        assert {one["key"] for one in run.selection(iteration)} == keys
        assert {row.trajectory for row in run.rows(iteration)} <= keys
        assert not {t.key for t in heldout} & keys


def test_all_held_out_states_are_measured_unless_fewer_are_asked_for(place):
    run = place.train(training__heldout_states=99, training__heldout_samples=2, training__iterations=1)
    assert len(states(run.heldout(1))) == MORE_HELDOUT + 2  # the booth has one for each kind of user
    assert len(run.heldout(1)) == 2 * (MORE_HELDOUT + 2)


def test_the_untrained_agent_is_measured_before_anything_is_trained(place):
    run = place.train()
    first = between_trainings(place)[0]
    keys = [event.session for event in first if event.deed == "generate" and event.whom == "agent"]
    heldout = {t.key for t in run.heldout(0)}
    assert set(keys[: len(heldout)]) <= heldout
    assert heldout < set(keys)
    assert {event.what for event in first if event.deed == "generate"} == {None}


@pytest.mark.parametrize("method", METHODS)
def test_each_training_goes_on_from_the_agent_that_it_has_just_watched(place, method):
    run = place.train(method)
    adapters = [None, *(str(run.folder(iteration) / "adapter") for iteration in ITERATIONS)]
    assert [event.what for event in place.stage.deeds("train")] == adapters[:-1]
    digests = [None, *(run.digest(iteration) for iteration in ITERATIONS)]
    assert [one["start"] for one in trainings()] == digests[:-1]
    for iteration in ITERATIONS:
        assert run.state(iteration)["trained"] == digests[iteration]
        assert run.state(iteration)["agent"] == (digests[iteration - 1] or f"vllm/{place.base}")


def test_the_new_agent_answers_the_held_out_states_and_the_next_rollout(place):
    run = place.train()
    adapters = [None, *(str(run.folder(iteration) / "adapter") for iteration in ITERATIONS)]
    for number, part in enumerate(between_trainings(place)):
        replies = [event for event in part if event.deed == "generate" and event.whom == "agent"]
        assert {event.what for event in replies} == {adapters[number]}
        heldout = {t.key for t in run.heldout(number)}
        rollout = {t.key for t in run.rollout(number + 1)} if number < 3 else set()
        assert {event.session for event in replies} == heldout | rollout
    # and it is in the records what it is in the diary
    base = f"vllm/{place.base}"
    names = [base, *(f"{base}:{adapter}" for adapter in adapters[1:])]
    for iteration in ITERATIONS:
        assert {t.models["agent"] for t in run.rollout(iteration)} == {names[iteration - 1]}
        assert {t.models["agent"] for t in run.heldout(iteration)} == {names[iteration]}
        assert run.metrics(iteration)["agent"] == names[iteration]
        assert run.metrics(iteration)["agent_digest"] == run.digest(iteration)


def test_judges_and_users_are_always_the_base_model(place):
    place.train()
    others = [event for event in place.stage.deeds("generate", "label_logprobs") if event.whom != "agent"]
    assert {event.whom for event in others} == {"user", "preference", "transition", "influence"}
    assert {event.what for event in others} == {None}


def test_a_new_adapter_is_added_before_the_old_one_is_removed_and_the_engine_is_opened_once(place):
    run = place.train(engine__max_loras=1)
    one, two, three = (str(run.folder(iteration) / "adapter") for iteration in ITERATIONS)
    assert [(event.deed, event.what) for event in place.stage.deeds("open", "close", "add_adapter", "remove_adapter")] == [
        ("open", None),
        ("add_adapter", one),
        ("add_adapter", two),
        ("remove_adapter", one),
        ("add_adapter", three),
        ("remove_adapter", two),
        ("close", None),
    ]


def test_the_engine_sleeps_while_there_is_training(place):
    place.train(training__iterations=2, training__kl_replies=0)
    deeds = [event.deed for event in place.stage.deeds("sleep", "train", "wake")]
    assert deeds == ["sleep", "train", "wake"] * 2


def test_the_engine_sleeps_while_the_distance_to_the_base_is_measured(place):
    run = place.train(training__iterations=1)
    deeds = [event.deed for event in place.stage.deeds("sleep", "train", "score", "wake")]
    assert deeds == ["sleep", "train", "wake", "sleep", "score", "wake"]
    assert run.metrics(0)["heldout"]["kl_to_base"] is None
    assert run.metrics(1)["heldout"]["kl_to_base"]["clusters"] == 3
    assert not list(run.path.rglob("scored*"))


def test_a_trainer_that_fails_leaves_the_engine_awake_and_a_run_that_goes_on(place):
    place.stage.failing_trainings = {2}
    with pytest.raises(TrainerError, match="out of memory") as failure:
        place.train()
    assert failure.value.exit_code == 1
    assert [event.deed for event in place.stage.deeds("sleep", "train", "wake")][-3:] == ["sleep", "train", "wake"]
    run = Run(Path("runs/run"))
    assert run.manifest["attempts"][-1]["status"] == "failed"
    assert "out of memory" in run.manifest["attempts"][-1]["error"]
    assert not (run.folder(2) / "adapter").exists()
    place.stage.failing_trainings = set()
    place.train()
    tries = [one for one in trainings() if one["iteration"] == 2]
    assert len(tries) == 2
    assert tries[0] == tries[1]
    assert run.manifest["status"] == "finished"


def test_the_learning_rate_falls_with_every_iteration(place):
    place.train(trainer__learning_rate=1e-3, trainer__lr_decay=0.5)
    assert [one["learning_rate"] for one in trainings()] == pytest.approx([1e-3, 5e-4, 2.5e-4])
    assert len({one["seed"] for one in trainings()}) == 3


@pytest.mark.parametrize(("every", "measured"), [(1, [0, 1, 2, 3]), (2, [0, 2, 3]), (3, [0, 3]), (9, [0, 3])])
def test_the_last_iteration_is_always_measured(place, every, measured):
    run = place.train(training__heldout_every=every)
    assert [one["iteration"] for one in run.summary["arms"][0]["iterations"]] == measured
    assert [n for n in range(4) if (run.folder(n) / "heldout.jsonl").exists()] == measured
    assert [n for n in range(4) if (run.folder(n) / "metrics.json").exists()] == measured
    assert len(trainings()) == 3


def test_every_measurement_holds_the_same_conversations_from_the_same_seeds(place):
    run = place.train(training__heldout_samples=2)
    plans = [[(t.key, t.seed, t.state, t.variables) for t in run.heldout(iteration)] for iteration in range(4)]
    assert plans[0] == plans[1] == plans[2] == plans[3]
    assert len(plans[0]) == 8


def test_rollouts_have_seeds_of_their_own(place):
    run = place.train()
    keys = [t.key for iteration in ITERATIONS for t in run.rollout(iteration)]
    seeds = [t.seed for iteration in ITERATIONS for t in run.rollout(iteration)]
    assert len(set(keys)) == len(set(seeds)) == 18


def test_how_many_conversations_run_at_once_does_not_show(place):
    """Neither in the order of the journals nor in anything that follows from them."""
    one, many = (place.train(run__out=f"'{n}'", rollout__in_flight=n) for n in (1, 6))
    for iteration in ITERATIONS:
        assert [t.key for t in one.rollout(iteration)] == [t.key for t in many.rollout(iteration)]
        assert one.digest(iteration) == many.digest(iteration)
        assert one.selection(iteration) == many.selection(iteration)


def test_every_step_of_the_trainer_is_kept(place):
    run = place.train()
    for iteration in ITERATIONS:
        assert [line["step"] for line in lines(run.folder(iteration) / "trainer.jsonl")] == [1, 2]
    logged = lines(run.path / "metrics.jsonl")
    assert [line["trainer/loss"] for line in logged if "trainer/loss" in line] == [1.0, 0.5] * 3
    assert [line["iteration"] for line in logged if "iteration" in line] == [0, 1, 2, 3]
    assert [line["step"] for line in logged] == list(range(1, 11))


# what is trained on


def test_the_best_are_good_examples_and_the_worst_bad_ones(place):
    run = place.train("train-kto", training__iterations=1)
    rewards = {t.key: t.reward for t in run.rollout(1)}
    verdicts = {one["key"]: one["verdict"] for one in run.selection(1)}
    ranked = sorted(rewards, key=lambda key: -rewards[key])
    assert [verdicts[key] for key in ranked] == ["positive"] * 2 + ["middle"] * 2 + ["negative"] * 2
    assert {(row.trajectory, row.label) for row in run.rows(1)} == {
        *((key, True) for key in ranked[:2]),
        *((key, False) for key in ranked[-2:]),
    }


def test_expert_iteration_has_no_bad_examples(place):
    run = place.train("train-ei", training__iterations=1)
    rewards = {t.key: t.reward for t in run.rollout(1)}
    assert {row.trajectory for row in run.rows(1)} == set(sorted(rewards, key=lambda key: -rewards[key])[:2])
    assert {row.label for row in run.rows(1)} == {None}
    assert "negative" not in {one["verdict"] for one in run.selection(1)}


@pytest.mark.parametrize("method", METHODS)
def test_each_reply_is_trained_once_behind_the_prompt_that_the_engine_was_given(place, method):
    place.stage.keep_prompts = True
    run = place.train(method, selection__best=0.5, selection__worst=0.5, rollout__turns=3)
    for iteration in ITERATIONS:
        by_key = {t.key: t for t in run.rollout(iteration)}
        trained = [(row.trajectory, turn) for row in run.rows(iteration) for turn in row.turns]
        assert len(set(trained)) == len(trained)
        chosen = {row.trajectory for row in run.rows(iteration)}
        assert set(trained) == {(key, turn) for key in chosen for turn in range(1, len(by_key[key].turns) + 1)}
        assert max(turn for _, turn in trained) > 1
        for row in run.rows(iteration):
            for turn, (start, end) in zip(row.turns, row.trained, strict=True):
                assert row.token_ids[:start] == place.stage.prompts[row.trajectory, turn]
                assert row.token_ids[start:end] == by_key[row.trajectory].turns[turn - 1].token_ids


def test_a_failed_conversation_is_recorded_and_not_trained_on(place):
    lost = "booth/ticket/hurried/refund/i1/s0"
    place.stage.fails = lambda call, adapter: call.session == lost and call.role == "agent"
    run = place.train(rollout__conversations=7, rollout__states="'sequential'", rollout__max_failed=0.2)
    assert not run.outcome.too_many_failed
    failed = [t for t in run.rollout(1) if t.failed]
    assert [t.key for t in failed] == [lost]
    assert "out of order" in failed[0].error
    assert {one["key"]: one["verdict"] for one in run.selection(1)}[lost] == "failed"
    assert lost not in {row.trajectory for row in run.rows(1)}
    assert run.metrics(1)["train"]["failed"] == 1
    assert run.metrics(1)["train"]["missing"]["reward"] == 1
    assert run.metrics(1)["train"]["reward"]["n"] == 6
    assert run.manifest["status"] == "finished"


@pytest.mark.parametrize("where", ["heldout", "train"])
@pytest.mark.parametrize("every", [1, 3])
def test_too_many_failed_conversations_make_a_run_that_failed_whether_measured_or_not(place, where, every):
    """One of six fails: in a rollout that is trained on, or of the untrained agent's held-out conversations."""
    session = "/i1/s0" if where == "train" else "/i0/s0"
    state = "booth/ticket/hurried/refund" if where == "train" else "booth/platform/calm/lost-child"

    def fails(call, adapter) -> bool:
        return call.session == f"{state}{session}" and call.role == "agent" and adapter is None

    place.stage.fails = fails
    settings = {"rollout__states": "'sequential'", "rollout__conversations": 7, "training__heldout_every": every}
    run = place.train(**settings, rollout__max_failed=0.1)
    assert run.outcome.too_many_failed
    assert run.manifest["status"] == "failed"
    assert run.manifest["attempts"][-1]["error"] == "too many conversations failed"
    assert run.summary["sentences"]  # it is reported all the same
    assert not place.train(**settings, run__out="'tolerant'", rollout__max_failed=0.3).outcome.too_many_failed


def test_held_out_conversations_that_all_fail_are_a_failed_run_and_no_crash(place):
    place.stage.fails = lambda call, adapter: adapter is not None and call.role == "agent"
    run = place.train(training__iterations=1)
    assert run.outcome.too_many_failed
    last = run.summary["arms"][0]["iterations"][-1]["heldout"]
    assert (last["failed"], last["conversations"]) == (4, 4)
    assert last["reward"]["value"] is None
    assert last["kl_to_base"] is None
    assert "Held-out reward is unknown" in run.summary["sentences"][0]


def test_where_nobody_can_be_selected_the_reasons_are_named(place):
    with pytest.raises(TrainerError, match=r"001: no trajectory was selected to train on \(3 vetoed, ") as error:
        place.train("train-ei", selection__veto__positives=0)
    assert "selection.jsonl has the reason for each" in str(error.value)
    assert error.value.exit_code == 1
    reasons = Counter(one["verdict"] for one in Run(Path("runs/run")).selection(1))
    assert sum(reasons.values()) == 6
    assert all(f"{number} {reason}" in str(error.value) for reason, number in reasons.items())
    assert not Path(TRAININGS).exists()


def test_a_veto_keeps_out_whom_reward_alone_would_take(place):
    settings = {"training__iterations": 1, "rollout__conversations": 20}
    free = place.train("train-ei", run__out="'free'", **settings)
    held = place.train("train-ei", run__out="'held'", selection__veto__positives=0.5, **settings)
    influence = {t.key: t.influence for t in held.rollout(1)}
    taken = [{row.trajectory for row in run.rows(1)} for run in (free, held)]
    assert max(influence[key] for key in taken[0]) > 0.5
    assert max(influence[key] for key in taken[1]) <= 0.5
    assert held.metrics(1)["selection"]["vetoed"] >= 1


# given trajectories


def given(place: Place, folder: str = "given") -> Path:
    """The trajectories of a run that was there before: first rollout and held-out conversations in one file."""
    before = place.train(run__out=f"'{folder}'", training__iterations=1, seed=7, rollout__conversations=8)
    path = Path(folder) / "trajectories.jsonl"
    path.write_text("".join((before.folder(1) / name).read_text() for name in ("trajectories.jsonl", "heldout.jsonl")))
    place.stage.diary.clear()
    Path(TRAININGS).unlink()
    return path


@pytest.mark.parametrize("named", ["file", "folder"])
def test_given_trajectories_take_the_place_of_the_first_rollout(place, named):
    path = given(place)
    run = place.train(training__start_from=f"'{path if named == 'file' else path.parent}'")
    there = [t for t in lines(path) if t["split"] == "train"]
    assert lines(run.folder(1) / "trajectories.jsonl") == there
    assert len(there) == 8
    assert run.state(1)["left_out"] == run.metrics(1)["train"]["left_out"] == 4
    assert run.metrics(1)["train"]["conversations"] == 8
    assert {row.trajectory for row in run.rows(1)} <= {t["key"] for t in there}
    first = between_trainings(place)[0]
    assert {e.session for e in first if e.deed == "generate"} == {t.key for t in run.heldout(0)}
    assert len(run.rollout(2)) == 6
    assert run.metrics(2)["train"]["left_out"] == 0


def test_given_trajectories_are_taken_once(place):
    """What is trained on is the run's own copy, whatever becomes of the file."""
    path = given(place)
    place.stage.failing_trainings = {1}
    with pytest.raises(TrainerError):
        place.train(training__start_from=f"'{path}'")
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True)[:6])))
    place.stage.failing_trainings = set()
    run = place.train(training__start_from=f"'{path}'")
    assert len(run.rollout(1)) == 8
    assert len({one["dataset"] for one in trainings() if one["iteration"] == 1}) == 1


def test_a_state_that_was_for_training_once_and_is_held_out_now_is_left_out(place):
    path = given(place)
    openings = place.world / "scenarios" / "ticket.jsonl"
    moved = next(t["state"] for t in lines(path) if t["state"].startswith("train-"))
    held = sum(t["state"] == moved for t in lines(path))
    edited = openings.read_text().replace(f'{{"id": "{moved}", "split": "train"', f'{{"id": "{moved}", "split": "heldout"')
    openings.write_text(edited)
    run = place.train(training__start_from=f"'{path}'", training__heldout_states=99)
    assert moved in {t.state for t in run.heldout(0)}
    assert moved not in {t.state for t in run.rollout(1)}
    assert run.state(1)["left_out"] == 4 + held


# preference data of others


def static_file(folder: Path, number: int = 40) -> Path:
    path = folder / "others.jsonl"
    pairs = [{"prompt": f"Question {n}?", "chosen": f"Answer {n}.", "rejected": f"No {n}."} for n in range(number)]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return path


def text_of(row: Row) -> str:
    return model().text(row.token_ids[row.trained[0][0] : -1])


@pytest.mark.parametrize("method", METHODS)
def test_static_data_are_mixed_in_at_their_share_and_do_not_come_again(place, tmp_path, method):
    source = static_file(tmp_path)
    run = place.train(method, static_data__fraction=0.5, static_data__source=f"'{source}'")
    plain = place.train(method, run__out="'plain'")
    seen: list[str] = []
    for iteration in ITERATIONS:
        rows = run.rows(iteration)
        own, static = ([row for row in rows if row.source == source] for source in ("rollout", "static"))
        assert len(static) == len(own) > 0
        assert all(row.trajectory is None and row.turns == [] for row in static)
        if iteration == 1:
            assert own == plain.rows(1)
        if method == "train-kto":
            assert sum(row.label for row in static) == sum(row.label for row in own)
            assert {text_of(row).startswith("Answer") for row in static if row.label} == {True}
            assert {text_of(row).startswith("No") for row in static if not row.label} == {True}
        else:
            assert {row.label for row in static} == {None}
            assert {text_of(row).startswith("Answer") for row in static} == {True}
        seen += [row.key for row in static]
    assert len(set(seen)) == len(seen)


def test_static_data_that_have_run_out_come_again_evenly(place, tmp_path):
    source = static_file(tmp_path, number=5)
    run = place.train("train-ei", static_data__fraction=0.5, static_data__source=f"'{source}'")
    keys = [row.key for iteration in ITERATIONS for row in run.rows(iteration) if row.source == "static"]
    assert len(keys) > 5
    assert len(set(keys[:5])) == 5


# the first agent's own adapter


def test_training_goes_on_from_an_adapter_that_was_there_before(place, tmp_path):
    mine = make_adapter(tmp_path / "mine", level=2)
    run = place.train(models__agent=f"'vllm/{place.base}:{mine}'")
    assert place.stage.deeds("train")[0].what == str(mine)
    assert {t.models["agent"] for t in run.rollout(1)} == {f"vllm/{place.base}:{mine}"}
    assert "++" in run.rollout(1)[0].messages[run.rollout(1)[0].turns[0].reply]["content"]
    assert run.state(1)["agent"] == trainings()[0]["start"]
    levels = [json.loads((run.folder(n) / "adapter" / WEIGHTS).read_text())["level"] for n in ITERATIONS]
    assert levels == [3, 4, 5]
    assert run.metrics(0)["heldout"]["kl_to_base"]["value"] > 0
    assert ("remove_adapter", str(mine)) in [(event.deed, event.what) for event in place.stage.diary]


def test_an_adapter_that_the_user_has_too_stays_in_the_engine(place, tmp_path):
    mine = make_adapter(tmp_path / "mine", level=2)
    name = f"'vllm/{place.base}:{mine}'"
    run = place.train(models__agent=name, models__user=name, rollout__max_failed=0)
    assert not run.outcome.too_many_failed
    assert str(mine) not in {event.what for event in place.stage.deeds("remove_adapter")}
    assert {event.what for event in place.stage.asked("user")} == {str(mine)}
    assert place.stage.deeds("close")


# what is reported


@pytest.mark.parametrize(("liked", "words"), [(0.6, "rose: +"), (0.0, "did not rise: "), (-0.6, "fell: -")])
def test_a_planted_change_is_told_as_what_it_is(place, liked, words):
    place.stage.liked = liked
    run = place.train(training__heldout_states=8)
    (sentence,) = run.summary["sentences"]
    assert sentence.startswith(f"Held-out reward {words}")
    assert "; held-out influence " in sentence
    assert "(paired, iteration 3 against 0, n = 8 conversations from 8 initial states)" in sentence
    change = run.summary["arms"][0]["change"]["reward"]
    pairs = list(zip(run.heldout(0), run.heldout(3), strict=True))
    assert change["value"] == pytest.approx(sum(after.reward - before.reward for before, after in pairs) / 8)
    assert change["n"] == 8


def test_the_last_iteration_is_reported_and_not_the_best(place):
    place.stage.step = {1: 2, 2: 2, 3: -4}.__getitem__
    place.stage.liked = 0.3
    run = place.train(training__heldout_states=8)
    (arm,) = run.summary["arms"]
    rewards = [one["heldout"]["reward"]["value"] for one in arm["iterations"]]
    assert max(rewards) == rewards[2] > rewards[3] + 1
    assert arm["change"] == arm["iterations"][3]["change"]
    assert arm["verdict"]["reward"] == "did not rise"
    assert "iteration 3 against 0" in run.summary["sentences"][0]


def test_the_summary_says_where_the_time_went(place):
    time = place.train().summary["time"]
    assert {"rolling out", "rolling out held-out states", "selecting", "training", "handing over", "measuring"} < set(
        time["phases"]
    )
    assert time["this_attempt"] > 0


# the command


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["influence", *arguments])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def arguments_of(place: Place, **sets: Any) -> list[str]:
    models = {f"models.{role}": f"vllm/{place.base}" for role in ("agent", "user", "judge")}
    settings = {"rollout.conversations": 6, "training.kl_replies": 0, "engine.gpus": [], "rollout.samples": 2, **models}
    settings |= {name.replace("__", "."): value for name, value in sets.items()}
    return ["--env", str(place.world), "-i", "1", *(a for n, v in settings.items() for a in ("--set", f"{n}={v}"))]


def test_the_command_ends_with_1_where_too_many_conversations_failed(place, monkeypatch, capsys):
    place.stage.fails = lambda call, adapter: call.role == "user" and adapter is None and call.session.endswith("i1/s0")
    code, out, err = command(monkeypatch, capsys, "train-ei", *arguments_of(place, rollout__turns=2))
    assert code == 1
    assert "Held-out reward" in out
    assert "Traceback" not in err


def test_the_command_ends_with_0_where_all_went_well(place, monkeypatch, capsys):
    code, out, err = command(monkeypatch, capsys, "train-ei", *arguments_of(place), "--name", "mine", "--json")
    assert (code, json.loads(out)["iterations"]) == (0, 1), err
    again = command(monkeypatch, capsys, "train-ei", *arguments_of(place), "--name", "mine")
    assert again[0] == 2
    assert "is finished and is never overwritten" in again[2]


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("nowhere", "there are no trajectories at nowhere"),
        ("other.jsonl", "is of the environment kiosk, and `environment.name` is booth"),
        ("heldout.jsonl", "has no conversation from a `train` state"),
    ],
)
def test_a_start_that_cannot_be_trained_on_ends_the_command_with_2_and_writes_nothing(place, monkeypatch, capsys, start, says):
    text = given(place).read_text()
    Path("other.jsonl").write_text(text.replace('"environment":"booth"', '"environment":"kiosk"'))
    Path("heldout.jsonl").write_text("".join(line for line in text.splitlines(keepends=True) if '"split":"heldout"' in line))
    shutil.rmtree("runs", ignore_errors=True)
    before = sorted(Path().rglob("*"))
    code, out, err = command(monkeypatch, capsys, "train-kto", *arguments_of(place), "--start-from", start)
    assert (code, out) == (2, "")
    assert err.startswith("influence: training.start_from: ")
    assert says in err
    assert sorted(Path().rglob("*")) == before


def test_an_interruption_while_training_leaves_the_engine_awake_and_the_run_unfinished(place):
    def interrupt(label: str) -> None:
        if label == "iteration 2, before step 2":
            raise asyncio.CancelledError

    place.stage.moment = interrupt
    with pytest.raises(asyncio.CancelledError):
        place.train()
    assert [event.deed for event in place.stage.deeds("sleep", "train", "wake")][-3:] == ["sleep", "train", "wake"]
    assert place.stage.deeds("close")
    assert Run(Path("runs/run")).manifest["status"] == "interrupted"
    place.stage.moment = lambda label: None
    run = place.train()
    assert run.manifest["status"] == "finished"
    assert all(one == other for one, other in pairwise(t for t in trainings() if t["iteration"] == 2))
