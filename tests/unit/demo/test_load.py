"""Loading asks again what was refused for being busy, and never what may be stored already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hygie.demo.client import Answer
from hygie.demo.load import BUSY_TRIES, load_files
from hygie.vault.errors import OutcomeUnknownError


class Server:
    """Refuses every Bundle with one status and code."""

    def __init__(self, status: int, code: str) -> None:
        outcome = {"issue": [{"details": {"coding": [{"code": code}]}}]}
        self.answer = Answer(status, {}, json.dumps(outcome).encode())
        self.asked = 0

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None: ...

    def request(self, _method: str, _path: str, _body: bytes) -> Answer:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(
    ("status", "code", "asked"),
    [
        (503, OutcomeUnknownError.code, 1),
        (503, "HYG-400", 1 + BUSY_TRIES),
        (429, "HYG-470", 1 + BUSY_TRIES),
        (422, "HYG-100", 1),
    ],
)
def test_only_what_was_surely_not_done_is_asked_again(tmp_path: Path, status: int, code: str, asked: int) -> None:
    (tmp_path / "a.json").write_bytes(b'{"resourceType":"Patient"}')
    server: Any = Server(status, code)
    loaded = load_files(lambda: server, [tmp_path / "a.json"], tmp_path, lambda _: None)
    assert server.asked == asked
    assert sum(loaded.refusals.values()) == 1
