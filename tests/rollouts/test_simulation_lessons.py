"""Where earlier systems went wrong (PARITY, Simulation), and that we do not: one test an item, named in its docstring."""

from __future__ import annotations

import asyncio
import json
import pickle
import shutil

import pytest
from holding import BOOTH, ROLES, SCRIPTS, Recorder, booth, booth_with, fails, hold, judges, says, scripted, settings_of

from influence.chat import message_from_dict
from influence.config.layers import resolve, set_layer
from influence.engines.opening import RoleModel
from influence.environments.loading import load_environment
from influence.errors import ConfigError, WorldError
from influence.rollouts.cast import rules_from
from influence.rollouts.conversation import converse
from influence.rollouts.draws import largest_remainder, plan
from influence.rollouts.progress import Progress
from influence.rollouts.scheduler import run_all
from influence.rollouts.simulation import prepare
from influence.runs.journal import Journal


def test_conversations_do_not_wait_for_each_other_between_turns():
    """'five lock-step barriers a turn': a conversation ends while another still waits for its first answer."""
    ended: list[str] = []
    gate = asyncio.Event()

    class Slow(Recorder):
        async def generate(self, messages, sampling, call, *rest, **named):
            if call.session == planned[0].key:
                await gate.wait()
            return await super().generate(messages, sampling, call, *rest, **named)

    planned = plan(booth().initial_states, 4, 1, "sequential", 0, 0)
    engine = Slow(scripted())
    roles = {role: RoleModel(engine, None, "scripted/clerk") for role in ROLES}
    rules = rules_from(settings_of(), booth().file)

    async def hold_one(one):
        return await converse(one, booth(), roles, rules, Progress(4))

    def done(record):
        ended.append(record.key)
        if len(ended) == 3:
            gate.set()

    asyncio.run(asyncio.wait_for(run_all(planned, hold_one, done, 4), 30))
    assert ended[3] == planned[0].key


def test_no_user_reply_after_the_last_turn():
    """'a user reply generated after the last turn (60 % of calls useless in one-turn runs)'."""
    held = hold(sets=["rollout.turns=1"])
    assert held.of("user") == []
    assert len(held.asked) == 4


def test_ratings_are_read_from_all_ten_labels_and_not_from_the_likeliest_few():
    """'ratings taken from temperature- and nucleus-truncated scores, top 10 tokens only': the tail counts in full."""
    tail = {str(n): 0.002 for n in range(1, 10)} | {"10": 0.1, "a": 0.4, "b": 0.4}
    score = hold(judges("preference", tail), sets=["rollout.turns=1"]).record.turns[0].preference
    assert score.value == pytest.approx((sum(range(1, 10)) * 0.002 + 10 * 0.1) / (9 * 0.002 + 0.1))


def test_zero_mass_is_missing_and_never_a_rating_of_zero():
    """'zero mass became rating 0'."""
    record = hold(judges("preference", {"eight": 1.0}), judges("influence", {"no": 1.0})).record
    for turn in record.turns:
        assert turn.preference.value is None
        assert turn.influence.value is None
        assert turn.preference.reason
    assert (record.reward, record.influence) == (None, None)


def test_what_was_injected_in_the_rollout_is_in_the_record():
    """'injected messages shown in the rollout but dropped from the training row': the record rebuilds every prompt."""
    held = hold(judges("transition", {"board": 1.0}))
    told = [m for m in held.record.messages if "agent" in m.get("seen_by", ["agent"])]
    last_reply = held.record.messages[held.record.turns[-1].reply]
    assert last_reply == told[-1]
    rebuilt = [(m.role, m.content) for m in map(message_from_dict, told[:-1])]
    shown = [(m.role, m.content) for m in held.of("agent")[-1].prompt]
    assert shown == [("system", held.record.agent_system), *rebuilt]


def test_the_length_penalty_is_on_the_agents_own_words_alone():
    """'length penalty measured on the injected message': nor on the opening, the user or a note."""
    long = "A very long note. " * 50
    world = booth_with(boarded={"transitions": {"go": "left"}, "inject": [{"role": "user", "content": long}]})
    script = [judges("transition", {"board": 1.0}), says("agent", "n" * 250), says("user", "u" * 500)]
    for opening in ("booth/platform/hurried/night-train", "booth/platform/calm/lost-child"):
        record = hold(*script, world=world, opening=opening, sets=["reward.length_penalty=2"]).record
        assert len(record.turns) == 2
        assert record.reward == pytest.approx(8.0 - 2 * 500 / 1000)


def test_duplicate_draws_of_a_state_stay_conversations_of_their_own():
    """'duplicate draws of a state merged into one trajectory'."""
    states = booth().initial_states[:2]
    planned = plan(states, 7, 1, "sequential", 0, 0)
    assert len({p.key for p in planned}) == len({p.seed for p in planned}) == 7


def test_shares_that_do_not_divide_evenly_still_fill_the_run():
    """'fractions that int() rounds to a sum one short killed the run': int(0.29 * 100) is 28."""
    assert int(0.29 * 100) + int(0.71 * 100) < 100
    assert sum(largest_remainder(100, {"calm": 0.29, "hurried": 0.71}).values()) == 100
    simulation = prepare(settings_of(f"environment.name='{BOOTH}'", "environment.kinds={calm=0.29, hurried=0.71}", *clerks()))
    assert len(simulation.planned) == 32


def test_a_crash_of_one_worker_is_noticed_at_once():
    """'crashed workers unnoticed': the first exception ends the rollout."""

    async def work(job: int) -> int:
        await asyncio.sleep(0)
        if job == 3:
            raise RuntimeError("worker 3 is gone")
        return job

    done: list[int] = []
    with pytest.raises(RuntimeError, match="worker 3"):
        asyncio.run(run_all(range(1000), work, done.append, 4))
    assert len(done) < 10


def test_a_conversation_is_on_disk_as_soon_as_it_has_ended(tmp_path):
    """'nothing written before the end'."""
    journal = Journal(tmp_path / "trajectories.jsonl")
    on_disk: list[int] = []

    async def work(job: int) -> int:
        await asyncio.sleep(0)
        on_disk.append(len(journal.path.read_text().splitlines()))
        return job

    asyncio.run(run_all(range(5), work, lambda job: journal.append(str(job), json.dumps({"key": str(job)})), 1))
    journal.close()
    assert on_disk == [0, 1, 2, 3, 4]


def test_the_seed_reaches_every_request():
    """'seeds without effect': other seeds, other requests; the same seed, the same ones."""
    several = says("agent", "one", "two", "three", "four", "five", "six", "seven", "eight")

    def talk(seed: int):
        held = hold(several, seed=seed)
        return held.said(), [asked.call.seed for asked in held.asked]

    assert talk(1) == talk(1)
    assert talk(1)[0] != talk(2)[0]
    seeds = [seed for root in range(20) for seed in talk(root)[1]]
    assert len(set(seeds)) == len(seeds)


def test_each_side_reads_the_others_words_as_the_others():
    """'API role mapping sent assistant turns as user': the agent's own words are `assistant` to it, `user` to the user."""
    held = hold()
    for asked in held.of("agent"):
        assert all((m.role == "assistant") == (m.content == "Platform nine.") for m in asked.prompt)
    for asked in held.of("user"):
        theirs = [m for m in asked.prompt[2:] if m.role == "user"]
        assert {m.content for m in theirs} == {"Platform nine."}
        assert len(theirs) == asked.call.turn


def test_what_a_conversation_needs_is_small():
    """'the whole scenario file pickled into each work item'."""
    planned = prepare(settings_of("environment.name='therapy-talk'", *clerks())).planned
    world = sum(len(path.read_bytes()) for path in load_environment("therapy-talk").folder.rglob("*.toml"))
    assert max(len(pickle.dumps(p)) for p in planned) < world / 20


def clerks() -> list[str]:
    return [f"models.{role}='scripted/{SCRIPTS / 'clerk.toml'}'" for role in ("agent", "user", "judge")]


@pytest.mark.parametrize(
    ("file", "key", "misspelt"),
    [
        ("environment.toml", "cue = ", "queue = "),
        ("environment.toml", "[states.asking.scale]", "[states.asking.scales]"),
        ("scenarios/platform.toml", "split = ", "splits = "),
    ],
)
def test_a_misspelt_key_of_an_environment_is_an_error_with_its_place(tmp_path, file, key, misspelt):
    """'misspelt keys in environment files silently ignored'."""
    folder = tmp_path / "booth"
    shutil.copytree(BOOTH, folder)
    text = (folder / file).read_text()
    assert key in text
    (folder / file).write_text(text.replace(key, misspelt, 1))
    with pytest.raises(WorldError) as caught:
        load_environment(str(folder))
    word, right = misspelt.strip("[] =").split(".")[-1], key.strip("[] =").split(".")[-1]
    assert f"{folder / file}, line {text[: text.index(key)].count(chr(10)) + 1}" in str(caught.value)
    assert f"`{word}`" in str(caught.value)
    assert right in str(caught.value)


def test_a_misspelt_key_of_a_configuration_is_an_error():
    """The same for `--set`."""
    with pytest.raises(ConfigError, match="conversation"):
        resolve(settings_of().__class__, [set_layer("rollout.conversation=3")])


def test_one_bad_conversation_does_not_stop_the_others():
    """'one failed call lost the whole run'."""
    engine = scripted(fails("user", share=0.5))
    roles = {role: RoleModel(engine, None, "scripted/clerk") for role in ROLES}
    rules = rules_from(settings_of(), booth().file)
    records = []

    async def hold_one(one):
        return await converse(one, booth(), roles, rules, Progress(40))

    asyncio.run(run_all(plan(booth().initial_states, 40, 1, "sequential", 0, 0), hold_one, records.append, 8))
    assert len(records) == 40
    assert 0 < sum(record.failed for record in records) < 40
    assert all(record.error for record in records if record.failed)
