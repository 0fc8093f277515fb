"""Approved habilitations are granted one by one: what befalls one leaves the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hygie import grants
from hygie.app import House
from hygie.base.actions import Action
from hygie.base.permit import Place
from hygie.database.pool import Database
from hygie.gate.errors import RequestOverError
from hygie.gate.everywhere import EVERYWHERE
from hygie.gate.requests import APPROVED, Decision, Request
from hygie.grants import Grants

WHAT = {"account": "sara", "role": "security-officer", "days": "30"}


def approved(id_: str, place: Place = EVERYWHERE) -> Request:
    decision = Decision(APPROVED, "sam", 1, "", b"")
    return Request(id_, Action.HABILITATION_GRANT, place, WHAT, b"", "why", "sal", 0, 9, b"", decision)


class Acts:
    """Administration beside another working process, which takes the first request first."""

    def __init__(self) -> None:
        self.given_up: list[str] = []

    async def grant(self, *_: object, request: str, **__: object) -> str:
        if request == "first":
            raise RequestOverError()
        return request

    async def give_up(self, request: Request, _: str) -> None:
        self.given_up.append(request.id)
        raise RequestOverError()


def test_a_request_that_another_process_took_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Acts()

    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[Acts]:
        yield acts

    async def waiting(_: Action) -> list[Request]:
        return [approved("first"), approved("second")]

    monkeypatch.setattr(grants, "open_administration", opened)
    house = cast("House", SimpleNamespace(kms=None, clock=None))
    one: Any = Grants(house, cast("Database", None), "system:work")
    monkeypatch.setattr(one._requests, "approved", waiting)
    assert asyncio.run(one.run()) == ["second"]
    assert acts.given_up == ["first"]
