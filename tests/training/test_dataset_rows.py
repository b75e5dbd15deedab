"""Dataset rows hold what the agent saw and sampled, id for id, in every style of template: each reply once, nothing else.

The rollout is acted out here as the program does it: each prompt is built from the messages as they stand in memory. The
rows come from the record on disk alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import pytest
from engines.small_models import SPECIALS, STYLES, Model, make_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollouts.holding import booth, hold, judges, rules_from, says, scripted, settings_of

from influence.chat import EVERYONE, Message, ToolCall, agent_view
from influence.engines.base import Completion, Finish
from influence.errors import RunError, TrainerError
from influence.rollouts.records import StopReason, TrajectoryRecord, TurnRecord
from influence.training.datasets import imitation_rows, liking_rows, sampled_turns, static_row
from influence.training.rows import Row, file_digest, read_rows, write_rows

unhurried = settings(suppress_health_check=[HealthCheck.too_slow])  # other work on this machine is not a failure
SYSTEM = "You are a clerk"
CALL = ToolCall("c12345678", "book", '{"train": "ICE 5"}')
TOOLS = [
    {
        "type": "function",
        "function": {"name": "book", "description": "Book a seat.", "parameters": {"type": "object", "properties": {}}},
    }
]


@pytest.fixture(params=STYLES)
def model(request: pytest.FixtureRequest) -> Model:
    return make_model(request.param)


@dataclass(frozen=True)
class Reply:
    """What the agent samples: a text, in the ids that encoding gives or in others; `cut` so many ids short of its end."""

    text: str
    canonical: bool = False
    cut: int = 0
    calls: tuple[ToolCall, ...] = ()
    end: str | None = None  # another token than the template's
    words: str | None = None  # what is left of the text when the engine has read the calls out of it


@dataclass(frozen=True)
class Turn:
    reply: Reply
    then: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Played:
    """A conversation: its record as read from disk, and each reply with the prompt that it was sampled from."""

    model: Model
    record: TrajectoryRecord
    prompts: list[list[int]]
    replies: list[list[int]]

    def imitation(self) -> list[Row]:
        return imitation_rows([self.record], self.model.template, TOOLS)

    def liking(self, good: bool = True) -> list[Row]:
        return liking_rows([self.record], {self.record.key: good}, self.model.template, TOOLS)


def sample(model: Model, reply: Reply) -> Completion:
    """As the engine answers: the last id of a reply that was not cut is the end of its message."""
    if reply.canonical:
        ids = tuple(model.tokenizer.encode(reply.text, add_special_tokens=False, split_special_tokens=True))
    else:
        ids = model.ids_as_sampled(reply.text)
    kept = ids[: max(1, len(ids) - reply.cut)] if reply.cut else ids
    end = model.tokenizer.convert_tokens_to_ids(reply.end) if reply.end else model.end
    finish = Finish.LENGTH if reply.cut else Finish.TOOL_CALLS if reply.calls else Finish.STOP
    return Completion(
        text=model.tokenizer.decode(kept, skip_special_tokens=True) if reply.words is None else reply.words,
        finish=finish,
        usage=None,  # type: ignore[arg-type]
        token_ids=kept if reply.cut else (*kept, end),
        content_ids=kept,
        tool_calls=reply.calls,
    )


def play(model: Model, opening: Sequence[Message], turns: Sequence[Turn], key: str = "booth/a/0") -> Played:
    messages, records = list(opening), list[TurnRecord]()
    prompts, replies = list[list[int]](), list[list[int]]()
    for turn in turns:
        prompts.append(model.template.prompt_ids(agent_view(SYSTEM, messages), TOOLS))
        said = sample(model, turn.reply)
        replies.append(list(said.token_ids or ()))
        records.append(
            TurnRecord(
                reply=len(messages),
                finish=said.finish,
                preference=None,
                transition=None,
                influence=None,
                state="asking",
                token_ids=replies[-1],
            )
        )
        messages.append(Message("assistant", said.text, tool_calls=said.tool_calls, token_ids=said.content_ids))
        messages.extend(turn.then)
    record = TrajectoryRecord(
        key=key,
        environment="booth",
        scenario="platform",
        kind="calm",
        state="a",
        split="train",
        sample=0,
        iteration=0,
        seed=0,
        models={"agent": "local/tiny"},
        variables={},
        agent_system=SYSTEM,
        messages=[message.to_dict() for message in messages],
        turns=records,
        preference=None,
        reward=5.0,
        influence=0.0,
        stop_reason=StopReason.TURN_LIMIT,
        error=None,
        usage={},
        started=0.0,
        seconds=0.0,
    )
    return Played(model, TrajectoryRecord.model_validate_json(record.model_dump_json()), prompts, replies)


def user(text: str, **more: Any) -> Message:
    return Message("user", text, **more)


def trained(row: Row) -> list[list[int]]:
    return [row.token_ids[start:end] for start, end in row.trained]


def texts(model: Model, row: Row) -> list[str]:
    return [model.text(ids) for ids in trained(row)]


# Tools that answer within a turn


def test_a_reply_that_called_a_tool_is_trained_as_it_was_sampled_and_later_prompts_show_the_call(model):
    """Its text has no call any more, its ids have; what follows is built from the call as data, in rollout and rows alike."""
    answered = Message("tool", "seat 12", tool_call_id=CALL.id, seen_by=("agent", "judges"))
    played = play(
        model,
        [user("A seat to Ulm")],
        [
            Turn(Reply("I book. <tool>book ICE 5</tool>", calls=(CALL,), words="I book."), (answered,)),
            Turn(Reply("Seat 12 is yours"), (user("Sure?"),)),
            Turn(Reply("Yes")),
        ],
    )
    rows = played.imitation()
    assert [ids for row in rows for ids in trained(row)] == played.replies
    for row in rows:
        for start, end in row.trained:
            place = played.replies.index(row.token_ids[start:end])
            assert row.token_ids[:start] == played.prompts[place]
    assert [row.turns for row in played.liking()] == [[1], [2], [3]]


# By property: any conversation

PIECES = st.sampled_from(
    [*sorted({t for tokens in SPECIALS.values() for t in tokens}), "think", " the", "\n", "é", "字", "<|", " "]
)
WORDS = st.lists(PIECES | st.text(st.characters(codec="utf-8"), max_size=4), max_size=5).map("".join)
SEEN_BY = st.sampled_from([EVERYONE, EVERYONE, ("agent",), ("user", "judges"), ("judges",), ()])
TOOL_TALK = (Message("assistant", "", tool_calls=(CALL,)), Message("tool", "seat 12", tool_call_id=CALL.id))


@st.composite
def some_messages(draw: st.DrawFn, name: str, most: int, first: bool) -> tuple[Message, ...]:
    """Messages that each begin with a tag of their own, calls of tools and their results among them."""
    made: list[Message] = []
    for number in range(draw(st.integers(int(first), most))):
        kind = "user" if first and not number else draw(st.sampled_from(["user", "assistant", "system", "tool"]))
        tag, words = f"[{name}{number}]", draw(WORDS)
        if kind == "tool":
            made += [replace(TOOL_TALK[0], content=tag + words), replace(TOOL_TALK[1], content=f"[{name}{number}r]" + words)]
        else:
            ids = (1, 2, 3) if kind == "user" and draw(st.booleans()) else None  # sampled by the user's own model
            seen_by = EVERYONE if first else draw(SEEN_BY)
            made.append(Message(kind, tag + words, token_ids=ids, injected=not first, seen_by=seen_by))
    return tuple(made)


@st.composite
def some_turn(draw: st.DrawFn, number: int) -> Turn:
    cut = draw(st.sampled_from([0, 0, 0, 1, 2, 5]))
    calls = (CALL,) if not cut and draw(st.integers(0, 4)) == 0 else ()
    reply = Reply(f"[reply{number}]" + draw(WORDS), draw(st.booleans()), cut, calls)
    result = (Message("tool", f"[result{number}]", tool_call_id=CALL.id),) if calls else ()
    said = (user(f"[user{number}]" + draw(WORDS), token_ids=(4, 5)),) if draw(st.integers(0, 4)) else ()
    return Turn(reply, (*result, *draw(some_messages(f"injected{number}.", 2, False)), *said))


@st.composite
def some_play(draw: st.DrawFn) -> Played:
    model = make_model(draw(st.sampled_from(STYLES)))
    opening = draw(some_messages("opening", 4, True))
    if draw(st.booleans()):
        opening = (Message("assistant", "[seeded]" + draw(WORDS)), *opening)
    turns = [draw(some_turn(number)) for number in range(draw(st.integers(1, 4)))]
    return play(model, opening, turns)


@unhurried
@given(some_play())
def test_each_sampled_reply_is_trained_once_and_nothing_else_is(played):
    for rows in (played.imitation(), played.liking()):
        assert [turn for row in rows for turn in row.turns] == list(range(1, len(played.replies) + 1))
        assert [ids for row in rows for ids in trained(row)] == played.replies


@unhurried
@given(some_play())
def test_a_reply_stands_behind_the_prompt_that_it_was_sampled_from(played):
    for rows in (played.imitation(), played.liking()):
        shown = {turn: row.token_ids[:start] for row in rows for turn, (start, _) in zip(row.turns, row.trained, strict=True)}
        assert shown == dict(enumerate(played.prompts, start=1))
    assert [turn.prompt_ids for turn in sampled_turns(played.record, played.model.template, TOOLS)] == played.prompts


@unhurried
@given(some_play())
def test_a_row_ends_with_its_last_reply(played):
    for row in (*played.imitation(), *played.liking()):
        assert row.trained[-1][1] == len(row.token_ids)
        assert row.trained == sorted(row.trained)
        assert row.trained_tokens == sum(len(played.replies[turn - 1]) for turn in row.turns)


@unhurried
@given(some_play())
def test_there_is_one_bos_where_the_template_has_one(played):
    for row in (*played.imitation(), *played.liking()):
        if played.model.bos is not None:
            assert row.token_ids[0] == played.model.bos
        assert row.token_ids.count(played.model.bos) == (played.model.bos is not None)


@unhurried
@given(some_play())
def test_a_row_holds_all_that_the_agent_may_see_and_nothing_that_it_may_not(played):
    """Up to its last reply, that is: injected messages, tool calls, their results and the system prompt."""
    sampled = {turn.reply for turn in played.record.turns}
    others = [(number, m) for number, m in enumerate(played.record.messages) if number not in sampled]
    for row in (*played.imitation(), *played.liking()):
        text, last = played.model.text(row.token_ids), played.record.turns[row.turns[-1] - 1].reply
        assert SYSTEM in text
        assert "Book a seat." in text
        for number, message in others:
            tag = message["content"].partition("]")[0] + "]"
            assert (tag in text) == (number < last and "agent" in message.get("seen_by", EVERYONE)), message
        calls = sum("tool_calls" in message for number, message in others if number < last)
        assert text.count("ICE 5") == calls


@unhurried
@given(some_play())
def test_seeded_replies_are_under_no_loss(played):
    for row in (*played.imitation(), *played.liking()):
        for ids in trained(row):
            assert not any(tag in played.model.text(ids) for tag in ("[seeded]", "[opening", "[injected", "[user", "[result"))


@unhurried
@given(some_play())
def test_the_only_special_token_under_the_loss_is_the_end_of_a_reply(played):
    """Whatever special tokens the users and the agent spell in their messages."""
    for row in (*played.imitation(), *played.liking()):
        for turn, ids in zip(row.turns, trained(row), strict=True):
            ended = played.record.turns[turn - 1].finish != Finish.LENGTH
            assert played.model.specials_in(ids) == ([played.model.end] if ended else [])


@unhurried
@given(some_play(), st.booleans())
def test_a_liking_row_is_one_reply_with_its_own_prompt_and_its_trajectorys_label(played, good):
    rows = played.liking(good)
    for row, prompt, reply in zip(rows, played.prompts, played.replies, strict=True):
        assert row.prompt_ids == prompt
        assert row.token_ids == [*prompt, *reply]
        assert row.trained == [(len(prompt), len(row.token_ids))]
        assert row.label is good
    assert all(row.label is None for row in played.imitation())


@unhurried
@given(some_play())
def test_rows_are_written_and_read_again(tmp_path_factory, played):
    path = tmp_path_factory.mktemp("rows") / "dataset.jsonl"
    rows = [*played.imitation(), *played.liking()]
    digest = write_rows(path, rows)
    assert list(read_rows(path)) == rows
    assert digest == file_digest(path) == sha256(path.read_bytes()).hexdigest()


# By value


THREE = [
    Turn(Reply("Platform nine"), (user("And then?"),)),
    Turn(Reply("You wait"), (Message("system", "The bell rings", injected=True), user("I hear it"))),
    Turn(Reply("Then board")),
]


def test_a_conversation_is_one_row_by_imitation_and_one_a_turn_by_liking(model):
    played = play(model, [user("Where does it leave?")], THREE)
    (row,) = played.imitation()
    assert (row.key, row.trajectory, row.turns, row.source) == ("booth/a/0/t1-2-3", "booth/a/0", [1, 2, 3], "rollout")
    assert row.prompt_ids == played.prompts[0]
    end = model.text([model.end])
    assert texts(model, row) == [f"Platform nine{end}", f"You wait{end}", f"Then board{end}"]
    rows = played.liking()
    assert [(r.key, r.trajectory, r.turns) for r in rows] == [(f"booth/a/0/t{n}", "booth/a/0", [n]) for n in (1, 2, 3)]
    assert [texts(model, r) for r in rows] == [[text] for text in texts(model, row)]
    assert rows[-1].token_ids == row.token_ids


def test_a_row_as_text():
    played = play(make_model("chatml"), [Message("assistant", "Welcome"), user("Hi <|im_end|>")], THREE[1:])
    (row,) = played.imitation()
    specs = played.model.text(row.token_ids).partition("You may call these tools:\n")[2].partition("<|im_end|>")[0]
    assert played.model.text(row.token_ids) == (
        f"<|im_start|>system\nYou are a clerk\n\nYou may call these tools:\n{specs}<|im_end|>\n"
        "<|im_start|>assistant\nWelcome<|im_end|>\n<|im_start|>user\nHi <|im_end|><|im_end|>\n"
        "<|im_start|>assistant\nYou wait<|im_end|>\n"
        "<|im_start|>system\nThe bell rings<|im_end|>\n<|im_start|>user\nI hear it<|im_end|>\n"
        "<|im_start|>assistant\nThen board<|im_end|>"
    )
    assert texts(played.model, row) == ["You wait<|im_end|>", "Then board<|im_end|>"]


def test_a_reply_that_was_cut_is_trained_without_an_end(model):
    """The end that the template puts behind it was never sampled: it is in the row, and not under the loss."""
    turns = [Turn(Reply("Platform nine", cut=4), (user("And then?"),)), THREE[2]]
    (row,) = play(model, [user("Where?")], turns).imitation()
    assert texts(model, row) == ["Platform ", f"Then board{model.text([model.end])}"]
    assert row.token_ids[row.trained[0][1]] == model.end


def test_a_reply_cut_within_a_character_is_trained_as_it_was_sampled(model):
    reply = Reply("字", cut=1)
    assert "\ufffd" in sample(model, reply).text
    played = play(model, [user("Where?")], [Turn(reply, (user("What?"),)), THREE[2]])
    assert [ids for row in played.imitation() for ids in trained(row)] == played.replies


def test_a_reply_that_ended_in_its_own_way_begins_no_longer_row(model):
    """Later prompts show the template's end in its place, so what was sampled is not what they begin with."""
    other = SPECIALS[model.style][-2]
    turns = [Turn(Reply("Platform nine", end=other), (user("And then?"),)), *THREE[1:]]
    played = play(model, [user("Where?")], turns)
    first, second = played.imitation()
    assert (first.turns, second.turns) == ([1], [2, 3])
    assert texts(model, first) == [f"Platform nine{other}"]
    assert second.key == "booth/a/0/t2-3"


def test_the_agents_words_that_a_template_joins_to_others_are_still_trained_once():
    """A template that wants the roles in turn shows a reply and the assistant's injected words as one message."""
    model = make_model("gemma")
    note = Message("assistant", "(The clerk yawns)", injected=True)
    played = play(model, [user("Where?")], [Turn(Reply("Platform nine"), (note, user("And then?"))), *THREE[1:]])
    first, second = played.imitation()
    assert (first.turns, second.turns) == ([1], [2, 3])
    assert "Platform nine\n\n(The clerk yawns)<end_of_turn>" in model.text(second.token_ids)
    assert [ids for row in (first, second) for ids in trained(row)] == played.replies


def test_a_template_that_rewrites_earlier_replies_makes_a_row_of_each():
    """It shows the first letters of earlier replies, as templates of reasoning models leave their thoughts away."""
    rewriting = """{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\n' + m.content[:8] + '<|im_end|>\n' }}
{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"""
    model = make_model("chatml", rewriting)
    played = play(model, [user("Where?")], THREE)
    rows = played.imitation()
    assert [row.turns for row in rows] == [[1], [2], [3]]
    assert [row.prompt_ids for row in rows] == played.prompts
    assert [text for row in rows for text in texts(model, row)] == [f"{turn.reply.text}<|im_end|>" for turn in THREE]
    assert "Platform<|im_end|>" in model.text(rows[2].prompt_ids)


def test_rows_of_several_trajectories_keep_their_names_and_labels(model):
    played = [play(model, [user(f"Where is {n}?")], THREE[:n], key=f"booth/a/{n}") for n in (1, 2, 3)]
    records = [one.record for one in played]
    good = {"booth/a/1": True, "booth/a/2": False, "booth/a/3": True}
    rows = liking_rows(records, good, model.template, TOOLS)
    assert [(row.trajectory, *row.turns, row.label) for row in rows] == [
        (key, turn, good[key]) for n, key in enumerate(good, start=1) for turn in range(1, n + 1)
    ]
    assert [row.trajectory for row in imitation_rows(records, model.template, TOOLS)] == list(good)
    every = [*rows, *imitation_rows(records[1:], model.template, TOOLS)]
    assert len({row.key for row in every}) == len(every)


def test_a_trajectory_that_ended_before_a_reply_makes_no_row(model):
    played = play(model, [user("Where?")], [])
    assert played.imitation() == played.liking() == []


# Through the program's own conversation


class Tokenizing:
    """The scripted engine with a tokenizer: the agent's prompts and replies are token ids, as with a local model."""

    def __init__(self, model: Model, *rules: Any) -> None:
        self._engine, self._model = scripted(*rules), model
        self.prompts: list[list[int]] = []
        self.replies: list[list[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, messages: Any, sampling: Any, call: Any, adapter: Any = None, tools: Any = ()) -> Completion:
        said = await self._engine.generate(messages, sampling, call, adapter, tools)
        sampled = sample(self._model, Reply(said.text, cut=0 if said.finish == Finish.STOP else 1))
        if call.role == "agent":
            self.prompts.append(self._model.template.prompt_ids(messages, tools))
            self.replies.append(list(sampled.token_ids or ()))
        return replace(said, text=sampled.text, token_ids=sampled.token_ids, content_ids=sampled.content_ids)


BOARD = judges("transition", {"board": 1.0}, turn=2)
HELD = {
    "plain": ("booth/platform/hurried/night-train", (), ()),
    "seeded": ("booth/platform/hurried/lost-child", (BOARD,), ("rollout.turns=4",)),
    "tools": ("booth/ticket/hurried/failed-booking", (BOARD,), ("rollout.turns=4",)),
    "cut": (
        "booth/platform/calm/night-train",
        (says("agent", "x" * 99, turn=2),),
        ("rollout.turns=3", "sampling.agent.max_tokens=8"),
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_rows_of_a_conversation_that_was_held(model, case):
    opening, rules, sets = HELD[case]
    engine = Tokenizing(model, *rules)
    record = hold(sets=sets, opening=opening, engine=engine).record
    record = TrajectoryRecord.model_validate_json(record.model_dump_json())
    tools = rules_from(settings_of(*sets), booth().file).tools
    assert tools
    assert len(engine.prompts) == len(record.turns) > 1
    assert [row.prompt_ids for row in liking_rows([record], {record.key: True}, model.template, tools)] == engine.prompts
    (row,) = imitation_rows([record], model.template, tools)
    assert [row.token_ids[:start] for start, _ in row.trained] == engine.prompts
    assert trained(row) == engine.replies
    text = model.text(row.token_ids)
    assert text.count("I am on the train now. Thank you!") == (BOARD in rules)
    assert "boards the train." not in text
    assert ("sold out" in text) == (case == "tools")
    assert ("Good evening, how can I help?" in text) == (case == "seeded")


# What cannot be trained on


def test_a_reply_without_token_ids_is_an_error(model):
    record = play(model, [user("Where?")], THREE).record
    turns = [record.turns[0], record.turns[1].model_copy(update={"token_ids": None}), record.turns[2]]
    bare = record.model_copy(update={"turns": turns, "models": {"agent": "openai/some-model"}})
    with pytest.raises(TrainerError, match=r"booth/a/0, turn 2: .*openai/some-model.*local model"):
        imitation_rows([bare], model.template, TOOLS)
    with pytest.raises(TrainerError, match="turn 2"):
        liking_rows([bare], {bare.key: True}, model.template, TOOLS)


def test_the_rows_of_a_scripted_agent_are_an_error(model):
    with pytest.raises(TrainerError, match=r"turn 1: there are no sampled token ids \(scripted/clerk shows none\)"):
        imitation_rows([hold().record], model.template, ())


def test_another_tokenizers_ids_are_an_error(model):
    record = play(model, [user("Where?")], THREE).record
    shifted = [id_ + 1 if id_ != model.end else id_ for id_ in record.turns[2].token_ids or ()]
    turns = [*record.turns[:2], record.turns[2].model_copy(update={"token_ids": shifted})]
    foreign = record.model_copy(update={"turns": turns})
    with pytest.raises(TrainerError, match=r"booth/a/0, turn 3: .*tokenizer.*local/tiny"):
        imitation_rows([foreign], model.template, TOOLS)


@pytest.mark.parametrize("line", ['{"schema_version": 2}', "[1]", "no row"])
def test_a_line_that_is_no_row_is_an_error(tmp_path, line):
    path = tmp_path / "dataset.jsonl"
    write_rows(path, play(make_model("llama"), [user("Where?")], THREE).liking())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RunError, match=r"dataset.jsonl, line 4"):
        list(read_rows(path))


# Data of others


def test_a_row_of_static_data_is_ended_as_the_model_ends_its_messages(model):
    prompt = [user("Where?"), Message("assistant", "Nine"), user("Sure?")]
    row = static_row("static/hh/7/good", prompt, "Quite sure", True, model.template)
    assert (row.key, row.source, row.trajectory, row.turns, row.label) == ("static/hh/7/good", "static", None, [], True)
    assert row.prompt_ids == model.template.prompt_ids(prompt)
    assert texts(model, row) == [f"Quite sure{model.text([model.end])}"]
    assert row.trained == [(len(row.prompt_ids), len(row.token_ids))]
    assert row.token_ids.count(model.bos) == (model.bos is not None)
