"""A session as sudo recorded it: a folder of its I/O log, read with suspicion.

Source: sudoers(5), "I/O LOG FILES": ``log.json`` says who ran what; ``timing`` holds a line for each piece of terminal
or pipe (kind, seconds since the one before, bytes); one file holds each stream. A finished log has no write bit on
``timing``. sudo can compress them (``compress_io``); ``setup`` turns that off, and nothing is ever unpacked here: bytes
that begin as gzip does are what the person's own command wrote.

Who is recorded does not write here, root does. What stands in the folder is judged all the same: links, pipes, huge
files, bytes that are no recording, headers that lie.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hygie.interventions.errors import RecordingDamagedError

LOG, TIMING = "log.json", "timing"
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr", 3: "ttyin", 4: "ttyout"}
GIVEN, TYPED = 0, 3
NAMES = (LOG, TIMING, *STREAMS.values())
LOG_BYTES_MAX = 8 * 1024 * 1024  # of log.json: a command line is 6 MiB at most on Linux (execve(2)), mostly far less
BYTES_MAX = 48 * 1024 * 1024  # of a whole recording, opened: an hour of a busy terminal takes some hundred kilobytes
EVENTS_MAX = 2_000_000
GAP_S_MAX = 86_400.0
_WINDOW, _SUSPEND = 5, 7
_SHELL = "SHELL="
_EVENT = re.compile(rb"(\d) (\d{1,9}(?:\.\d{1,9})?) (?:(\d{1,10})(?: \d{1,10})?|[A-Z0-9+]{1,16})", re.ASCII)
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class TooLargeError(RecordingDamagedError):
    """A recording over BYTES_MAX: it is left where it is, for people."""

    code = "HYG-5J1"
    fr = "Enregistrement trop grand ({reason})."
    en = "A recording that is too large ({reason})."


class _Instant(msgspec.Struct, frozen=True):
    seconds: int
    nanoseconds: int = 0


class _Log(msgspec.Struct, frozen=True):
    """What of ``log.json`` is believed no further than its shape."""

    timestamp: _Instant
    submituser: str
    runuser: str
    command: str
    submithost: str = ""
    runargv: tuple[str, ...] = ()
    runenv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording says of itself, in characters that any log may hold; ``""`` for what is otherwise.

    started_ms: UTC; arguments: of the command, as they stand; login_shell: of the account that it ran as, by the
    machine's accounts.
    """

    account: str
    run_as: str
    host: str
    command: str
    arguments: tuple[str, ...]
    started_ms: int
    login_shell: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A piece of a stream. after_s: since the one before; stream: its number in STREAMS, None for another event."""

    after_s: float
    stream: int | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording. files: its opened files by name; ended_ms: of its last event."""

    header: Header
    files: Mapping[str, bytes]
    ended_ms: int

    @property
    def archive(self) -> bytes:
        """Its one byte string: what is sealed, and what its digest is of."""
        return msgspec.msgpack.encode([(name, self.files[name]) for name in NAMES if name in self.files])


@dataclass(frozen=True, slots=True)
class Waiting:
    """A folder of the spool. finished: sudo has closed it; changed_ms: last change of its timing file."""

    name: str
    finished: bool
    changed_ms: int


def waiting(spool: Path, *, at_most: int) -> list[Waiting]:
    """Recordings of a spool, by name. What is no folder with a regular ``timing`` inside is passed over.

    Raises: OSError: the spool cannot be read.
    """
    found: list[Waiting] = []
    for name in sorted(one.name for one in spool.iterdir()):
        if len(found) >= at_most or not _SAFE.fullmatch(name):
            continue
        try:
            with _folder(spool / name) as folder:
                status = os.stat(TIMING, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            finished = not status.st_mode & 0o222
            found.append(Waiting(name, finished, status.st_mtime_ns // 1_000_000))
    return found


def read_header(spool: Path, name: str) -> Header:
    """Who ran what, of a recording that may be under way. Raises: RecordingDamagedError; OSError."""
    with _folder(spool / name) as folder:
        return _header(_file(folder, LOG, LOG_BYTES_MAX))


def read_recording(spool: Path, name: str) -> Recording:
    """A recording, its streams held to its timing.

    Raises: TooLargeError; RecordingDamagedError: it is cut, altered, or no recording; OSError.
    """
    files: dict[str, bytes] = {}
    left = BYTES_MAX
    with _folder(spool / name) as folder:
        for each in NAMES:
            try:
                files[each] = _file(folder, each, LOG_BYTES_MAX if each == LOG else left)
            except FileNotFoundError:
                if each in (LOG, TIMING):
                    raise RecordingDamagedError(reason=each) from None
                continue
            left -= len(files[each])
    return _held(files)


def open_archive(archive: bytes) -> Recording:
    """A recording from its archive. Raises: RecordingDamagedError."""
    try:
        items = msgspec.msgpack.decode(archive, type=list[tuple[str, bytes]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingDamagedError(reason="archive") from error
    if [name for name, _ in items] != [name for name in NAMES if name in dict(items)]:
        raise RecordingDamagedError(reason="archive")
    return _held(dict(items))


def events_of(timing: bytes) -> Iterator[Event]:
    """The pieces of a recording in order. Raises: RecordingDamagedError: a line is not of the format."""
    lines = timing.split(b"\n")
    if lines.pop() or len(lines) > EVENTS_MAX:
        raise RecordingDamagedError(reason="timing")
    for line in lines:
        found = _EVENT.fullmatch(line)
        if found is None or float(found[2]) > GAP_S_MAX:
            raise RecordingDamagedError(reason="timing")
        kind, after_s = int(found[1]), float(found[2])
        if kind in STREAMS and found[3] is not None:
            yield Event(after_s, kind, int(found[3]))
        elif kind in (_WINDOW, _SUSPEND):
            yield Event(after_s, None)
        else:
            raise RecordingDamagedError(reason="timing")


def _held(files: Mapping[str, bytes]) -> Recording:
    if LOG not in files or TIMING not in files:
        raise RecordingDamagedError(reason="archive")
    header = _header(files[LOG])
    sizes, seconds = dict.fromkeys(STREAMS, 0), 0.0
    for event in events_of(files[TIMING]):
        seconds += event.after_s
        if event.stream is not None:
            sizes[event.stream] += event.size
    for number, name in STREAMS.items():
        if sizes[number] != len(files.get(name, b"")):
            raise RecordingDamagedError(reason=name)
    return Recording(header, files, header.started_ms + int(seconds * 1000))


def _header(data: bytes) -> Header:
    try:
        # arguments are bytes, which sudo writes as they are: one that is no UTF-8 must not hide who ran the command
        log = msgspec.json.decode(data.decode("utf-8", "replace"), type=_Log)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RecordingDamagedError(reason=LOG) from error
    started_ms = log.timestamp.seconds * 1000 + log.timestamp.nanoseconds // 1_000_000
    if not 0 < started_ms < 4_102_444_800_000 or not _SAFE.fullmatch(log.submituser):  # until the year 2100
        raise RecordingDamagedError(reason=LOG)
    run_as, host = (one if _SAFE.fullmatch(one) else "" for one in (log.runuser, log.submithost))
    shell = next((one.removeprefix(_SHELL) for one in log.runenv if one.startswith(_SHELL)), "")
    return Header(log.submituser, run_as, host, log.command, log.runargv[1:], started_ms, shell)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _file(folder: int, name: str, bytes_max: int) -> bytes:
    """A regular file of a folder, as it stands. Raises: TooLargeError; RecordingDamagedError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not make the reader wait
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:  # a link
        raise RecordingDamagedError(reason=name) from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RecordingDamagedError(reason=name)
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise TooLargeError(reason=name)
    return data
