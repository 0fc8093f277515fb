"""Parts taken away under a serving installation: what cannot be journaled, opened or kept is not answered."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.attack.installation import Installation, ask, attacked, kill, pids, stopped, whole_journal

NAME = "Secretdejeanne"
PATIENT = {"resourceType": "Patient", "name": [{"family": NAME}]}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as one:
        assert one.fhir("PUT", "Patient/p1", {**PATIENT, "id": "p1"}).status == 201
        assert one.fhir("PUT", "Patient/p1", {**PATIENT, "id": "p1", "active": True}).status == 200
        assert (
            one.fhir(
                "PUT",
                "Binary/b1",
                {"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "U2VjcmV0ZGVqZWFubmU="},
            ).status
            == 201
        )
        yield one


@contextmanager
def as_owner(made: Installation) -> Iterator[psycopg.Connection]:
    folder = DataFolder.at(made.data)
    with psycopg.connect(dsns_of(load_settings(made.data), folder).owner, autocommit=True) as owner:
        yield owner


@contextmanager
def nobody_may_write_the_journal(made: Installation) -> Iterator[None]:
    with as_owner(made) as owner:
        owner.execute("REVOKE INSERT ON hygie.journal_pending FROM hygie_hosting, hygie_environments")
        try:
            yield
        finally:
            owner.execute("GRANT INSERT ON hygie.journal_pending TO hygie_hosting, hygie_environments")


@contextmanager
def the_database_has_no_room(made: Installation) -> Iterator[None]:
    """What a full disk raises, where the journal's rows go."""
    with as_owner(made) as owner:
        owner.execute(
            "CREATE FUNCTION hygie.full() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
        )
        owner.execute(
            "CREATE TRIGGER no_room BEFORE INSERT ON hygie.journal_pending"
            " FOR EACH STATEMENT EXECUTE FUNCTION hygie.full()"
        )
        try:
            yield
        finally:
            owner.execute("DROP FUNCTION hygie.full() CASCADE")


def requests_of(id_: str) -> list[tuple[str, str, object]]:
    """Each way of getting something in or out, the refusals among them."""
    one = {**PATIENT, "id": id_}
    entry = {"resource": one, "request": {"method": "PUT", "url": f"Patient/{id_}"}}
    return [
        ("GET", "Patient/p1", None),
        ("HEAD", "Patient/p1", None),
        ("GET", "Patient/p1/_history/1", None),
        ("GET", "Patient/p1/_history", None),
        ("GET", "Patient/_history", None),
        ("GET", f"Patient?name={NAME}", None),
        ("GET", "Patient/p1/$everything", None),
        ("GET", "Binary/b1", None),
        ("GET", "Patient/absent", None),
        ("GET", "Patient?nosuchparameter=1", None),
        ("PUT", f"Patient/{id_}", one),
        ("PUT", f"Patient/{id_}", {**one, "nosuchelement": NAME}),
        ("POST", "Patient", PATIENT),
        ("DELETE", "Patient/p1", None),
        ("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
    ]


@pytest.mark.parametrize("broken", [nobody_may_write_the_journal, the_database_has_no_room])
def test_what_cannot_be_journaled_is_not_answered(
    made: Installation, broken: Callable[[Installation], AbstractContextManager[None]]
) -> None:
    id_ = f"written{next(_numbers)}"
    with broken(made):
        for method, path, body in requests_of(id_) * 2:  # twice: a connection that failed must fail as well again
            answer = made.fhir(method, path, body)
            assert answer.status == 503, (method, path, answer.status, answer.body)
            assert NAME.encode() not in answer.body
            assert "secretdejeanne" not in json.dumps(answer.headers).lower()
        batch = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": "Patient/p1"}}],
        }
        answer = made.fhir("POST", "", batch)
        assert NAME.encode() not in answer.body
        assert answer.status == 503 or answer.json["entry"][0]["response"]["status"].startswith("503")
        stranger = ask(made, "/chu/prod/fhir/Patient/p1", "hyg_nobody")
        assert stranger.status == 503, "not even the refusal"
    for _ in range(12):  # every connection of the pools
        assert made.fhir("GET", "Patient/p1").json["name"] == PATIENT["name"]
        assert ask(made, "/chu/prod/fhir/Patient/p1", "hyg_nobody").status == 401
    assert made.fhir("GET", f"Patient/{id_}").status == 404
    assert made.fhir("GET", f"Patient?name={NAME}&_count=50").json["entry"][0]["resource"]["id"] == "p1"
    assert len(made.fhir("GET", f"Patient?name={NAME}&_count=50").json["entry"]) == 1


def test_without_the_keys_nothing_is_opened(made: Installation) -> None:
    """A hosting process that holds no key yet, and a key process that does not answer."""
    kill(made, "serve")
    made.close_connection()
    made.wait_for(lambda: pids(made)["serve"])
    with stopped(pids(made)["kms"]):
        until = time.monotonic() + 60
        answer = None
        while answer is None:
            try:
                answer = ask(made, "/chu/prod/fhir/Patient/p1", made.token)
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
        assert answer.status == 503, answer.body
        assert NAME.encode() not in answer.body
    assert made.wait_for(lambda: made.fhir("GET", "Patient/p1").status == 200)
    kill(made, "kms")
    assert made.wait_for(lambda: made.fhir("POST", "Patient", {"resourceType": "Patient"}).status == 201)


def test_below_the_quorum_nothing_is_acknowledged_and_nothing_is_lost(made: Installation) -> None:
    sites = made.data / "sites"
    away = sites.with_name("away")
    away.mkdir()
    for name in ("paris", "lyon"):
        (sites / name).rename(away / name)
    try:
        refused = made.fhir("PUT", "Patient/quorum", {**PATIENT, "id": "quorum"})
        assert refused.status == 503, refused.body
        assert made.fhir("GET", "Patient/p1").status == 200, "one site is enough to read"
    finally:
        for name in ("paris", "lyon"):
            (away / name).rename(sites / name)
    assert made.wait_for(lambda: made.fhir("PUT", "Patient/quorum", {**PATIENT, "id": "quorum"}).status in {200, 201})
    history = made.fhir("GET", "Patient/quorum/_history").json["entry"]
    assert len(history) == 1, "what was answered 503 was not stored beside"


def test_the_journal_is_whole_after_all_that(made: Installation) -> None:
    told = [(entry.action.value, entry.outcome) for entry in whole_journal(made)]
    assert ("object:read", "done") in told
    assert ("session:refused", "refused") in told
    assert "Traceback" not in (made.data / "logs" / "serve-1.log").read_text()
    for path in (made.data / "logs").rglob("*"):
        assert path.is_dir() or NAME not in path.read_text(errors="replace"), path.name
