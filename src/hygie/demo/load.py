"""Load records through the FHIR face, over HTTPS, with a few clients at a time; count what was refused, and why."""

from __future__ import annotations

import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

from hygie.base.errors import UnavailableError
from hygie.base.identifiers import INS_NIR_TEST_OID
from hygie.demo.client import Answer, FhirClient, outcome
from hygie.demo.sources import Parcel, parcels
from hygie.synthetic.patients import bundle_bytes, identity
from hygie.vault.errors import OutcomeUnknownError

CLIENTS = 2  # enough to keep two cores busy with the server and the database
BUSY_TRIES = 3
REASON_CHARACTERS_MAX = 160
Advance = Callable[[int], None]
NewClient = Callable[[], FhirClient]


@dataclass(slots=True)
class Loaded:
    """What was loaded. bundles, resources: acknowledged; known: patients that were there already; refusals: reasons;
    patients: synthetic seed to logical id; first: the first refused source of each reason."""

    bundles: int = 0
    resources: int = 0
    known: int = 0
    bytes: int = 0
    seconds: float = 0.0
    refusals: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    patients: dict[int, str] = field(default_factory=dict)

    @property
    def resources_per_s(self) -> int:
        """Acknowledged resources a second."""
        return round(self.resources / self.seconds) if self.seconds else 0

    def refuse(self, reason: str, source: str) -> None:
        """Count one refusal."""
        self.refusals[reason] += 1
        self.first.setdefault(reason, source)


def load_synthetic(new_client: NewClient, seeds: Iterable[int], advance: Advance) -> Loaded:
    """Patients of the generator; those whose INS is there already are left as they are. Blocks.

    Raises: UnavailableError: the server stopped answering.
    """
    loaded, lock = Loaded(), threading.Lock()

    def one(client: FhirClient, seed: int) -> None:
        found = patient_with_ins(client, identity(seed).ins)
        body = b"" if found else bundle_bytes(seed)
        answer = None if found else _send(client, body)
        with lock:
            if found:
                loaded.known += 1
                loaded.patients[seed] = found
            elif answer is not None:
                _account(loaded, answer, Parcel(f"synthetic {seed}", body, 0))
                if answer.status == 200:
                    loaded.patients[seed] = _new_patient(answer.json)
        advance(1)

    _spread(new_client, seeds, one, loaded)
    return loaded


def load_files(new_client: NewClient, files: list[Path], root: Path, advance: Advance) -> Loaded:
    """Everything that files hold; a bad file is counted and the next one taken. Blocks.

    Raises: UnavailableError: the server stopped answering.
    """
    loaded, lock = Loaded(), threading.Lock()

    def one(client: FhirClient, path: Path) -> None:
        for parcel in parcels(path, path.relative_to(root).as_posix()):
            answer = None if parcel.refused else _send(client, parcel.body)
            with lock:
                if answer is None:
                    loaded.refuse(parcel.refused, parcel.source)
                else:
                    _account(loaded, answer, parcel)
        advance(1)

    _spread(new_client, files, one, loaded)
    return loaded


def patient_with_ins(client: FhirClient, ins: str) -> str:
    """The logical id of the patient with this test INS; empty when there is none. Raises: UnavailableError."""
    answer = client.get(f"Patient?identifier={quote(f'urn:oid:{INS_NIR_TEST_OID}|{ins}')}&_count=1")
    if answer.status != 200:
        raise UnavailableError(part=f"search {answer.status}")
    entries = answer.json.get("entry", [])
    return str(entries[0]["resource"]["id"]) if entries else ""


def _spread(new_client: NewClient, items: Iterable[Any], one: Callable[[FhirClient, Any], None], into: Loaded) -> None:
    """Give items to a few clients, each with its own connection; the first error ends all."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    began_s, stopped = monotonic(), threading.Event()

    def taken() -> Iterator[Any]:
        while not stopped.is_set():
            try:
                yield waiting.get_nowait()
            except queue.Empty:
                return

    def work() -> None:
        with new_client() as client:
            try:
                for item in taken():
                    one(client, item)
            except BaseException:
                stopped.set()
                raise

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(work) for _ in range(CLIENTS)]:
            done.result()
    into.seconds = monotonic() - began_s


def _send(client: FhirClient, body: bytes) -> Answer:
    """Post a Bundle; "busy" is asked again a few times, an unknown outcome never: it may be stored already."""
    answer = client.request("POST", "", body)
    for _ in range(BUSY_TRIES):
        if answer.status not in (429, 503) or answer.code == OutcomeUnknownError.code:
            break
        answer = client.request("POST", "", body)
    return answer


def _account(loaded: Loaded, answer: Answer, parcel: Parcel) -> None:
    """Count an answer: a transaction as one, a batch entry by entry."""
    if answer.status != 200:
        code, words = outcome(answer.body)
        loaded.refuse(f"{answer.status} {code} {_short(words)}".rstrip(), parcel.source)
        return
    loaded.bundles += 1
    loaded.bytes += len(parcel.body)
    for entry in answer.json.get("entry", []):
        response = entry.get("response", {})
        if str(response.get("status", "")).startswith("2"):
            loaded.resources += 1
        else:
            code, words = outcome(response.get("outcome", {}))
            loaded.refuse(f"{response.get('status', '?')} {code} {_short(words)}".rstrip(), parcel.source)


def _short(words: str) -> str:
    """A reason without what makes each occurrence of it different."""
    words = re.sub(r"\[\d+\]", "[…]", words)
    return words if len(words) <= REASON_CHARACTERS_MAX else f"{words[: REASON_CHARACTERS_MAX - 1]}…"


def _new_patient(answer: dict[str, Any]) -> str:
    """The Patient's id in a transaction's answer."""
    for entry in answer["entry"]:
        location = str(entry["response"].get("location", ""))
        if "Patient/" in location:
            return location.partition("Patient/")[2].partition("/")[0]
    raise UnavailableError(part="no Patient in the answer")
