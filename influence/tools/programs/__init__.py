"""Toolkits whose answers are decided by code: a bank, and a mailbox with a calendar."""

from __future__ import annotations

from collections.abc import Mapping

from influence.tools.programs import bank, mailbox
from influence.tools.programs.base import ProgramCode

PROGRAMS: Mapping[str, ProgramCode] = {"bank": bank.PROGRAM, "mailbox": mailbox.PROGRAM}
