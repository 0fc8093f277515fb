"""Recordings as sudo writes them, made by hand: to be altered one thing at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hygie.interventions.iolog import Header
from hygie.interventions.matching import SHELL, Allowed, Believed, Certificate
from hygie.interventions.sshd_log import Login

START_S = 1_800_000_000
START_MS = START_S * 1000
AUTHORITY = "SHA256:authority"
KEY = "SHA256:abc"
LOGIN = Login("vm-1", "paul", "192.0.2.7", 51_000, START_MS - 200, "INT-1", "7", AUTHORITY, KEY)
ALLOWED = Allowed("INT-1", "chu", "PER-paul", "paul", START_MS - 60_000, START_MS + 600_000)
SECOND = replace(LOGIN, port=51_001, at_ms=START_MS - 100, key_id="INT-2", serial="8")
BELIEVED = Believed(
    {"INT-1": ALLOWED, "INT-2": replace(ALLOWED, key="INT-2")},
    {
        "7": Certificate("INT-1", "paul", KEY, START_MS + 600_000),
        "8": Certificate("INT-2", "paul", KEY, START_MS + 600_000),
        "9": Certificate("INT-9", "paul", KEY, START_MS + 600_000),
    },
    frozenset({AUTHORITY}),
)


def log(**changed: Any) -> bytes:
    """``log.json``."""
    whole = {
        "timestamp": {"seconds": START_S, "nanoseconds": 5_000_000},
        "submituser": "paul",
        "command": SHELL,
        "runuser": "paul",
        "submithost": "vm-1",
        "runargv": [SHELL, "INT-1", "192.0.2.7 51000 192.0.2.1 22", "1800000600", ""],
        "runenv": ["PATH=/bin", "SHELL=/bin/sh"],
    }
    return json.dumps(whole | changed).encode()


FILES: Mapping[str, bytes] = {
    "log.json": log(),
    "timing": b"5 0.000000000 24 80\n4 0.500000000 6\n3 0.250000000 2\n4 1.250000000 5\n",
    "ttyin": b"l\n",
    "ttyout": b"$ ls\r\nvide\n",
    "log": b"1800000000:paul:paul::/dev/pts/0:24:80\n/\n/bin/sh\n",
}


def recording(spool: Path, name: str = "paul-20270115-abcdef", **changed: bytes | None) -> Path:
    """A finished recording. Args: changed: content of ``log_json``, ``timing``… otherwise, None to leave one out."""
    folder = spool / name
    folder.mkdir(parents=True)
    files = dict(FILES) | {key.replace("log_json", "log.json"): value for key, value in changed.items()}
    for each, content in files.items():
        if content is not None:
            (folder / each).write_bytes(content)
    if (folder / "timing").exists():
        (folder / "timing").chmod(0o400)
    return folder


def header(**changed: Any) -> Header:
    """What a recording says of itself."""
    whole: dict[str, Any] = {
        "account": "paul",
        "run_as": "paul",
        "host": "vm-1",
        "command": SHELL,
        "arguments": ("INT-1", "192.0.2.7 51000 192.0.2.1 22", "1800000600", ""),
        "started_ms": START_MS,
        "login_shell": "/bin/sh",
    }
    return Header(**(whole | changed))
