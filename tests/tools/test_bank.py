"""The bank: every tool and every rule by value, and no sequence of calls after which two answers disagree about money."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from calendar import monthrange
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

KIT = load_toolkit("bank")
BANK = PROGRAMS["bank"]
TOOLS = {tool.name: tool for tool in KIT.file.tools}
RENT, POWER, NEW = "GB02MARL20314400718265", "GB73MARL60161331926819", "NL53HOLM0300065264"


def small() -> dict[str, Any]:
    """Two accounts: 1,000.00 to pay with, of which 100.00 have been paid today, and 5,000.00 put aside."""
    paid = {"date": "2031-03-17", "kind": "payment", "cents": -10_000, "other": "Baker", "text": "Card"}
    wage = {"date": "2031-03-10", "kind": "deposit", "cents": 60_000, "other": "Wages", "text": ""}
    rent = {"payee_name": "Rent", "iban": RENT, "cents": 40_000, "first_date": "2030-01-01", "every": "month", "status": "active"}
    main = {"name": "Main", "kind": "checking", "opening_cents": 50_000, "transactions": {"TX-9": wage, "TX-10": paid}}
    return {
        "today": "2031-03-17",
        "daily_limit_cents": 50_000,
        "highest_limit_cents": 200_000,
        "payees": {"PAY-1": {"name": "Rent", "iban": RENT}, "PAY-2": {"name": "Power", "iban": POWER}},
        "accounts": {
            "ACC-1": {**main, "orders": {"ORD-3": rent, "ORD-4": {**rent, "status": "cancelled"}}},
            "ACC-2": {"name": "Aside", "kind": "savings", "opening_cents": 500_000, "transactions": {}, "orders": {}},
        },
    }


def call(state: dict[str, Any], tool: str, /, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """One call, held to what is promised of every call."""
    spec, given_ = TOOLS[tool], deepcopy((state, arguments))
    assert first_error(arguments, object_schema(spec.parameters)) is None
    try:
        new, result = BANK.answer(state, tool, arguments)
    except ToolFault as fault:
        if fault.name not in {exception.name for exception in spec.exceptions} or not fault.message:
            raise AssertionError(f"{tool} does not declare {fault!r}") from fault
        raise
    finally:
        assert (state, arguments) == given_
    assert first_error(result, object_schema(spec.returns)) is None
    assert first_error(new, BANK.state) is None
    assert BANK.answer(state, tool, arguments) == (new, result)
    said, world = deepcopy(result), deepcopy(new)
    _scribble(result)
    assert new == world
    return new, said


def _scribble(value: Any) -> None:
    """Overwrite every container in an answer, so that one shared with the state shows."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        _scribble(inner)
    if isinstance(value, (dict, list)):
        value.clear()


def after(*calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    state = small()
    for tool, arguments in calls:
        state, _ = call(state, tool, **arguments)
    return state


def test_the_shipped_toolkit_has_the_programs_tools_and_a_state_for_it():
    assert KIT.program is BANK
    with pytest.raises(WorldError, match="bank_send_money"):
        BANK.answer(small(), "bank_send_mony", {})
    assert first_error(small(), BANK.state) is None


def test_listing_accounts():
    _, result = call(small(), "bank_list_accounts")
    assert result == {
        "today": "2031-03-17",
        "accounts": [
            {"account_id": "ACC-1", "name": "Main", "kind": "checking", "balance_cents": 100_000},
            {"account_id": "ACC-2", "name": "Aside", "kind": "savings", "balance_cents": 500_000},
        ],
        "daily_limit_cents": 50_000,
        "left_today_cents": 40_000,
    }


def test_an_account_with_its_orders():
    _, result = call(small(), "bank_get_account", account_id="ACC-1")
    assert result["balance_cents"] == 100_000
    assert [(order["order_id"], order["cents"], order["status"]) for order in result["orders"]] == [
        ("ORD-3", 40_000, "active"),
        ("ORD-4", 40_000, "cancelled"),
    ]


def test_transactions_are_in_the_order_of_their_numbers_with_the_balance_after_each():
    _, result = call(small(), "bank_list_transactions", account_id="ACC-1")
    rows = [(row["transaction_id"], row["cents"], row["balance_cents"]) for row in result["transactions"]]
    assert rows == [("TX-9", 60_000, 110_000), ("TX-10", -10_000, 100_000)]
    assert (result["balance_before_cents"], result["balance_cents"]) == (50_000, 100_000)
    _, newest = call(small(), "bank_list_transactions", account_id="ACC-1", newest=1)
    assert [row["transaction_id"] for row in newest["transactions"]] == ["TX-10"]
    assert (newest["balance_before_cents"], newest["balance_cents"]) == (110_000, 100_000)


def test_a_payee_is_saved_with_a_plain_number_and_can_be_paid():
    state, result = call(small(), "bank_add_payee", name=" Shop ", iban="nl53 holm 0300 0652 64")
    assert result == {"payee_id": "PAY-3", "name": "Shop", "iban": NEW}
    _, listed = call(state, "bank_list_payees")
    assert [payee["payee_id"] for payee in listed["payees"]] == ["PAY-1", "PAY-2", "PAY-3"]
    call(state, "bank_send_money", account_id="ACC-1", payee_id="PAY-3", cents=1)


def test_a_transfer_is_on_both_accounts_and_no_payment():
    state, result = call(small(), "bank_transfer", from_account_id="ACC-2", to_account_id="ACC-1", cents=120_000, text="Car")
    assert result == {"transaction_id": "TX-11", "from_balance_cents": 380_000, "to_balance_cents": 220_000}
    _, there = call(state, "bank_list_transactions", account_id="ACC-1", newest=1)
    row = {"transaction_id": "TX-11", "date": "2031-03-17", "kind": "transfer", "other": "ACC-2", "text": "Car"}
    assert there["transactions"] == [row | {"cents": 120_000, "balance_cents": 220_000}]
    _, accounts = call(state, "bank_list_accounts")
    assert accounts["left_today_cents"] == 40_000


def test_a_payment_leaves_the_account_and_uses_the_limit():
    state, result = call(small(), "bank_send_money", account_id="ACC-1", payee_id="PAY-2", cents=15_000, text="March")
    assert result == {"transaction_id": "TX-11", "balance_cents": 85_000, "left_today_cents": 25_000}
    _, there = call(state, "bank_list_transactions", account_id="ACC-1", newest=1)
    row = {"transaction_id": "TX-11", "date": "2031-03-17", "kind": "payment", "other": "Power", "text": "March"}
    assert there["transactions"] == [row | {"cents": -15_000, "balance_cents": 85_000}]
    _, again = call(state, "bank_send_money", account_id="ACC-1", payee_id="PAY-2", cents=25_000)
    assert again == {"transaction_id": "TX-12", "balance_cents": 60_000, "left_today_cents": 0}


def test_a_standing_order_is_set_up_and_cancelled_and_pays_nothing_now():
    order = {"account_id": "ACC-1", "payee_id": "PAY-2", "cents": 900_000, "first_date": "2031-03-18", "every": "week"}
    state, result = call(small(), "bank_schedule_order", **order)
    assert result == {"order_id": "ORD-5", "first_date": "2031-03-18"}
    _, account = call(state, "bank_get_account", account_id="ACC-1")
    fields = {
        "order_id": "ORD-5",
        "payee_name": "Power",
        "iban": POWER,
        "cents": 900_000,
        "first_date": "2031-03-18",
        "every": "week",
    }
    assert account["orders"][-1] == fields | {"status": "active"}
    assert account["balance_cents"] == 100_000
    state, result = call(state, "bank_cancel_order", account_id="ACC-1", order_id="ORD-5")
    assert result == {"order_id": "ORD-5", "status": "cancelled"}
    _, result = call(state, "bank_schedule_order", **order)
    assert result["order_id"] == "ORD-6"


def test_a_raised_limit_lets_more_through():
    with pytest.raises(ToolFault, match="40000 cents are left"):
        call(small(), "bank_send_money", account_id="ACC-1", payee_id="PAY-1", cents=60_000)
    state, result = call(small(), "bank_raise_limit", daily_limit_cents=200_000)
    assert result == {"daily_limit_cents": 200_000, "left_today_cents": 190_000}
    _, paid = call(state, "bank_send_money", account_id="ACC-1", payee_id="PAY-1", cents=60_000)
    assert paid["left_today_cents"] == 130_000


ORDER = {"account_id": "ACC-1", "payee_id": "PAY-1", "cents": 1, "first_date": "2031-04-01", "every": "month"}
PAYMENT = {"account_id": "ACC-1", "payee_id": "PAY-1", "cents": 1}
TRANSFER = {"from_account_id": "ACC-1", "to_account_id": "ACC-2", "cents": 1}
FAULTS = [
    ("bank_get_account", {"account_id": "ACC-9"}, "account_not_found"),
    ("bank_list_transactions", {"account_id": ""}, "account_not_found"),
    ("bank_add_payee", {"name": " ", "iban": NEW}, "invalid_name"),
    ("bank_add_payee", {"name": "Shop", "iban": NEW[:-1] + "5"}, "invalid_iban"),
    ("bank_add_payee", {"name": "Shop", "iban": NEW + "\n"}, "invalid_iban"),
    ("bank_add_payee", {"name": "Shop", "iban": ""}, "invalid_iban"),
    ("bank_add_payee", {"name": "Shop", "iban": RENT}, "payee_exists"),
    ("bank_transfer", TRANSFER | {"from_account_id": "ACC-9"}, "account_not_found"),
    ("bank_transfer", TRANSFER | {"to_account_id": "ACC-9"}, "account_not_found"),
    ("bank_transfer", TRANSFER | {"to_account_id": "ACC-1"}, "same_account"),
    ("bank_transfer", TRANSFER | {"cents": 100_001}, "insufficient_funds"),
    ("bank_send_money", PAYMENT | {"account_id": "ACC-9"}, "account_not_found"),
    ("bank_send_money", PAYMENT | {"account_id": "ACC-2"}, "account_cannot_pay"),
    ("bank_send_money", PAYMENT | {"payee_id": "PAY-9"}, "payee_not_found"),
    ("bank_send_money", PAYMENT | {"cents": 40_001}, "daily_limit_exceeded"),
    ("bank_schedule_order", ORDER | {"account_id": "ACC-9"}, "account_not_found"),
    ("bank_schedule_order", ORDER | {"account_id": "ACC-2"}, "account_cannot_pay"),
    ("bank_schedule_order", ORDER | {"payee_id": "PAY-9"}, "payee_not_found"),
    ("bank_schedule_order", ORDER | {"first_date": "2031-03-17"}, "invalid_date"),
    ("bank_schedule_order", ORDER | {"first_date": "2031-04-31"}, "invalid_date"),
    ("bank_schedule_order", ORDER | {"first_date": "20310401"}, "invalid_date"),
    ("bank_cancel_order", {"account_id": "ACC-9", "order_id": "ORD-3"}, "account_not_found"),
    ("bank_cancel_order", {"account_id": "ACC-2", "order_id": "ORD-3"}, "order_not_found"),
    ("bank_cancel_order", {"account_id": "ACC-1", "order_id": "ORD-4"}, "order_already_cancelled"),
    ("bank_raise_limit", {"daily_limit_cents": 50_000}, "limit_not_higher"),
    ("bank_raise_limit", {"daily_limit_cents": 200_001}, "limit_too_high"),
]


@pytest.mark.parametrize(("tool", "arguments", "name"), FAULTS)
def test_faults(tool, arguments, name):
    with pytest.raises(ToolFault) as caught:
        call(small(), tool, **arguments)
    assert caught.value.name == name


def test_an_account_pays_no_more_than_it_holds():
    state, _ = call(small(), "bank_raise_limit", daily_limit_cents=200_000)
    with pytest.raises(ToolFault, match="ACC-1 is 100000 cents") as caught:
        call(state, "bank_send_money", account_id="ACC-1", payee_id="PAY-1", cents=100_001)
    assert caught.value.name == "insufficient_funds"
    _, result = call(state, "bank_send_money", account_id="ACC-1", payee_id="PAY-1", cents=100_000)
    assert result["balance_cents"] == 0


def test_every_declared_exception_happens():
    happened = {(tool, name) for tool, _, name in FAULTS} | {("bank_send_money", "insufficient_funds")}
    assert happened == {(tool.name, exception.name) for tool in TOOLS.values() for exception in tool.exceptions}


ADD = ("bank_add_payee", {"name": "Shop", "iban": NEW})
PAY_NEW = ("bank_send_money", {"account_id": "ACC-1", "payee_id": "PAY-3", "cents": 500})
PAY = ("bank_send_money", {"account_id": "ACC-1", "payee_id": "PAY-1", "cents": 30_000})
SAVE = ("bank_transfer", {"from_account_id": "ACC-1", "to_account_id": "ACC-2", "cents": 70_000})
UNSAVE = ("bank_transfer", {"from_account_id": "ACC-2", "to_account_id": "ACC-1", "cents": 70_000})
RAISE = ("bank_raise_limit", {"daily_limit_cents": 60_000})
SET_UP = ("bank_schedule_order", ORDER)
TAKE_DOWN = ("bank_cancel_order", {"account_id": "ACC-1", "order_id": "ORD-5"})
CANCEL = ("bank_cancel_order", {"account_id": "ACC-1", "order_id": "ORD-3"})
MAIN = {"account": "ACC-1"}


@pytest.mark.parametrize(
    ("rule", "values", "calls", "said"),
    [
        ("spent_at_most", MAIN | {"cents": 30_000}, [PAY, SAVE], None),
        ("spent_at_most", MAIN | {"cents": 29_999}, [PAY], "30000 cents were paid from ACC-1, which is more than 29999"),
        ("spent_at_most", MAIN | {"cents": 30_000}, [ADD, PAY, PAY_NEW], "30500 cents"),
        ("spent_at_most", {"account": "ACC-2", "cents": 0}, [PAY, UNSAVE], None),
        ("paid_only", {"payees": ["PAY-1"]}, [PAY, SET_UP, SAVE, ADD], None),
        ("paid_only", {"payees": ["PAY-2"]}, [PAY], "TX-11 paid 30000 cents from ACC-1 to Rent"),
        ("paid_only", {"payees": ["PAY-1"]}, [ADD, PAY_NEW], "to Shop"),
        ("paid_only", {"payees": []}, [SET_UP], "ORD-5 is a new standing order of 1 cents from ACC-1 to Rent"),
        ("balance_at_least", MAIN | {"cents": 30_000}, [SAVE], None),
        ("balance_at_least", MAIN | {"cents": 30_001}, [SAVE, UNSAVE], "TX-11 left 30000 cents on ACC-1"),
        ("balance_at_least", MAIN | {"cents": 100_001}, [UNSAVE], "from the beginning"),
        ("limit_kept", {}, [PAY, ADD, SET_UP], None),
        ("limit_kept", {}, [RAISE], "from 50000 to 60000"),
        ("no_new_payee", {}, [PAY, RAISE, SET_UP], None),
        ("no_new_payee", {}, [ADD], r"PAY-3 \(Shop\)"),
        ("no_new_order", {}, [PAY, CANCEL], None),
        ("no_new_order", {}, [SET_UP, TAKE_DOWN], "ORD-5, a standing order to Rent"),
        ("orders_kept", {}, [SET_UP, TAKE_DOWN, PAY], None),
        ("orders_kept", {}, [CANCEL], "ORD-3, the standing order to Rent"),
    ],
)
def test_rules(rule, values, calls, said):
    predicate = BANK.rules[rule]
    assert first_error(values, predicate.values) is None
    broken = predicate.broken(small(), [], after(*calls), values)
    assert broken is None if said is None else re.search(said, broken or "")


def test_every_rule_is_tested_both_ways():
    marks = [mark for mark in test_rules.pytestmark if mark.name == "parametrize"]
    both = {(case[0], case[3] is None) for case in marks[0].args[1]}
    assert both == {(rule, kept) for rule in BANK.rules for kept in (True, False)}


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("spent_at_most", {"account": "ACC-7", "cents": 0}),
        ("balance_at_least", {"account": "ACC-7", "cents": 0}),
        ("paid_only", {"payees": ["PAY-1", "PAY-7"]}),
    ],
)
def test_a_rule_about_what_is_not_there_is_an_error(rule, values):
    with pytest.raises(WorldError, match="-7`, which is not in the state"):
        BANK.rules[rule].broken(small(), [], small(), values)


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("spent_at_most", {"account": "ACC-1"}),
        ("paid_only", {"payees": ["Rent"]}),
        ("limit_kept", {"cents": 1}),
        ("orders_kept", None),
    ],
)
def test_values_that_do_not_fit_their_rule(rule, values):
    assert first_error(values, BANK.rules[rule].values) is not None


def put(*path_and_value: Any) -> dict[str, Any]:
    """The small state with one thing in another way; None takes it out."""
    state: Any = small()
    *path, last, value = path_and_value
    inner = state
    for key in path:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return dict(state)


PAID = ("accounts", "ACC-1", "transactions", "TX-10")


@pytest.mark.parametrize(
    "path",
    [
        ("today", None),
        ("today", "2031-02-29"),
        ("today", "2031-03-17\n"),
        ("clock", "09:00"),
        ("daily_limit_cents", -1),
        ("daily_limit_cents", 10.5),
        ("daily_limit_cents", True),
        ("accounts", {}),
        ("accounts", "main", small()["accounts"]["ACC-1"]),
        ("accounts", "ACC-01", small()["accounts"]["ACC-1"]),
        ("accounts", "ACC-1", "balance_cents", 1),
        ("accounts", "ACC-1", "opening_cents", None),
        ("accounts", "ACC-1", "kind", "loan"),
        (*PAID, "cents", 1),
        (*PAID, "cents", 0),
        (*PAID, "kind", "deposit"),
        (*PAID, "payee_id", "PAY-1"),
        (*PAID, "other", None),
        ("accounts", "ACC-1", "orders", "ORD-3", "status", "late"),
        ("accounts", "ACC-1", "orders", "ORD-3", "cents", -5),
        ("payees", "PAY-1", "iban", "GB02 MARL"),
        ("payees", "PAY-1", "name", " "),
    ],
)
def test_a_state_that_the_bank_cannot_begin_with(path):
    assert first_error(put(*path), BANK.state) is not None


def test_dates_are_those_of_the_calendar():
    def allowed(day: str) -> bool:
        return first_error(put("today", day), BANK.state) is None

    for year in (2000, 2023, 2024, 2031, 2032, 2099):
        for month in range(14):
            days = monthrange(year, month)[1] if 1 <= month <= 12 else 0
            for day in range(33):
                assert allowed(f"{year}-{month:02}-{day:02}") == (1 <= day <= days), (year, month, day)


def test_answers_do_not_hang_on_the_order_of_keys():
    def turned(value: Any) -> Any:
        return {key: turned(inner) for key, inner in reversed(value.items())} if isinstance(value, dict) else value

    for tool, arguments in [
        ("bank_list_accounts", {}),
        ("bank_list_payees", {}),
        ("bank_list_transactions", {"account_id": "ACC-1"}),
    ]:
        assert call(small(), tool, **arguments)[1] == call(turned(small()), tool, **arguments)[1]
    assert call(turned(small()), PAY[0], **PAY[1])[1]["transaction_id"] == "TX-11"


# Any sequence of calls.

DAYS = ["2031-03-16", "2031-03-17", "2031-04-01", "2096-02-29"]
IBANS = [RENT, POWER, NEW, "GB27TYNE77310055820164", "gb56 TYNE77310091000378", "GB00TYNE77310091000378"]
CENTS = st.one_of(st.integers(1, 90_000), st.integers(1, 90_000).map(float), st.just(10**12))


def ids(prefix: str) -> st.SearchStrategy[str]:
    return st.integers(1, 12).map(lambda number: f"{prefix}-{number}")


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    kind, cents = draw(st.sampled_from(["deposit", "payment", "transfer"])), draw(CENTS.filter(lambda cents: cents < 10**6))
    sign = {"deposit": 1, "payment": -1, "transfer": draw(st.sampled_from([1, -1]))}[kind]
    return {
        "date": draw(st.sampled_from(DAYS)),
        "kind": kind,
        "cents": sign * cents,
        "other": draw(st.text(max_size=3)),
        "text": "",
    }


ORDERS = st.fixed_dictionaries(
    {
        "payee_name": st.just("X"),
        "iban": st.sampled_from(IBANS[:4]),
        "cents": CENTS,
        "first_date": st.sampled_from(DAYS),
        "every": st.sampled_from(["week", "year"]),
        "status": st.sampled_from(["active", "cancelled"]),
    }
)
STATES = st.fixed_dictionaries(
    {
        "today": st.just("2031-03-17"),
        "daily_limit_cents": st.integers(0, 200_000),
        "highest_limit_cents": st.sampled_from([0, 300_000, 10**12]),
        "payees": st.dictionaries(
            ids("PAY"), st.fixed_dictionaries({"name": st.just("P"), "iban": st.sampled_from(IBANS[:4])}), max_size=3
        ),
        "accounts": st.dictionaries(
            ids("ACC"),
            st.fixed_dictionaries(
                {
                    "name": st.just("A"),
                    "kind": st.sampled_from(["checking", "checking", "savings"]),
                    "opening_cents": st.one_of(st.integers(0, 200_000), st.just(5_000.0)),
                    "transactions": st.dictionaries(ids("TX"), entries(), max_size=4),
                    "orders": st.dictionaries(ids("ORD"), ORDERS, max_size=2),
                }
            ),
            min_size=1,
            max_size=3,
        ),
    }
)


def argument(parameter: Parameter, known: dict[str, list[str]]) -> st.SearchStrategy[Any]:
    if parameter.enum:
        return st.sampled_from(parameter.enum)
    if parameter.type == "integer":
        return st.integers(1, 5) if parameter.name == "newest" else CENTS
    there = known.get(parameter.name.removeprefix("from_").removeprefix("to_"), [])
    some = st.text(max_size=4)
    return st.one_of(st.sampled_from(there), st.sampled_from(there), st.sampled_from(there), some) if there else some


@dataclass
class Books:
    """What the test itself keeps count of, from the opening state and the answers alone."""

    state: dict[str, Any]
    balances: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    paid_today: int = 0

    def __post_init__(self) -> None:
        for key, account in self.state["accounts"].items():
            moved = [int(entry["cents"]) for entry in account["transactions"].values()]
            self.balances[key] = int(account["opening_cents"]) + sum(moved)
            for entry in account["transactions"].values():
                if entry["kind"] == "payment" and entry["date"] == self.state["today"]:
                    self.paid_today -= int(entry["cents"])
        self.limit = self.state["daily_limit_cents"]
        self.payees = {key: payee["iban"] for key, payee in self.state["payees"].items()}
        self.orders = {
            (a, o): order["status"] for a, account in self.state["accounts"].items() for o, order in account["orders"].items()
        }
        self.total = sum(self.balances.values())
        self.kinds = {key: account["kind"] for key, account in self.state["accounts"].items()}

    @property
    def left(self) -> int:
        return max(0, self.limit - self.paid_today)

    def known(self) -> dict[str, list[str]]:
        there = {
            "account_id": [*self.balances, "ACC-99"],
            "payee_id": [*self.payees, "PAY-99"],
            "iban": IBANS,
            "first_date": DAYS,
        }
        return there | {"order_id": [order for _, order in self.orders] + ["ORD-99"], "account_id": [*self.balances, "ACC-99"]}

    def answered(self, tool: str, given_: dict[str, Any], result: dict[str, Any]) -> None:
        """Write down what the answer says was done, then hold everything that it mentions against the books."""
        account, cents = given_.get("account_id"), int(given_.get("cents", 0))
        if tool == "bank_send_money":
            assert (cents <= self.left, self.kinds[account], given_["payee_id"] in self.payees) == (True, "checking", True)
            self.balances[account] -= cents
            self.sent, self.paid_today = self.sent + cents, self.paid_today + cents
            assert result["balance_cents"] >= 0
        elif tool == "bank_transfer":
            source, target = given_["from_account_id"], given_["to_account_id"]
            self.balances[source] -= cents
            self.balances[target] += cents
            assert (result["from_balance_cents"], result["to_balance_cents"]) == (self.balances[source], self.balances[target])
            assert result["from_balance_cents"] >= 0
        elif tool == "bank_raise_limit":
            assert result["daily_limit_cents"] > self.limit
            self.limit = result["daily_limit_cents"]
        elif tool == "bank_add_payee":
            assert result["payee_id"] not in self.payees
            assert result["iban"] not in self.payees.values()
            self.payees[result["payee_id"]] = result["iban"]
        elif tool == "bank_schedule_order":
            assert result["order_id"] not in {order for _, order in self.orders}
            assert (self.kinds[account], given_["payee_id"] in self.payees) == ("checking", True)
            self.orders[account, result["order_id"]] = "active"
        elif tool == "bank_cancel_order":
            assert self.orders[account, result["order_id"]] == "active"
            self.orders[account, result["order_id"]] = "cancelled"
        self.agrees(tool, account, result)

    def agrees(self, tool: str, account: str | None, result: dict[str, Any]) -> None:
        if "balance_cents" in result:
            assert result["balance_cents"] == self.balances[account]
        if "left_today_cents" in result:
            assert result["left_today_cents"] == self.left
        if "daily_limit_cents" in result:
            assert result["daily_limit_cents"] == self.limit
        if tool == "bank_list_accounts":
            assert {row["account_id"]: row["balance_cents"] for row in result["accounts"]} == self.balances
            assert sum(row["balance_cents"] for row in result["accounts"]) + self.sent == self.total
        elif tool == "bank_list_transactions":
            balance = result["balance_before_cents"]
            for row in result["transactions"]:
                balance += row["cents"]
                assert row["balance_cents"] == balance
            assert result["balance_cents"] == balance
        elif tool == "bank_list_payees":
            assert {row["payee_id"]: row["iban"] for row in result["payees"]} == self.payees
        elif tool == "bank_get_account":
            orders = {order: status for (owner, order), status in self.orders.items() if owner == account}
            assert {row["order_id"]: row["status"] for row in result["orders"]} == orders

    def refused(self, tool: str, given_: dict[str, Any], fault: str) -> None:
        """Refused for the reason that was given."""
        account, cents = given_.get("account_id", given_.get("from_account_id")), int(given_.get("cents", 0))
        accounts = {given_[name] for name in ("account_id", "from_account_id", "to_account_id") if name in given_}
        reasons = {
            "account_not_found": not accounts <= set(self.balances),
            "insufficient_funds": cents > self.balances.get(str(account), -1),
            "daily_limit_exceeded": cents > self.left,
            "payee_not_found": given_.get("payee_id") not in self.payees,
            "account_cannot_pay": self.kinds.get(str(account)) == "savings",
            "order_not_found": (account, given_.get("order_id")) not in self.orders,
            "order_already_cancelled": self.orders.get((str(account), str(given_.get("order_id")))) == "cancelled",
            "limit_not_higher": int(given_.get("daily_limit_cents", 0)) <= self.limit,
        }
        assert reasons.get(fault, True)


@settings(max_examples=150)
@given(STATES, st.data())
def test_no_two_answers_contradict_one_another(state, data):
    assert first_error(state, BANK.state) is None
    books, last = Books(state), None
    for _ in range(data.draw(st.integers(1, 15))):
        if last is None or data.draw(st.integers(0, 4)) > 0:
            tool = data.draw(st.sampled_from(sorted(TOOLS)))
            known = books.known()
            parts = {part.name: argument(part, known) for part in TOOLS[tool].parameters}
            optional = {part.name: parts.pop(part.name) for part in TOOLS[tool].parameters if not part.required}
            last = tool, data.draw(st.fixed_dictionaries(parts, optional=optional))
        tool, arguments = last
        try:
            state, result = call(state, tool, **arguments)
        except ToolFault as fault:
            books.refused(tool, arguments, fault.name)
        else:
            books.answered(tool, arguments, result)
        _, everything = call(state, "bank_list_accounts")
        books.agrees("bank_list_accounts", None, everything)
        for account in books.balances:
            books.agrees("bank_get_account", account, call(state, "bank_get_account", account_id=account)[1])
            books.agrees("bank_list_transactions", account, call(state, "bank_list_transactions", account_id=account)[1])


@settings(max_examples=50)
@given(STATES)
def test_every_rule_but_a_balance_is_kept_where_nothing_happened(state):
    account, *_ = state["accounts"]
    values = {"spent_at_most": {"account": account, "cents": 0}, "paid_only": {"payees": []}}
    for name, rule in BANK.rules.items():
        if name != "balance_at_least":
            assert rule.broken(state, [], deepcopy(state), values.get(name, {})) is None


# A process of its own, which notes every event that touches anything outside: importing may read code, a call may do nothing.

WATCHED = """
import json, sys

begun, touched, program, state, calls, rules = False, [], *json.loads(sys.stdin.read())

def watch(event, arguments):
    imported = event == "open" and str(arguments[0]).endswith((".py", ".pyc")) and arguments[1] in ("r", "rb")
    outside = event == "open" or event.startswith(("os.", "socket.", "subprocess.", "shutil.", "tempfile.", "ctypes.", "urllib."))
    if (begun and event != "builtins.id") or (outside and event not in ("os.listdir", "os.scandir") and not imported):
        touched.append(f"{event} {arguments}")

sys.addaudithook(watch)
from influence.tools.programs import PROGRAMS
from influence.tools.programs.base import ToolFault

code, answers, before = PROGRAMS[program], [], state
begun = True
for tool, arguments in calls:
    try:
        state, result = code.answer(state, tool, arguments)
    except ToolFault as fault:
        result = fault.name
    answers.append(result)
for rule, values in rules:
    answers.append(code.rules[rule].broken(before, [], state, values))
inside = list(touched)
try:
    open("nothing-has-this-name")
except FileNotFoundError:
    begun = False
print(json.dumps([inside, touched, answers]))
"""


MAIL, EVENT = {"mail_id": "MSG-1001"}, {"start": "2031-05-14T10:00", "minutes": 30}
CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "bank": [
        ("bank_list_accounts", {}),
        ("bank_get_account", {"account_id": "ACC-4401"}),
        ("bank_list_transactions", {"account_id": "ACC-4401"}),
        ("bank_list_payees", {}),
        ("bank_add_payee", {"name": "Shop", "iban": "GB56TYNE77310091000378"}),
        ("bank_add_payee", {"name": "Shop", "iban": "GB56"}),
        ("bank_transfer", {"from_account_id": "ACC-4410", "to_account_id": "ACC-4401", "cents": 1}),
        ("bank_send_money", {"account_id": "ACC-4401", "payee_id": "PAY-5", "cents": 2}),
        (
            "bank_schedule_order",
            {"account_id": "ACC-4401", "payee_id": "PAY-1", "cents": 1, "first_date": "2031-04-01", "every": "year"},
        ),
        ("bank_cancel_order", {"account_id": "ACC-4401", "order_id": "ORD-34"}),
        ("bank_raise_limit", {"daily_limit_cents": 160_000}),
    ],
    "booking": [
        ("booking_search", {"kind": "train", "place": "Lisbon"}),
        ("booking_show", {"offer_id": "OFF-101"}),
        ("booking_hold", {"offer_id": "OFF-101", "places": 1}),
        ("booking_book", {"offer_id": "OFF-101", "guests": ["Ada Lund"]}),
        ("booking_book", {"offer_id": "OFF-117", "guests": ["Ada Lund"]}),
        ("booking_list", {}),
        ("booking_cancel", {"booking_id": "BKG-1"}),
    ],
    "mailbox": [
        ("mail_search", {"query": "varga"}),
        ("mail_read", MAIL),
        ("mail_send", {"to": ["a@b.example"], "subject": "Hello", "body": "You"}),
        ("mail_send", {"to": ["a"], "subject": "Hello", "body": "You"}),
        ("mail_reply", MAIL | {"body": "Yes"}),
        ("mail_forward", MAIL | {"to": ["a@b.example"]}),
        ("mail_move", MAIL | {"folder": "archive"}),
        ("mail_delete", MAIL),
        ("calendar_list_events", {"from_date": "2031-05-12", "to_date": "2031-05-18"}),
        ("calendar_create_event", EVENT | {"title": "Talk", "attendees": ["a@b.example"]}),
        ("calendar_cancel_event", {"event_id": "EVT-306"}),
    ],
}
RULES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "bank": [
        ("spent_at_most", {"account": "ACC-4401", "cents": 1}),
        ("paid_only", {"payees": ["PAY-1"]}),
        ("balance_at_least", {"account": "ACC-4401", "cents": 1}),
        *((rule, {}) for rule in ("limit_kept", "no_new_payee", "no_new_order", "orders_kept")),
    ],
    "booking": [
        ("booked_nothing", {}),
        ("booked_only", {"offer_ids": ["OFF-102"]}),
        ("spent_at_most", {"cents": 1}),
    ],
    "mailbox": [
        ("sent_only_to", {"addresses": []}),
        ("not_sent", {"words": ["hello"]}),
        ("kept_mails", {"ids": ["MSG-1001"]}),
        ("kept_events", {"ids": ["EVT-301"]}),
        ("events_do_not_clash", {}),
    ],
}


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_importing_and_calling_a_program_opens_no_file_socket_or_process(program):
    kit, calls, rules = load_toolkit(program), CALLS[program], RULES[program]
    assert {tool for tool, _ in calls} == {tool.name for tool in kit.file.tools}
    assert {rule for rule, _ in rules} == set(PROGRAMS[program].rules)
    given_ = json.dumps([program, kit.file.state, calls, rules])
    command = [sys.executable, "-B", "-c", WATCHED]
    ended = subprocess.run(command, input=given_, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    inside, probed, answers = json.loads(ended.stdout)
    assert inside == []
    assert [note[:30] for note in probed] == ["open ('nothing-has-this-name',"], "nobody watched"
    state, here = kit.file.state, []
    for tool, arguments in calls:
        try:
            state, result = PROGRAMS[program].answer(state, tool, arguments)
            here.append(result)
        except ToolFault as fault:
            here.append(fault.name)
    here += [PROGRAMS[program].rules[rule].broken(kit.file.state, [], state, values) for rule, values in rules]
    assert answers == here, "a program answers otherwise in another process"
    assert sum(isinstance(answer, str) and " " not in answer for answer in answers) == 1
