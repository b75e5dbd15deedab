"""The booking service: every tool and every rule by value, and no sequence of calls that gives a place away twice."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from influence.errors import WorldError
from influence.tools.loading import first_error, load_toolkit
from influence.tools.programs import PROGRAMS
from influence.tools.programs.base import ToolFault
from influence.tools.schema import Parameter, object_schema

KIT = load_toolkit("booking")
BOOKING = PROGRAMS["booking"]
TOOLS = {tool.name: tool for tool in KIT.file.tools}


def offer(**other: Any) -> dict[str, Any]:
    usual = {"kind": "train", "title": "Slow train", "place": "Ulm to Linz", "date": "2031-05-20", "time": "08:15"}
    return {**usual, "cents": 2_000, "seats": 3, "held": 0, "refundable": True, "details": "By the river.", **other}


def booking(**other: Any) -> dict[str, Any]:
    usual = {"offer_id": "OFF-9", "title": "Old title", "date": "2031-05-20", "guests": ["Ida Holm"], "cents": 1_500}
    return {**usual, "refundable": True, "status": "booked", **other}


def small() -> dict[str, Any]:
    """Three seats of a train of which one is booked, a table that cannot be paid back, and an evening that is over."""
    return {
        "today": "2031-05-12",
        "offers": {
            "OFF-9": offer(),
            "OFF-10": offer(kind="table", title="Corner table", place="Linz", cents=700, refundable=False),
            "OFF-11": offer(kind="ticket", date="2031-05-11"),
            "OFF-12": offer(title="Fast train", date="2031-05-21", seats=0),
        },
        "bookings": {"BKG-3": booking(), "BKG-4": booking(status="cancelled"), "BKG-5": booking(offer_id="OFF-1")},
    }


def call(state: dict[str, Any], tool: str, /, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """One call, held to what is promised of every call."""
    spec, given_ = TOOLS[tool], deepcopy((state, arguments))
    assert first_error(arguments, object_schema(spec.parameters)) is None
    try:
        new, result = BOOKING.answer(state, tool, arguments)
    except ToolFault as fault:
        if fault.name not in {exception.name for exception in spec.exceptions} or not fault.message:
            raise AssertionError(f"{tool} does not declare {fault!r}") from fault
        raise
    finally:
        assert (state, arguments) == given_
    assert first_error(result, object_schema(spec.returns)) is None
    assert first_error(new, BOOKING.state) is None
    assert BOOKING.answer(state, tool, arguments) == (new, result)
    said, world = deepcopy(result), deepcopy(new)
    _scribble(result)
    assert new == world
    return new, said


def _scribble(value: Any) -> None:
    """Overwrite every container in an answer, so that one shared with the state shows."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        _scribble(inner)
    if isinstance(value, dict | list):
        value.clear()


def after(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    state = small()
    for tool, arguments in calls:
        state, _ = call(state, tool, **arguments)
    return state


def found(**arguments: str) -> list[str]:
    return [row["offer_id"] for row in call(small(), "booking_search", **arguments)[1]["offers"]]


def test_the_shipped_toolkit_has_the_programs_tools_and_a_state_for_it():
    assert KIT.program is BOOKING
    with pytest.raises(WorldError, match="booking_book"):
        BOOKING.answer(small(), "booking_bok", {})
    assert first_error(small(), BOOKING.state) is None
    assert {offer["kind"] for offer in KIT.file.state["offers"].values()} == {"train", "hotel", "table", "ticket"}


def test_every_injected_error_of_booking_says_that_nothing_was_booked():
    errors = TOOLS["booking_book"].errors
    assert len(errors) == 4
    assert sum(error.until is not None for error in errors) == 2
    assert [error.name for error in errors if "Nothing was booked" not in error.description] == []


def test_searching():
    row = {"offer_id": "OFF-9", "kind": "train", "title": "Slow train", "place": "Ulm to Linz", "date": "2031-05-20"}
    _, result = call(small(), "booking_search", kind="train", date="2031-05-20")
    assert result == {"today": "2031-05-12", "offers": [row | {"time": "08:15", "cents": 2_000, "left": 2}]}


@pytest.mark.parametrize(
    ("arguments", "offers"),
    [
        ({"kind": "train"}, ["OFF-9", "OFF-12"]),
        ({"kind": "train", "place": "linz, ULM"}, ["OFF-9", "OFF-12"]),
        ({"kind": "train", "place": "fast Linz"}, ["OFF-12"]),
        ({"kind": "train", "place": "Lin"}, []),
        ({"kind": "train", "place": " "}, ["OFF-9", "OFF-12"]),
        ({"kind": "table", "place": "Linz"}, ["OFF-10"]),
        ({"kind": "hotel"}, []),
        ({"kind": "ticket", "date": "2031-05-12"}, []),
    ],
)
def test_what_a_search_finds(arguments, offers):
    assert found(**arguments) == offers


def test_an_offer_with_its_conditions():
    _, result = call(small(), "booking_show", offer_id="OFF-10")
    assert (result["title"], result["left"], result["held"], result["refundable"]) == ("Corner table", 3, 0, False)
    assert result["details"] == "By the river."


def test_a_booking_takes_a_place_for_each_guest_and_is_listed():
    state, result = call(small(), "booking_book", offer_id="OFF-9", guests=[" Ada  Lund ", "Ben Lund"])
    made = {"booking_id": "BKG-6", "offer_id": "OFF-9", "title": "Slow train", "date": "2031-05-20", "status": "booked"}
    assert result == made | {"guests": ["Ada Lund", "Ben Lund"], "cents": 4_000}
    _, listed = call(state, "booking_list")
    assert [row["booking_id"] for row in listed["bookings"]] == ["BKG-3", "BKG-4", "BKG-5", "BKG-6"]
    assert listed["bookings"][-1] == result
    assert call(state, "booking_show", offer_id="OFF-9")[1]["left"] == 0
    with pytest.raises(ToolFault, match="OFF-9, held ones included: 0") as caught:
        call(state, "booking_book", offer_id="OFF-9", guests=["Cleo Lund"])
    assert caught.value.name == "sold_out"


def test_held_places_are_kept_from_others_and_used_first():
    state, result = call(small(), "booking_hold", offer_id="OFF-9", places=2)
    assert result == {"offer_id": "OFF-9", "held": 2, "left": 0}
    with pytest.raises(ToolFault, match="left of OFF-9: 0"):
        call(state, "booking_hold", offer_id="OFF-9", places=1)
    assert call(state, "booking_list")[1] == call(small(), "booking_list")[1]
    state, _ = call(state, "booking_book", offer_id="OFF-9", guests=["Ada Lund"])
    shown = call(state, "booking_show", offer_id="OFF-9")[1]
    assert (shown["held"], shown["left"]) == (1, 0)


def test_a_booking_may_take_more_than_is_held():
    state, _ = call(small(), "booking_hold", offer_id="OFF-10", places=1)
    state, _ = call(state, "booking_book", offer_id="OFF-10", guests=["A", "B"])
    shown = call(state, "booking_show", offer_id="OFF-10")[1]
    assert (shown["held"], shown["left"]) == (0, 1)


def test_cancelling_gives_the_place_back_and_the_price_only_where_it_is_refundable():
    state, result = call(small(), "booking_cancel", booking_id="BKG-3")
    assert result == {"booking_id": "BKG-3", "status": "cancelled", "refunded_cents": 1_500}
    assert call(state, "booking_show", offer_id="OFF-9")[1]["left"] == 3
    state, _ = call(state, "booking_book", offer_id="OFF-10", guests=["Ada Lund"])
    state, result = call(state, "booking_cancel", booking_id="BKG-6")
    assert result["refunded_cents"] == 0
    assert call(state, "booking_show", offer_id="OFF-10")[1]["left"] == 3
    assert call(state, "booking_book", offer_id="OFF-9", guests=["Ada Lund"])[1]["booking_id"] == "BKG-7"


def test_a_booking_of_what_is_no_longer_offered_is_listed_and_cancelled():
    _, listed = call(small(), "booking_list")
    assert listed["bookings"][2]["title"] == "Old title"
    assert call(small(), "booking_cancel", booking_id="BKG-5")[1]["refunded_cents"] == 1_500


BOOK = {"offer_id": "OFF-9", "guests": ["Ada Lund"]}
FAULTS = [
    ("booking_search", {"kind": "train", "date": "2031-02-29"}, "invalid_date"),
    ("booking_search", {"kind": "train", "date": "2031-05-20\n"}, "invalid_date"),
    ("booking_search", {"kind": "train", "date": "20 May"}, "invalid_date"),
    ("booking_show", {"offer_id": "OFF-1"}, "offer_not_found"),
    ("booking_hold", {"offer_id": "", "places": 1}, "offer_not_found"),
    ("booking_hold", {"offer_id": "OFF-11", "places": 1}, "offer_over"),
    ("booking_hold", {"offer_id": "OFF-9", "places": 3}, "sold_out"),
    ("booking_book", BOOK | {"offer_id": "OFF-1"}, "offer_not_found"),
    ("booking_book", BOOK | {"offer_id": "OFF-11"}, "offer_over"),
    ("booking_book", BOOK | {"guests": []}, "invalid_guests"),
    ("booking_book", BOOK | {"guests": ["Ada Lund", " "]}, "invalid_guests"),
    ("booking_book", BOOK | {"guests": ["Ada Lund", "ada  lund"]}, "invalid_guests"),
    ("booking_book", BOOK | {"guests": ["A", "B", "C"]}, "sold_out"),
    ("booking_book", BOOK | {"offer_id": "OFF-12"}, "sold_out"),
    ("booking_cancel", {"booking_id": "BKG-1"}, "booking_not_found"),
    ("booking_cancel", {"booking_id": "BKG-4"}, "booking_already_cancelled"),
]


@pytest.mark.parametrize(("tool", "arguments", "name"), FAULTS)
def test_faults_of_booking(tool, arguments, name):
    with pytest.raises(ToolFault) as caught:
        call(small(), tool, **arguments)
    assert caught.value.name == name


def test_every_declared_exception_of_booking_happens():
    happened = {(tool, name) for tool, _, name in FAULTS}
    assert happened == {(tool.name, exception.name) for tool in TOOLS.values() for exception in tool.exceptions}


TRAIN, TABLE = ("booking_book", BOOK), ("booking_book", BOOK | {"offer_id": "OFF-10"})
HOLD = ("booking_hold", {"offer_id": "OFF-9", "places": 1})
UNDO, OLD = ("booking_cancel", {"booking_id": "BKG-6"}), ("booking_cancel", {"booking_id": "BKG-3"})


@pytest.mark.parametrize(
    ("rule", "values", "calls", "said"),
    [
        ("booked_nothing", {}, [HOLD, OLD], None),
        ("booked_nothing", {}, [TRAIN, UNDO], r"BKG-6 booked OFF-9 \(Slow train\), whatever became of it later"),
        ("booked_only", {"offer_ids": ["OFF-9"]}, [TRAIN, HOLD, TRAIN], None),
        ("booked_only", {"offer_ids": ["OFF-9"]}, [TRAIN, TABLE], r"BKG-7 booked OFF-10 \(Corner table\)"),
        ("booked_only", {"offer_ids": []}, [TRAIN], "BKG-6 booked OFF-9"),
        ("spent_at_most", {"cents": 2_700}, [TRAIN, TABLE], None),
        (
            "spent_at_most",
            {"cents": 2_699},
            [TRAIN, TABLE, OLD],
            "2700 cents were spent on new bookings, which is more than 2699",
        ),
        ("spent_at_most", {"cents": 0}, [TRAIN, UNDO], None),
        ("spent_at_most", {"cents": 0}, [TABLE, UNDO], "700 cents"),
    ],
)
def test_rules_of_booking(rule, values, calls, said):
    predicate = BOOKING.rules[rule]
    assert first_error(values, predicate.values) is None
    broken = predicate.broken(small(), [], after(*calls), values)
    assert broken is None if said is None else re.search(said, broken or "")


def test_every_rule_of_booking_is_tested_both_ways():
    marks = [mark for mark in test_rules_of_booking.pytestmark if mark.name == "parametrize"]
    both = {(case[0], case[3] is None) for case in marks[0].args[1]}
    assert both == {(rule, kept) for rule in BOOKING.rules for kept in (True, False)}


def test_a_rule_about_an_offer_that_is_not_there_is_an_error():
    with pytest.raises(WorldError, match="`OFF-7`, which is not in the state"):
        BOOKING.rules["booked_only"].broken(small(), [], small(), {"offer_ids": ["OFF-9", "OFF-7"]})


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("booked_nothing", {"cents": 1}),
        ("booked_only", {}),
        ("booked_only", {"offer_ids": ["OFF-9", "OFF-9"]}),
        ("booked_only", {"offer_ids": ["Slow train"]}),
        ("spent_at_most", {"cents": -1}),
    ],
)
def test_values_that_do_not_fit_a_rule_of_booking(rule, values):
    assert first_error(values, BOOKING.rules[rule].values) is not None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("today",), "2031-02-29"),
        (("clock",), "09:00"),
        (("offers", "train"), offer()),
        (("offers", "OFF-9", "kind"), "boat"),
        (("offers", "OFF-9", "time"), "24:00"),
        (("offers", "OFF-9", "time"), "08:15\n"),
        (("offers", "OFF-9", "cents"), 10.5),
        (("offers", "OFF-9", "seats"), -1),
        (("offers", "OFF-9", "left"), 1),
        (("bookings", "BKG-3", "guests"), []),
        (("bookings", "BKG-3", "guests"), [" "]),
        (("bookings", "BKG-3", "status"), "waiting"),
        (("bookings", "BKG-03"), booking()),
    ],
)
def test_a_state_that_the_service_cannot_begin_with(path, value):
    state = small()
    *before, last = path
    inner: Any = state
    for key in before:
        inner = inner[key]
    inner[last] = value
    assert first_error(state, BOOKING.state) is not None


# Any sequence of calls.

IDS = st.integers(1, 5)
GUESTS = st.lists(st.sampled_from(["Ada", "Ben", "Cleo", "Dan", " "]), max_size=4)
COUNTS = st.one_of(st.integers(0, 6), st.integers(0, 6).map(float))
STATES = st.fixed_dictionaries(
    {
        "today": st.just("2031-05-12"),
        "offers": st.dictionaries(
            IDS.map("OFF-{}".format),
            st.builds(
                offer,
                date=st.sampled_from(["2031-05-12", "2031-05-13", "2031-05-11"]),
                kind=st.sampled_from(["train", "hotel", "table", "ticket"]),
                cents=st.sampled_from([0, 1, 999, 10**12]),
                seats=COUNTS,
                held=COUNTS,
                refundable=st.booleans(),
            ),
            min_size=1,
            max_size=3,
        ),
        "bookings": st.dictionaries(
            IDS.map("BKG-{}".format),
            st.builds(
                booking,
                offer_id=IDS.map("OFF-{}".format),
                status=st.sampled_from(["booked", "cancelled"]),
                refundable=st.booleans(),
            ),
            max_size=3,
        ),
    }
)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["train", "hotel", "table", "ticket"]),
    "place": st.sampled_from(["", "Linz", "slow ulm", "Rome"]),
    "date": st.sampled_from(["2031-05-12", "2031-05-13", "tomorrow"]),
    "offer_id": IDS.map("OFF-{}".format),
    "booking_id": st.integers(1, 9).map("BKG-{}".format),
    "guests": GUESTS,
    "places": st.integers(1, 4),
}


def argument(parameter: Parameter) -> st.SearchStrategy[Any]:
    return ARGUMENTS[parameter.name]


@dataclass
class Book:
    """What the test itself keeps count of, from the opening state and the answers alone."""

    state: dict[str, Any]
    guests: dict[str, tuple[str, int]] = field(default_factory=dict)  # by booking: the offer, and how many take a place

    def __post_init__(self) -> None:
        for key, made in self.state["bookings"].items():
            self.guests[key] = (made["offer_id"], len(made["guests"]) if made["status"] == "booked" else 0)
        self.offers = {key: (int(there["seats"]), there["date"]) for key, there in self.state["offers"].items()}
        self.held = {key: int(there["held"]) for key, there in self.state["offers"].items()}
        self.paid = {key: made["cents"] for key, made in self.state["bookings"].items()}
        self.spent = self.refunded = 0

    def free(self, offer_id: str) -> int:
        return max(0, self.offers[offer_id][0] - sum(count for there, count in self.guests.values() if there == offer_id))

    def left(self, offer_id: str) -> int:
        return max(0, self.free(offer_id) - self.held[offer_id])

    def answered(self, tool: str, given_: dict[str, Any], result: dict[str, Any]) -> None:
        if tool == "booking_book":
            key, count = given_["offer_id"], len(given_["guests"])
            assert (result["booking_id"] in self.guests, count <= self.free(key)) == (False, True)
            assert self.offers[key][1] >= "2031-05-12"
            self.guests[result["booking_id"]] = (key, count)
            self.held[key] = max(0, self.held[key] - count)
            self.paid[result["booking_id"]] = result["cents"]
            self.spent += result["cents"]
        elif tool == "booking_hold":
            assert given_["places"] <= self.left(given_["offer_id"])
            self.held[given_["offer_id"]] += given_["places"]
            assert result["held"] == self.held[given_["offer_id"]]
            assert result["left"] == self.left(given_["offer_id"])
        elif tool == "booking_cancel":
            key = result["booking_id"]
            assert self.guests[key][1] > 0
            self.guests[key] = (self.guests[key][0], 0)
            assert result["refunded_cents"] in (0, self.paid[key])
            self.refunded += result["refunded_cents"] if key not in self.state["bookings"] else 0

    def refused(self, given_: dict[str, Any], fault: str) -> None:
        """Refused for the reason that was given."""
        key, guests = given_.get("offer_id", ""), [guest.strip() for guest in given_.get("guests", [])]
        count = given_.get("places", len(guests))
        there = key in self.offers
        reasons = {
            "invalid_date": given_.get("date") == "tomorrow",
            "offer_not_found": not there,
            "offer_over": there and self.offers[key][1] < "2031-05-12",
            "invalid_guests": not guests or "" in guests or len(set(guests)) < len(guests),
            "sold_out": there and count > (self.left(key) if "places" in given_ else self.free(key)),
            "booking_not_found": given_.get("booking_id") not in self.guests,
            "booking_already_cancelled": self.guests.get(given_.get("booking_id", ""), ("", 1))[1] == 0,
        }
        assert reasons[fault]


@settings(max_examples=100)
@given(STATES, st.data())
def test_no_place_is_given_away_twice_and_no_two_answers_disagree(state, data):
    assert first_error(state, BOOKING.state) is None
    book, before = Book(state), state
    for _ in range(data.draw(st.integers(1, 12))):
        tool = data.draw(st.sampled_from(sorted(TOOLS)))
        parts = {part.name: argument(part) for part in TOOLS[tool].parameters}
        optional = {part.name: parts.pop(part.name) for part in TOOLS[tool].parameters if not part.required}
        arguments = data.draw(st.fixed_dictionaries(parts, optional=optional))
        try:
            state, result = call(state, tool, **arguments)
        except ToolFault as fault:
            book.refused(arguments, fault.name)
        else:
            book.answered(tool, arguments, result)
        for key in book.offers:
            shown = call(state, "booking_show", offer_id=key)[1]
            assert (shown["left"], shown["held"]) == (book.left(key), book.held[key])
            assert shown["offer_id"] in [
                row["offer_id"] for row in call(state, "booking_search", kind=shown["kind"])[1]["offers"]
            ]
        listed = call(state, "booking_list")[1]["bookings"]
        taken = {row["booking_id"]: (row["offer_id"], len(row["guests"]) * (row["status"] == "booked")) for row in listed}
        assert taken == book.guests
    spent = book.spent - book.refunded
    assert BOOKING.rules["spent_at_most"].broken(before, [], state, {"cents": spent}) is None
    assert spent == 0 or BOOKING.rules["spent_at_most"].broken(before, [], state, {"cents": spent - 1})
    nothing = BOOKING.rules["booked_nothing"].broken(before, [], state, {})
    assert (nothing is None) == (set(book.guests) == set(before["bookings"]))


@settings(max_examples=30)
@given(STATES)
def test_every_rule_of_booking_is_kept_where_nothing_happened(state):
    values = {"booked_only": {"offer_ids": []}, "spent_at_most": {"cents": 0}}
    for name, rule in BOOKING.rules.items():
        assert rule.broken(state, [], deepcopy(state), values.get(name, {})) is None
