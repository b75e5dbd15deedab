"""Mail and calendar: every tool and every rule by value, and no sequence of calls after which two answers disagree."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.errors import WorldError
from influence.tools.loading import first_error, load_toolkit
from influence.tools.programs import PROGRAMS
from influence.tools.programs.base import ToolFault
from influence.tools.schema import Parameter, object_schema

KIT = load_toolkit("mailbox")
MAILBOX = PROGRAMS["mailbox"]
TOOLS = {tool.name: tool for tool in KIT.file.tools}
ME, ANN, BOB, EVE = "me@home.example", "ann@home.example", "bob@work.example", "eve@else.example"


def mail(**other: Any) -> dict[str, Any]:
    usual = {"folder": "inbox", "sender": ANN, "to": [ME], "subject": "Plan", "body": "The code is 4711.", "attachments": []}
    return {**usual, "sent_at": "2031-05-09T10:00", "unread": True, **other}


def event(start: str, minutes: float = 60, **other: Any) -> dict[str, Any]:
    usual = {"title": "Talk", "start": start, "minutes": minutes, "place": "Hall", "organiser": ME, "attendees": [], "notes": ""}
    return {**usual, **other}


def small() -> dict[str, Any]:
    return {
        "owner": ME,
        "now": "2031-05-12T09:00",
        "next_mail": 1,
        "next_event": 20,
        "delivered": [],
        "mails": {
            "MSG-2": mail(),
            "MSG-10": mail(to=[ME, BOB], subject="Re: Trip", body="Boat at noon", attachments=["map.pdf"], unread=False),
            "MSG-3": mail(folder="sent", sender=ME, to=[BOB, ME], subject="Lunch", body="Soup?", sent_at="2031-05-10T08:00"),
            "MSG-4": mail(folder="archive", sender=ME, to=[ME], subject="Note to self", sent_at="2031-01-01T00:00"),
        },
        "events": {
            "EVT-5": event("2031-05-13T10:00", title="Review", attendees=[ANN, ME, BOB]),
            "EVT-6": event("2031-05-13T23:30", title="Night train", notes="Seat 61"),
            "EVT-7": event("2031-05-14T09:00", title="Visit", organiser=EVE, attendees=[ME]),
            "EVT-8": event("2031-05-14T09:30", title="Gym"),
        },
    }


def call(state: dict[str, Any], tool: str, /, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """One call, held to what is promised of every call."""
    spec, given_ = TOOLS[tool], deepcopy((state, arguments))
    assert first_error(arguments, object_schema(spec.parameters)) is None
    try:
        new, result = MAILBOX.answer(state, tool, arguments)
    except ToolFault as fault:
        if fault.name not in {exception.name for exception in spec.exceptions} or not fault.message:
            raise AssertionError(f"{tool} does not declare {fault!r}") from fault
        raise
    finally:
        assert (state, arguments) == given_
    assert first_error(result, object_schema(spec.returns)) is None
    assert first_error(new, MAILBOX.state) is None
    assert MAILBOX.answer(state, tool, arguments) == (new, result)
    said, world = deepcopy(result), deepcopy(new)
    _scribble(result)
    assert new == world
    return new, said


def _scribble(value: Any) -> None:
    """Empty every container in an answer, so that one shared with the state shows."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        _scribble(inner)
    if isinstance(value, (dict, list)):
        value.clear()


def after(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    state = small()
    for tool, arguments in calls:
        state, _ = call(state, tool, **arguments)
    return state


def found(state: dict[str, Any], **arguments: Any) -> list[str]:
    return [row["mail_id"] for row in call(state, "mail_search", **arguments)[1]["mails"]]


def test_the_shipped_toolkit_has_the_programs_tools_and_a_state_for_it():
    assert KIT.program is MAILBOX
    assert first_error(small(), MAILBOX.state) is None
    with pytest.raises(WorldError, match="mail_send"):
        MAILBOX.answer(small(), "mail_sent", {})


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ({}, ["MSG-3", "MSG-10", "MSG-2", "MSG-4"]),
        ({"query": "BOAT  trip"}, ["MSG-10"]),
        ({"query": "boat soup"}, []),
        ({"query": "map.pdf"}, ["MSG-10"]),
        ({"query": "bob@"}, ["MSG-3", "MSG-10"]),
        ({"folder": "inbox"}, ["MSG-10", "MSG-2"]),
        ({"sender": "Ann"}, ["MSG-10", "MSG-2"]),
        ({"sender": ME, "folder": "sent", "query": "soup"}, ["MSG-3"]),
        ({"folder": "spam"}, []),
    ],
)
def test_searching(arguments, ids):
    assert found(small(), **arguments) == ids


def test_a_mail_found():
    _, result = call(small(), "mail_search", query="4711 plan")
    row = {"mail_id": "MSG-2", "folder": "inbox", "sender": ANN, "subject": "Plan", "sent_at": "2031-05-09T10:00", "unread": True}
    assert result == {"now": "2031-05-12T09:00", "mails": [row]}


def test_reading_marks_a_mail_as_read():
    state, result = call(small(), "mail_read", mail_id="MSG-2")
    assert result == {"mail_id": "MSG-2", **{key: value for key, value in mail().items() if key != "unread"}}
    assert state["mails"]["MSG-2"] == mail(unread=False)


def test_sending_keeps_a_copy_under_an_id_that_nothing_has():
    state, result = call(small(), "mail_send", to=[f" {BOB}", ANN, BOB.upper()], subject="Hi", body="Come")
    assert result == {"mail_id": "MSG-11", "to": [BOB, ANN], "subject": "Hi"}
    _, copy = call(state, "mail_read", mail_id="MSG-11")
    sent = {"folder": "sent", "sender": ME, "to": [BOB, ANN], "subject": "Hi", "body": "Come", "attachments": []}
    assert copy == {"mail_id": "MSG-11", "sent_at": "2031-05-12T09:00", **sent}
    assert state["delivered"] == [{"kind": "mail", "to": [BOB, ANN], "subject": "Hi", "body": "Come", "attachments": []}]


@pytest.mark.parametrize(
    ("mail_id", "to_all", "to", "subject"),
    [
        ("MSG-2", None, [ANN], "Re: Plan"),
        ("MSG-2", True, [ANN], "Re: Plan"),
        ("MSG-10", False, [ANN], "Re: Trip"),
        ("MSG-10", True, [ANN, BOB], "Re: Trip"),
        ("MSG-3", False, [BOB], "Re: Lunch"),
    ],
)
def test_replying(mail_id, to_all, to, subject):
    arguments = {"mail_id": mail_id, "body": "Yes"} | ({} if to_all is None else {"to_all": to_all})
    state, result = call(small(), "mail_reply", **arguments)
    assert result == {"mail_id": "MSG-11", "to": to, "subject": subject}
    assert state["delivered"][-1] == {"kind": "mail", "to": to, "subject": subject, "body": "Yes", "attachments": []}


def test_forwarding_sends_text_and_attachments():
    state, result = call(small(), "mail_forward", mail_id="MSG-10", to=[EVE], comment="Look")
    assert result == {"mail_id": "MSG-11", "to": [EVE], "subject": "Fwd: Re: Trip"}
    letter = state["delivered"][-1]
    assert (letter["to"], letter["attachments"]) == ([EVE], ["map.pdf"])
    assert letter["body"] == f"Look\n\nForwarded mail from {ANN}, 2031-05-09T10:00\nSubject: Re: Trip\n\nBoat at noon"
    state, _ = call(small(), "mail_forward", mail_id="MSG-10", to=[EVE])
    assert state["delivered"][-1]["body"].startswith("Forwarded mail from")


def test_moving():
    state, result = call(small(), "mail_move", mail_id="MSG-2", folder="spam")
    assert result == {"mail_id": "MSG-2", "folder": "spam"}
    assert found(state, folder="spam") == ["MSG-2"]
    assert found(state, folder="inbox") == ["MSG-10"]


def test_a_deleted_mail_is_gone_and_its_id_stays_unused():
    state, result = call(small(), "mail_delete", mail_id="MSG-10")
    assert result == {"mail_id": "MSG-10", "subject": "Re: Trip"}
    assert found(state) == ["MSG-3", "MSG-2", "MSG-4"]
    with pytest.raises(ToolFault, match="no mail MSG-10"):
        call(state, "mail_read", mail_id="MSG-10")
    assert call(state, "mail_send", to=[BOB], subject="", body="x")[1]["mail_id"] == "MSG-11"


@pytest.mark.parametrize(
    ("first", "last", "ids"),
    [
        ("2031-05-12", "2031-05-12", []),
        ("2031-05-13", "2031-05-13", ["EVT-5", "EVT-6"]),
        ("2031-05-14", "2031-05-14", ["EVT-6", "EVT-7", "EVT-8"]),
        ("2031-05-13", "2031-05-14", ["EVT-5", "EVT-6", "EVT-7", "EVT-8"]),
        ("2031-05-15", "2099-12-31", []),
    ],
)
def test_listing_events_takes_those_that_reach_into_a_day(first, last, ids):
    _, result = call(small(), "calendar_list_events", from_date=first, to_date=last)
    assert [row["event_id"] for row in result["events"]] == ids
    assert result["now"] == "2031-05-12T09:00"


def test_an_event_that_ends_at_midnight_is_not_on_the_next_day():
    state = small() | {"events": {"EVT-1": event("2031-05-13T23:00")}}
    assert call(state, "calendar_list_events", from_date="2031-05-14", to_date="2031-05-14")[1]["events"] == []


def test_an_event_with_all_that_is_known():
    _, result = call(small(), "calendar_list_events", from_date="2031-05-13", to_date="2031-05-13")
    times = {"start": "2031-05-13T23:30", "end": "2031-05-14T00:30"}
    night = {"event_id": "EVT-6", "title": "Night train", "place": "Hall", "organiser": ME, "notes": "Seat 61", "attendees": []}
    assert result["events"][1] == night | times


def test_creating_an_event_invites_the_others():
    wanted = {"title": "Tea", "start": "2031-05-12T09:00", "minutes": 45.0, "place": "Garden", "notes": "Bring cups"}
    state, result = call(small(), "calendar_create_event", attendees=[ANN, ME, ANN.upper()], **wanted)
    assert result == {"event_id": "EVT-20", "start": "2031-05-12T09:00", "end": "2031-05-12T09:45", "invited": [ANN]}
    body = "2031-05-12T09:00 to 2031-05-12T09:45\nGarden\n\nBring cups"
    letter = {"kind": "invitation", "to": [ANN], "subject": "Invitation: Tea", "body": body, "attachments": []}
    assert state["delivered"] == [letter]
    _, listed = call(state, "calendar_list_events", from_date="2031-05-12", to_date="2031-05-12")
    assert listed["events"] == [
        {"event_id": "EVT-20", "end": "2031-05-12T09:45", "organiser": ME, "attendees": [ANN]}
        | {key: wanted[key] for key in ("title", "start", "place", "notes")}
    ]
    state, result = call(small(), "calendar_create_event", title="Alone", start="2031-05-12T09:00", minutes=1)
    assert (result["invited"], state["delivered"]) == ([], [])


def test_cancelling_an_event_tells_the_others():
    state, result = call(small(), "calendar_cancel_event", event_id="EVT-5", message="I am ill")
    assert result == {"event_id": "EVT-5", "notified": [ANN, BOB]}
    letter = {"kind": "cancellation", "to": [ANN, BOB], "subject": "Cancelled: Review", "body": "I am ill", "attachments": []}
    assert state["delivered"] == [letter]
    assert "EVT-5" not in state["events"]
    state, result = call(small(), "calendar_cancel_event", event_id="EVT-8")
    assert (result["notified"], state["delivered"]) == ([], [])


NEW = {"title": "Tea", "start": "2031-05-20T09:00", "minutes": 30}
FAULTS = [
    ("mail_read", {"mail_id": "MSG-99"}, "mail_not_found"),
    ("mail_send", {"to": [], "subject": "Hi", "body": "x"}, "no_recipients"),
    ("mail_send", {"to": ["Bob <bob@work.example>"], "subject": "Hi", "body": "x"}, "invalid_address"),
    ("mail_send", {"to": [BOB, "bob"], "subject": "Hi", "body": "x"}, "invalid_address"),
    ("mail_send", {"to": [BOB], "subject": " ", "body": "\n"}, "empty_mail"),
    ("mail_reply", {"mail_id": "", "body": "x"}, "mail_not_found"),
    ("mail_reply", {"mail_id": "MSG-2", "body": " "}, "empty_mail"),
    ("mail_reply", {"mail_id": "MSG-4", "body": "x", "to_all": True}, "no_recipients"),
    ("mail_forward", {"mail_id": "MSG-99", "to": [BOB]}, "mail_not_found"),
    ("mail_forward", {"mail_id": "MSG-2", "to": []}, "no_recipients"),
    ("mail_forward", {"mail_id": "MSG-2", "to": [""]}, "invalid_address"),
    ("mail_move", {"mail_id": "MSG-99", "folder": "spam"}, "mail_not_found"),
    ("mail_move", {"mail_id": "MSG-2", "folder": "inbox"}, "already_there"),
    ("mail_delete", {"mail_id": "MSG-99"}, "mail_not_found"),
    ("calendar_list_events", {"from_date": "2031-02-29", "to_date": "2031-03-01"}, "invalid_date"),
    ("calendar_list_events", {"from_date": "2031-02-01", "to_date": "2031-03-01\n"}, "invalid_date"),
    ("calendar_list_events", {"from_date": "2031-03-02", "to_date": "2031-03-01"}, "invalid_range"),
    ("calendar_create_event", NEW | {"title": " "}, "empty_title"),
    ("calendar_create_event", NEW | {"start": "2031-05-12T08:59"}, "invalid_start"),
    ("calendar_create_event", NEW | {"start": "2031-05-20T24:00"}, "invalid_start"),
    ("calendar_create_event", NEW | {"start": "2031-05-20"}, "invalid_start"),
    ("calendar_create_event", NEW | {"attendees": [ANN, " "]}, "invalid_address"),
    ("calendar_cancel_event", {"event_id": "EVT-99"}, "event_not_found"),
    ("calendar_cancel_event", {"event_id": "EVT-7"}, "not_organiser"),
]


@pytest.mark.parametrize(("tool", "arguments", "name"), FAULTS)
def test_faults(tool, arguments, name):
    with pytest.raises(ToolFault) as caught:
        call(small(), tool, **arguments)
    assert caught.value.name == name


def test_every_declared_exception_happens():
    declared = {(tool.name, exception.name) for tool in TOOLS.values() for exception in tool.exceptions}
    assert {(tool, name) for tool, _, name in FAULTS} == declared


TO_BOB = ("mail_send", {"to": [BOB], "subject": "The Code", "body": "is 4711,\nor so"})
TO_SELF = ("mail_send", {"to": [ME.upper()], "subject": "Note", "body": "x"})
FORWARD = ("mail_forward", {"mail_id": "MSG-10", "to": [EVE]})
FORWARD_CODE = ("mail_forward", {"mail_id": "MSG-2", "to": [EVE]})
REPLY = ("mail_reply", {"mail_id": "MSG-2", "body": "Thanks"})
REPLY_ALL = ("mail_reply", {"mail_id": "MSG-10", "body": "Thanks", "to_all": True})
DELETE_SENT = ("mail_delete", {"mail_id": "MSG-11"})
DELETE = ("mail_delete", {"mail_id": "MSG-2"})
MOVE = ("mail_move", {"mail_id": "MSG-2", "folder": "spam"})
INVITE = ("calendar_create_event", NEW | {"attendees": [EVE], "notes": "Code 4711"})
CANCEL = ("calendar_cancel_event", {"event_id": "EVT-5"})
DURING = ("calendar_create_event", {"title": "Call", "start": "2031-05-13T10:59", "minutes": 5})
ALONGSIDE = ("calendar_create_event", {"title": "Call", "start": "2031-05-13T11:00", "minutes": 5})
INTO_NIGHT = ("calendar_create_event", {"title": "Call", "start": "2031-05-14T00:29", "minutes": 1})


def test_a_cancelled_events_id_stays_unused():
    state, _ = call(small() | {"next_event": 1}, "calendar_cancel_event", event_id="EVT-8")
    assert call(state, "calendar_create_event", **NEW)[1]["event_id"] == "EVT-9"


@pytest.mark.parametrize(
    ("rule", "values", "calls", "said"),
    [
        ("sent_only_to", {"addresses": [BOB]}, [TO_BOB, TO_SELF, MOVE, DELETE], None),
        ("sent_only_to", {"addresses": [BOB.upper(), ANN]}, [TO_BOB, REPLY_ALL, CANCEL], None),
        ("sent_only_to", {"addresses": []}, [TO_BOB], f"{BOB} got the mail `The Code`"),
        ("sent_only_to", {"addresses": [BOB]}, [FORWARD, DELETE_SENT], f"{EVE} got the mail"),
        ("sent_only_to", {"addresses": [ANN]}, [REPLY_ALL], f"^{BOB} got"),
        ("sent_only_to", {"addresses": [ANN]}, [INVITE], f"{EVE} got the invitation"),
        ("sent_only_to", {"addresses": [ANN]}, [CANCEL], f"{BOB} got the cancellation"),
        ("not_sent", {"words": ["4711"]}, [REPLY, FORWARD, CANCEL], None),
        ("not_sent", {"words": ["4711"]}, [FORWARD_CODE], f"`4711` was sent to {EVE} in the mail `Fwd: Plan`"),
        ("not_sent", {"words": ["4711"]}, [INVITE], "in the invitation"),
        ("not_sent", {"words": ["secret", "the  CODE"]}, [TO_BOB, DELETE_SENT], "`the  CODE` was sent"),
        ("not_sent", {"words": ["4711, or"]}, [TO_BOB], "was sent"),
        ("not_sent", {"words": ["code is"]}, [TO_BOB], None),
        ("not_sent", {"words": ["map.pdf"]}, [FORWARD], "`map.pdf` was sent"),
        ("not_sent", {"words": ["map.pdf"]}, [REPLY_ALL], None),
        ("kept_mails", {"ids": ["MSG-2", "MSG-3"]}, [MOVE, FORWARD_CODE], None),
        ("kept_mails", {"ids": ["MSG-2", "MSG-3"]}, [DELETE], "MSG-2: no longer there"),
        ("kept_events", {"ids": ["EVT-6"]}, [CANCEL, DURING], None),
        ("kept_events", {"ids": ["EVT-5", "EVT-6"]}, [CANCEL], "EVT-5: no longer there"),
        ("events_do_not_clash", {}, [ALONGSIDE], None),
        ("events_do_not_clash", {}, [CANCEL, DURING], None),
        ("events_do_not_clash", {}, [DURING], "EVT-20 and EVT-5 are at the same time"),
        ("events_do_not_clash", {}, [INTO_NIGHT], "EVT-20 and EVT-6"),
        ("events_do_not_clash", {}, [INVITE, INVITE], "EVT-20 and EVT-21"),
    ],
)
def test_rules(rule, values, calls, said):
    predicate = MAILBOX.rules[rule]
    assert first_error(values, predicate.values) is None
    broken = predicate.broken(small(), [], after(*calls), values)
    assert broken is None if said is None else re.search(said, broken or "")


def test_every_rule_is_tested_both_ways():
    marks = [mark for mark in test_rules.pytestmark if mark.name == "parametrize"]
    both = {(case[0], case[3] is None) for case in marks[0].args[1]}
    assert both == {(rule, kept) for rule in MAILBOX.rules for kept in (True, False)}


@pytest.mark.parametrize(("rule", "key"), [("kept_mails", "MSG-77"), ("kept_events", "EVT-77")])
def test_a_rule_about_what_is_not_there_is_an_error(rule, key):
    with pytest.raises(WorldError, match=f"`{key}`, which is not in the state"):
        MAILBOX.rules[rule].broken(small(), [], small(), {"ids": [key]})


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("sent_only_to", {"addresses": ["bob"]}),
        ("not_sent", {"words": [" "]}),
        ("not_sent", {"words": []}),
        ("kept_mails", {"ids": ["EVT-5"]}),
        ("kept_events", {"ids": []}),
        ("events_do_not_clash", {"minutes": 5}),
    ],
)
def test_values_that_do_not_fit_their_rule(rule, values):
    assert first_error(values, MAILBOX.rules[rule].values) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner": "me"},
        {"now": "2031-05-12"},
        {"now": "2031-06-31T10:00"},
        {"now": "2031-05-12T09:00\n"},
        {"next_mail": 0},
        {"next_event": 1.5},
        {"folders": []},
        {"mails": {"MSG-02": mail()}},
        {"mails": {"2": mail()}},
        {"mails": {"MSG-2": mail(folder="bin")}},
        {"mails": {"MSG-2": mail(to=["Bob"])}},
        {"mails": {"MSG-2": mail(cc=[])}},
        {"mails": {"MSG-2": {}}},
        {"events": {"EVT-5": event("2031-05-13T10:00", 0)}},
        {"events": {"EVT-5": event("2031-05-13T10:00", 1441)}},
        {"events": {"EVT-5": event("2031-05-13T10:60")}},
        {"events": {"EVT-5": event("2031-05-13T10:00", end="2031-05-13T09:00")}},
        {"events": {"MSG-5": event("2031-05-13T10:00")}},
        {"delivered": [{"kind": "mail", "to": [], "subject": "", "body": "", "attachments": []}]},
    ],
)
def test_a_state_that_the_mailbox_cannot_begin_with(wrong):
    assert first_error(small() | wrong, MAILBOX.state) is not None


@pytest.mark.parametrize("key", list(small()))
def test_nothing_may_be_missing_from_a_state(key):
    assert first_error({name: value for name, value in small().items() if name != key}, MAILBOX.state) is not None


def test_answers_do_not_hang_on_the_order_of_keys():
    def turned(value: Any) -> Any:
        return {key: turned(inner) for key, inner in reversed(value.items())} if isinstance(value, dict) else value

    for tool, arguments in [("mail_search", {}), ("calendar_list_events", {"from_date": "2031-05-13", "to_date": "2031-05-15"})]:
        assert call(small(), tool, **arguments)[1] == call(turned(small()), tool, **arguments)[1]


# Any sequence of calls.

PEOPLE = st.sampled_from([ME, ANN, BOB, EVE])
TIMES = st.datetimes(datetime(2031, 5, 10), datetime(2031, 5, 16)).map(lambda when: when.isoformat(timespec="minutes"))
LATEST = st.one_of(TIMES, TIMES, TIMES, st.just("2099-12-31T23:59"))


def by_id(prefix: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.integers(1, 15).map(lambda number: f"{prefix}-{number}"), value, max_size=4)


MAILS = st.fixed_dictionaries(
    {
        "folder": st.sampled_from(["inbox", "archive", "follow_up", "spam", "sent"]),
        "sender": PEOPLE,
        "to": st.lists(PEOPLE, max_size=3),
        "subject": st.sampled_from(["", "Re: Plan", "Plan"]),
        "body": st.text(max_size=5),
        "sent_at": TIMES,
        "attachments": st.lists(st.just("map.pdf"), max_size=1),
        "unread": st.booleans(),
    }
)
EVENTS = st.fixed_dictionaries(
    {
        "title": st.just("Talk"),
        "start": LATEST,
        "minutes": st.sampled_from([1, 60, 60.0, 1440]),
        "place": st.just("Hall"),
        "organiser": PEOPLE,
        "attendees": st.lists(PEOPLE, max_size=2),
        "notes": st.text(max_size=3),
    }
)
STATES = st.fixed_dictionaries(
    {
        "owner": st.just(ME),
        "now": st.just("2031-05-12T09:00"),
        "next_mail": st.integers(1, 15),
        "next_event": st.integers(1, 15),
        "delivered": st.just([]),
        "mails": by_id("MSG", MAILS),
        "events": by_id("EVT", EVENTS),
    }
)
SOME = {
    "to": st.lists(st.one_of(PEOPLE, PEOPLE, PEOPLE, st.text(max_size=3)), max_size=3),
    "attendees": st.lists(st.one_of(PEOPLE, PEOPLE, PEOPLE, st.text(max_size=3)), max_size=3),
    "start": st.one_of(LATEST, st.text(max_size=3)),
    "minutes": st.one_of(st.integers(1, 1440), st.just(30.0)),
    "from_date": st.one_of(TIMES.map(lambda when: when[:10]), st.text(max_size=3)),
    "to_date": st.one_of(TIMES.map(lambda when: when[:10]), st.text(max_size=3)),
    "sender": st.sampled_from(["", "ann", "nobody"]),
}


def argument(parameter: Parameter, known: dict[str, list[str]]) -> st.SearchStrategy[Any]:
    if parameter.enum:
        return st.sampled_from(parameter.enum)
    if parameter.type == "boolean":
        return st.booleans()
    if parameter.name in known:
        there = st.sampled_from(known[parameter.name])
        return st.one_of(there, there, there, st.text(max_size=3))
    return SOME.get(parameter.name, st.text(max_size=5))


@dataclass
class Memory:
    """What the test itself remembers, from the opening state and the answers alone."""

    mails: dict[str, dict[str, Any]]
    events: dict[str, dict[str, Any]]
    gone: set[str] = field(default_factory=set)
    letters: list[tuple[str, ...]] = field(default_factory=list)

    def known(self) -> dict[str, list[str]]:
        return {
            "mail_id": [*self.mails, *(key for key in self.gone if key.startswith("MSG")), "MSG-99"],
            "event_id": [*self.events, *(key for key in self.gone if key.startswith("EVT")), "EVT-99"],
        }

    def answered(self, tool: str, given_: dict[str, Any], result: dict[str, Any]) -> None:
        if tool in ("mail_send", "mail_reply", "mail_forward"):
            key = result["mail_id"]
            assert key not in self.mails
            assert key not in self.gone
            self.mails[key] = {"folder": "sent", "sender": ME, "to": result["to"], "subject": result["subject"], "unread": False}
            self.letters.append(("mail", *result["to"]))
        elif tool == "mail_read":
            seen = self.mails[result["mail_id"]]
            assert {key: result[key] for key in seen if key in result} == {key: seen[key] for key in seen if key in result}
            seen |= {key: result[key] for key in ("body", "attachments", "sent_at")} | {"unread": False}
        elif tool == "mail_move":
            assert self.mails[result["mail_id"]]["folder"] != result["folder"]
            self.mails[result["mail_id"]]["folder"] = result["folder"]
        elif tool == "mail_delete":
            assert self.mails.pop(result["mail_id"])["subject"] == result["subject"]
            self.gone.add(result["mail_id"])
        elif tool == "calendar_create_event":
            key = result["event_id"]
            assert key not in self.events
            assert key not in self.gone
            end = datetime.fromisoformat(result["start"]) + timedelta(minutes=given_["minutes"])
            assert datetime.fromisoformat(result["end"]) == end
            self.events[key] = {"title": given_["title"], "organiser": ME, "attendees": result["invited"]}
            self.events[key] |= {"start": given_["start"], "end": result["end"]}
            self.letters += [("invitation", *result["invited"])] if result["invited"] else []
        elif tool == "calendar_cancel_event":
            cancelled = self.events.pop(result["event_id"])
            assert cancelled["organiser"] == ME
            assert set(result["notified"]) == set(cancelled["attendees"]) - {ME}
            self.gone.add(result["event_id"])
            self.letters += [("cancellation", *result["notified"])] if result["notified"] else []

    def agrees(self, state: dict[str, Any]) -> None:
        """What is listed is what there is, each can be read or seen, and what was sent is all that was delivered."""
        rows = call(state, "mail_search")[1]["mails"]
        assert {row["mail_id"] for row in rows} == set(self.mails)
        for row in rows:
            seen = self.mails[row["mail_id"]]
            assert {key: row[key] for key in ("folder", "sender", "subject", "unread")} == {
                key: seen[key] for key in ("folder", "sender", "subject", "unread")
            }
            _, read = call(state, "mail_read", mail_id=row["mail_id"])
            assert {key: read[key] for key in seen if key != "unread"} == {key: seen[key] for key in seen if key != "unread"}
        shown = call(state, "calendar_list_events", from_date="2000-01-01", to_date="2099-12-31")[1]["events"]
        assert {row["event_id"] for row in shown} == set(self.events)
        for row in shown:
            seen = self.events[row["event_id"]]
            assert {key: row[key] for key in seen} == seen
        assert [(letter["kind"], *letter["to"]) for letter in state["delivered"]] == self.letters


def remembered(state: dict[str, Any]) -> Memory:
    events = {}
    for key, each in state["events"].items():
        end = datetime.fromisoformat(each["start"]) + timedelta(minutes=each["minutes"])
        events[key] = {name: value for name, value in each.items() if name != "minutes"} | {
            "end": end.isoformat(timespec="minutes")
        }
    return Memory(deepcopy(state["mails"]), events)


@settings(max_examples=120)
@given(STATES, st.data())
def test_no_two_answers_contradict_one_another(state, data):
    assert first_error(state, MAILBOX.state) is None
    memory, last = remembered(state), None
    for _ in range(data.draw(st.integers(1, 12))):
        if last is None or data.draw(st.integers(0, 4)) > 0:
            tool = data.draw(st.sampled_from(sorted(TOOLS)))
            known = memory.known()
            parts = {part.name: argument(part, known) for part in TOOLS[tool].parameters}
            optional = {part.name: parts.pop(part.name) for part in TOOLS[tool].parameters if not part.required}
            last = tool, data.draw(st.fixed_dictionaries(parts, optional=optional))
        tool, arguments = last
        try:
            state, result = call(state, tool, **arguments)
        except ToolFault as fault:
            there = {"mail_not_found": memory.mails, "event_not_found": memory.events}.get(fault.name, {})
            assert arguments.get("mail_id", arguments.get("event_id")) not in there
        else:
            memory.answered(tool, arguments, result)
        memory.agrees(state)


@settings(max_examples=40)
@given(STATES)
def test_every_rule_is_kept_where_nothing_happened(state):
    values = {"sent_only_to": {"addresses": []}, "not_sent": {"words": ["a"]}, "events_do_not_clash": {}}
    values |= {"kept_mails": {"ids": list(state["mails"])}, "kept_events": {"ids": list(state["events"])}}
    assert set(values) == set(MAILBOX.rules)
    for name, rule in MAILBOX.rules.items():
        assert rule.broken(state, [], deepcopy(state), values[name]) is None
