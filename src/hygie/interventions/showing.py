"""A recording as a person reads it: what was run, given and shown, without what could act on the reader's own. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from hygie.interventions.iolog import GIVEN, STREAMS, TYPED, Header, Recording, events_of

# ECMA-48: CSI, OSC and its like with their strings, two-character sequences.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def shown(recording: Recording) -> Iterator[tuple[float, str]]:
    """Seconds from the start, and what was written then: first the command with its arguments, after ``$``.

    What was typed on a terminal shows as it echoed it; what a command was given by a pipe is echoed nowhere, and its
    lines begin with ``<``. Sequences are undone in what one event holds; one that is cut between two leaves harmless
    characters behind.
    """
    at = dict.fromkeys(STREAMS, 0)
    seconds = 0.0
    yield seconds, f"$ {_command(recording.header)}\n"
    for event in events_of(recording.files["timing"]):
        seconds += event.after_s
        if event.stream is None:
            continue
        start = at[event.stream]
        at[event.stream] = start + event.size
        if event.stream == TYPED:
            continue
        piece = recording.files[STREAMS[event.stream]][start : start + event.size]
        if text := plain(piece):
            yield seconds, "".join(f"< {one}" for one in text.splitlines(True)) if event.stream == GIVEN else text


def _command(header: Header) -> str:
    """As it could be typed, on one line."""
    return plain(shlex.join((header.command, *header.arguments)).encode()).replace("\n", " ")


def plain(piece: bytes) -> str:
    """Text alone: no escape sequence, no control character but line feed and tabulation."""
    return _CONTROLS.sub("", _ESCAPES.sub(b"", piece).decode("utf-8", "replace"))
