"""Hostile bodies, slow clients and racing writers against a real installation of two hosting processes, over HTTPS."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.attack.installation import Answer, Installation, attacked, client, entries, pids, serving_alone, trust

NAME = "Secretdejeanne"
JSON = "application/fhir+json"
RESIDENT_BYTES_MAX = 400 << 20  # what a hosting process may hold after bombs of 400 MB: it never unpacked one
SLOW_CLIENTS = 300
SLOW_S_MAX = 40.0  # 10 s for a header, 15 s for a body that crawls, and a busy machine
ANSWER_S_MAX = 8.0
SILENT_S_MAX = 9.0  # 3 s for a stranger's body, and a busy machine
MIB = 1 << 20


def patient(inside: bytes) -> bytes:
    return b'{"resourceType":"Patient","name":[{"family":"' + NAME.encode() + b'"}]' + inside + b"}"


def bomb(size_bytes: int) -> bytes:
    """A gzip of ``size_bytes`` of white space inside a resource."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * 1_000_000
    parts = [packer.compress(b'{"resourceType":"Patient"')]
    parts += [packer.compress(block) for _ in range(size_bytes // len(block))]
    return b"".join([*parts, packer.compress(b"}"), packer.flush()])


HOSTILE: dict[str, tuple[bytes, dict[str, str], set[int]]] = {
    "oversized": (patient(b',"text":{"status":"empty","div":"' + b"x" * (17 * MIB) + b'"}'), {}, {413}),
    "oversized once unpacked": (gzip.compress(patient(b" " * 17 * MIB), 1), {"Content-Encoding": "gzip"}, {413}),
    "zip bomb": (bomb(400_000_000), {"Content-Encoding": "gzip"}, {413}),
    "zip bomb cut short": (bomb(400_000_000)[:-100], {"Content-Encoding": "gzip"}, {400, 413}),
    "500 deep": (patient(b',"extension":' + b'[{"url":"u","extension":' * 500 + b"[]" + b"}]" * 500), {}, {400, 422}),
    "100,000 deep": (b"[" * 100_000, {}, {400, 422}),
    "a key twice": (patient(b',"active":true,"active":false'), {}, {400}),
    "a key twice, escaped": (patient(rb',"active":true,"\u0061ctive":false'), {}, {400}),
    "bad UTF-8": (patient(b',"language":"\xff\xfe"'), {}, {400}),
    "surrogate in UTF-8": (patient(b',"language":"\xed\xa0\x80"'), {}, {400}),
    "lone surrogate": (patient(rb',"language":"\ud800"'), {}, {400}),
    "NaN": (patient(b',"multipleBirthInteger":NaN'), {}, {400}),
    "Infinity": (patient(b',"multipleBirthInteger":-Infinity'), {}, {400}),
    "endless number": (patient(b',"multipleBirthInteger":' + b"9" * 50_000), {}, {400, 422}),
    "two documents": (patient(b"") * 2, {}, {400}),
    "another charset": (patient(b"").decode().encode("utf-16"), {"Content-Type": f"{JSON};charset=utf-16"}, {400, 415}),
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked(processes=2) as one:
        body = {"resourceType": "Patient", "id": "p"}
        assert one.fhir("PUT", "Patient/p", body).status == 201
        yield one


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_body_is_refused_by_every_process_and_stores_nothing(made: Installation, what: str) -> None:
    body, headers, statuses = HOSTILE[what]
    wrapped = b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%b,"request":{"method":"POST",%b}}]}'
    bundled = wrapped % (body, b'"url":"Patient"')
    for _ in serving_alone(made):
        made.close_connection()
        mine = client(made)
        for path, sent in (("Patient", body), ("", body if "gzip" in headers.values() else bundled)):
            if path == "" and sent is bundled and len(sent) > 16 * MIB:
                continue  # a bundle may be that large
            answer = ask_once(mine, path, sent, headers)
            assert answer.status in statuses, (path, answer.status, answer.body[:300])
            assert answer.json["resourceType"] == "OperationOutcome"
            assert NAME.encode() not in answer.body
        mine.close_connection()
    made.close_connection()
    assert made.fhir("GET", f"Patient?family={NAME}").json.get("entry", []) == []
    assert all(resident_bytes(pid) < RESIDENT_BYTES_MAX for pid in pids(made)["serve"])
    for log in (made.data / "logs").glob("*.log"):
        assert NAME not in log.read_text(errors="replace"), log.name


def ask_once(made: Installation, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """One request; a server that refuses early may close before all was sent, then it is asked again."""
    for _ in range(5):
        with suppress(OSError, HTTPException):
            return made.fhir("POST", path, body, headers=headers)
        made.close_connection()
    raise AssertionError("never an answer")


def test_many_slow_clients_hold_nobody_up_and_are_let_go(made: Installation) -> None:
    """Half crawl in their headers, half in a body, with a token or without; others are served meanwhile."""
    context = trust(made)

    def crawl(number: int) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", made.port), timeout=30)
        slow = context.wrap_socket(raw, server_hostname="127.0.0.1")
        token = made.token if number % 4 == 0 else "hyg_nobody"
        head = f"POST /chu/prod/fhir/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        if number % 2 == 0:
            head += f"Content-Type: {JSON}\r\nContent-Length: 100000\r\n\r\n{{"
        slow.sendall(head.encode())
        return slow

    with ThreadPoolExecutor(16) as threads:
        slow = list(threads.map(crawl, range(SLOW_CLIENTS)))
    try:
        until = time.monotonic() + SLOW_S_MAX
        gone = 0
        while gone < SLOW_CLIENTS:
            began = time.monotonic()
            answer = client(made)
            assert answer.fhir("GET", "Patient/p").status == 200, "a client of another connection is served"
            assert time.monotonic() - began < ANSWER_S_MAX
            answer.close_connection()
            gone = sum(ended(one) for one in slow)
            assert time.monotonic() < until, f"{SLOW_CLIENTS - gone} slow clients still hold a place"
    finally:
        for one in slow:
            one.close()
    assert made.fhir("GET", "Patient/p").status == 200


@pytest.mark.parametrize("door", ["oauth2/token", "oauth2/sign-in", "rights/requests"])
def test_what_a_stranger_announces_and_never_sends_holds_a_place_for_seconds(made: Installation, door: str) -> None:
    """At fifteen seconds each, seventeen connections a second kept a process at 503."""
    context = trust(made)

    def announce(_: int) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", made.port), timeout=SILENT_S_MAX)
        slow = context.wrap_socket(raw, server_hostname="127.0.0.1")
        kind = "application/json" if door.startswith("rights") else "application/x-www-form-urlencoded"
        slow.sendall(
            f"POST /chu/prod/{door} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 9\r\n\r\na".encode()
        )
        return slow

    with ThreadPoolExecutor(8) as threads:
        silent = list(threads.map(announce, range(24)))
    try:
        began = time.monotonic()
        answers = {one.recv(4096).split(b" ")[1] for one in silent}
        assert time.monotonic() - began < SILENT_S_MAX
        assert answers == ({b"401"} if door.startswith("rights") else {b"400"})
    finally:
        for one in silent:
            one.close()


def ended(one: ssl.SSLSocket) -> bool:
    """Whether the server closed this connection. Sends one more byte: a crawl goes on."""
    if one.fileno() < 0:
        return True
    one.settimeout(0.001)
    try:
        while one.recv(4096):
            pass
    except TimeoutError:
        with suppress(OSError):
            one.send(b"x")
        return False
    except OSError:
        pass
    one.close()
    return True


def together(count: int, call: Callable[[Installation, int], Answer], made: Installation) -> list[Answer]:
    """The same moment, from as many connections."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Answer:
        mine = client(made)
        mine.fhir("GET", "Patient/p")  # connected, by whichever process
        barrier.wait(60)
        try:
            return call(mine, number)
        finally:
            mine.close_connection()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def test_of_writers_that_race_on_if_match_exactly_one_wins(made: Installation) -> None:
    assert made.fhir("PUT", "Patient/raced", {"resourceType": "Patient", "id": "raced"}).status == 201
    for version in range(1, 9):

        def write(mine: Installation, number: int, version: int = version) -> Answer:
            body = {"resourceType": "Patient", "id": "raced", "name": [{"text": f"{version}/{number}"}]}
            return mine.fhir("PUT", "Patient/raced", body, headers={"If-Match": f'W/"{version}"'})

        answers = together(6, write, made)
        assert sorted(answer.status for answer in answers) == [200] + [412] * 5
        (winner,) = (answer for answer in answers if answer.status == 200)
        present = made.fhir("GET", "Patient/raced").json
        assert present == winner.json
        assert present["meta"]["versionId"] == str(version + 1)


def test_of_creations_that_race_on_one_condition_one_is_made(made: Installation) -> None:
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "once"}]}

    def create(mine: Installation, _: int) -> Answer:
        return mine.fhir("POST", "Patient", body, headers={"If-None-Exist": "identifier=urn:s|once"})

    answers = together(6, create, made)
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert made.fhir("GET", "Patient?identifier=urn:s|once&_total=accurate").json["total"] == 1


BAD_ENTRIES: dict[str, dict[str, Any]] = {
    "of a bad form": {
        "resource": {"resourceType": "Observation", "status": "final"},
        "request": {"method": "POST", "url": "Observation"},
    },
    "of an old version": {
        "resource": {"resourceType": "Patient", "id": "p"},
        "request": {"method": "PUT", "url": "Patient/p", "ifMatch": 'W/"7"'},
    },
    "that refers to nobody": {
        "resource": {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "c"},
            "subject": {"reference": "Patient?identifier=urn:s|absent"},
        },
        "request": {"method": "POST", "url": "Observation"},
    },
    "of no method": {"request": {"method": "STEAL", "url": "Patient/p"}},
}


@pytest.mark.parametrize("bad", BAD_ENTRIES)
@pytest.mark.parametrize("last", [True, False])
def test_a_transaction_with_one_bad_entry_leaves_nothing(made: Installation, bad: str, *, last: bool) -> None:
    good = [
        {
            "resource": {"resourceType": "Patient", "id": f"t{number}", "name": [{"family": "Transaction"}]},
            "request": {"method": "PUT", "url": f"Patient/t{number}"},
        }
        for number in range(3)
    ]
    listed = [*good, BAD_ENTRIES[bad]] if last else [BAD_ENTRIES[bad], *good]
    before = len(entries(made, outcome="done"))
    answer = made.fhir("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": listed})
    assert 400 <= answer.status < 500, answer.body
    assert answer.json["resourceType"] == "OperationOutcome"
    for number in range(3):
        assert made.fhir("GET", f"Patient/t{number}").status == 404
    assert made.fhir("GET", "Patient?family=Transaction").json.get("entry", []) == []
    since = entries(made, outcome="done")[before:]
    assert not [entry for entry in since if entry.action.value in ("object:create", "object:update")]
    assert made.fhir("GET", "Patient/p").json["meta"]["versionId"] == "1"
