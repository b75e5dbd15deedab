"""The command line: options to a configuration, one call, a printed answer. No logic, and nothing heavy imported early."""

from __future__ import annotations

from influence.cli.app import main

__all__ = ["main"]
