"""Errors that nobody foresaw: a number for who met one, the type and line for the log, never what they may quote."""

from __future__ import annotations

import logging
import secrets


def place_of(error: BaseException) -> str:
    """The type of an exception and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(error).__name__} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"


def numbered(log: logging.Logger, error: BaseException) -> str:
    """The number (16 hexadecimal digits) under which the log has it."""
    number = secrets.token_hex(8)
    log.error("incident %s: %s", number, place_of(error))
    return number
