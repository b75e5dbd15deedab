"""Toolkits whose answers are decided by code: a bank, a mailbox with a calendar, and a booking service."""

from __future__ import annotations

from collections.abc import Mapping

from influence.tools.programs import bank, booking, mailbox
from influence.tools.programs.base import ProgramCode

PROGRAMS: Mapping[str, ProgramCode] = {
    "bank": bank.PROGRAM,
    "booking": booking.PROGRAM,
    "mailbox": mailbox.PROGRAM,
}
