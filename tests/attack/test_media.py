"""Disks that fill up, turn read-only, slow down or hang under a serving installation, seen through its doors."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from hygie.journal.tiles import TILE_WIDTH
from tests.attack.installation import Answer, Installation, attacked, client, kill, pids, verify

SITES = ("paris", "lyon", "lille")
NAME = "Secretdejeanne"
SLOW_S = 4.0  # each flush and each read of a slow medium
FILE_BYTES_MAX = 1_000  # less than any pack
# Loaded first by every Python process: a medium that answers late, or not at all, while a flag says so.
SLUGGISH = """
import os, time
from pathlib import Path
_flag = Path(__file__).with_name("sluggish")
def _late(descriptor):
    while True:
        try:
            how, where = _flag.read_text().split(" ", 1)
            mine = os.readlink(f"/proc/self/fd/{descriptor}").startswith(where)
        except OSError:
            return False
        if not mine or how == "slow":
            time.sleep(4.0 * mine)
            return mine
        time.sleep(0.05)
def _slowed(call):
    return lambda descriptor, *rest: (_late(descriptor), call(descriptor, *rest))[1]
_preadv = os.preadv
def _no_memory(descriptor, *rest):
    if _flag.exists():
        raise BlockingIOError  # nothing of it is in the system's memory
    return _preadv(descriptor, *rest)
os.pread, os.fsync, os.preadv = _slowed(os.pread), _slowed(os.fsync), _no_memory
"""


@pytest.fixture(scope="module")
def flag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where to write how a site is sluggish: ``slow`` or ``hung``, and its folder."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "sitecustomize.py").write_text(SLUGGISH)
    return folder / "sluggish"


@pytest.fixture(scope="module")
def made(flag: Path) -> Iterator[Installation]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(flag.parent), *filter(None, [os.environ.get("PYTHONPATH")])]))
        with attacked() as one:
            assert put(one, "first").status == 201
            yield one
            flag.unlink(missing_ok=True)


def put(made: Installation, id_: str, text: str = "") -> Answer:
    """A new patient, or a new version of it."""
    body = {"resourceType": "Patient", "id": id_, "name": [{"family": NAME, "text": text or "x" * 3_000}]}
    return made.fhir("PUT", f"Patient/{id_}", body)


def bundle(*ids: str) -> dict[str, Any]:
    """A transaction that creates patients, large enough for a pack of its own."""
    entries: list[dict[str, Any]] = []
    for id_ in ids:
        name = {"family": NAME, "text": os.urandom(9_000).hex()}
        entries.append(
            {
                "resource": {"resourceType": "Patient", "id": id_, "name": [name]},
                "request": {"method": "PUT", "url": f"Patient/{id_}"},
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def refused_cleanly(answer: Answer) -> None:
    """503 or 507, with an OperationOutcome that carries a stable code and nothing of the request."""
    assert answer.status in {503, 507}, (answer.status, answer.body)
    assert answer.json["resourceType"] == "OperationOutcome"
    assert answer.code.startswith("HYG-4")
    assert NAME.encode() not in answer.body


def packs(made: Installation, site: str) -> dict[str, bytes]:
    root = made.data / "sites" / site
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("packs/*/*.pack")}


def whole_everywhere(made: Installation) -> bool:
    """Every site has what the catalogue names, by its digest (nothing is mended here), and no file half-written."""
    return bool(made.hygie("scrub", "--dry")["clean"]) and not half_written(made)


def reached(made: Installation, site: str, size: int) -> None:
    made.wait_for(lambda: made.journal_shown(site) >= size)


def half_written(made: Installation) -> list[Path]:
    return [path for site in SITES for path in (made.data / "sites" / site / ".tmp").rglob("*") if path.is_file()]


def findings(made: Installation) -> dict[str, dict[str, Any]]:
    """The findings of ``hygie status``, by check."""
    return {check["id"]: check for one in made.hygie("status") for check in one["checks"]}


def mount(*words: object) -> bool:
    return shutil.which("mount") is not None and not subprocess.run(["mount", *map(str, words)], check=False).returncode


def read_only(made: Installation, folder: Path) -> None:
    """The system refuses while somebody is writing there: then again."""
    made.wait_for(lambda: mount("-o", "remount,ro", folder))


@contextmanager
def own_disk(path: Path, *, size: str) -> Iterator[Path]:
    """A folder moved to a small file system of its own, as it is; the former folder is there again at the end."""
    kept = path.with_name(f"{path.name}.copy")
    shutil.copytree(path, kept, symlinks=True, ignore=shutil.ignore_patterns(".tmp"))
    try:
        if not mount("-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path):
            pytest.skip("mounting is not permitted here; the limit of file sizes covers full disks")
        try:
            subprocess.run(["cp", "-a", f"{kept}/.", path], check=True)
            yield path
        finally:
            subprocess.run(["umount", "-l", path], check=True)
    finally:
        shutil.rmtree(kept)


@contextmanager
def full(path: Path) -> Iterator[None]:
    """Not one byte is left on the disk of this folder."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                deque(map(file.write, repeat(bytes(size))), maxlen=0)
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


def test_one_full_site_is_named_and_the_quorum_goes_on(made: Installation) -> None:
    lille = made.data / "sites" / "lille"
    with own_disk(lille, size="8m"):
        with full(lille):
            for number in range(4):
                assert put(made, f"f{number}").status == 201
                assert made.fhir("GET", f"Patient/f{number}").status == 200
            assert made.fhir("POST", "", bundle("f4", "f5")).status == 200
            found = findings(made)["tech-7.placement"]
            assert found["verdict"] == "unsatisfied"
            assert "lille Lille FR HYG-440 full" in found["observed"]
            whole = packs(made, "paris")
            assert all(whole.get(name) == data for name, data in packs(made, "lille").items()), "nothing cut short"
            assert len(packs(made, "lille")) < len(whole)
        made.wait_for(lambda: whole_everywhere(made), seconds=90)
    made.wait_for(lambda: whole_everywhere(made), seconds=90)  # the folder below comes back older


def test_when_no_quorum_has_room_writes_are_refused_and_nothing_is_half_stored(made: Installation) -> None:
    with ExitStack() as disks:
        folders = [disks.enter_context(own_disk(made.data / "sites" / site, size="8m")) for site in SITES[1:]]
        made.wait_for(lambda: whole_everywhere(made), seconds=90)
        with full(folders[0]), full(folders[1]):
            refused_cleanly(put(made, "q0"))
            refused_cleanly(made.fhir("POST", "", bundle("q1", "q2", "q3")))
            for id_ in ("q0", "q1", "q2", "q3"):
                assert made.fhir("GET", f"Patient/{id_}").status == 404
            assert made.fhir("GET", "Patient/first").status == 200, "what is there is read all the same"
            assert half_written(made) == []
        made.wait_for(lambda: put(made, "q0").status in {200, 201}, seconds=90)
        assert made.fhir("POST", "", bundle("q1", "q2", "q3")).status == 200
        for id_ in ("q0", "q1", "q2", "q3"):
            history = made.fhir("GET", f"Patient/{id_}/_history").json["entry"]
            assert [one["resource"]["meta"]["versionId"] for one in history] == ["1"]


def test_read_only_sites_are_passed_over_then_refuse_then_serve_again(made: Installation) -> None:
    with ExitStack() as disks:
        folders = [disks.enter_context(own_disk(made.data / "sites" / site, size="8m")) for site in SITES[1:]]
        read_only(made, folders[1])
        assert put(made, "r0").status == 201
        assert made.fhir("GET", "Patient/r0").status == 200
        found = findings(made)["tech-7.placement"]
        assert found["verdict"] == "unsatisfied"
        assert "lille Lille FR HYG-440 read-only" in found["observed"]
        read_only(made, folders[0])
        refused_cleanly(put(made, "r1"))
        refused_cleanly(made.fhir("POST", "", bundle("r1", "r2")))
        assert made.fhir("GET", "Patient/r0").status == 200
        assert made.fhir("GET", "Patient/r1").status == 404
        for folder in folders:
            assert mount("-o", "remount,rw", folder)
        made.wait_for(lambda: put(made, "r1").status in {200, 201}, seconds=90)
        made.wait_for(lambda: whole_everywhere(made), seconds=90)


def test_files_cut_by_a_limit_of_the_system_are_a_full_disk(made: Installation) -> None:
    """Needs no right to mount: the hosting process itself may not write files longer than a pack's beginning."""
    made.wait_for(lambda: whole_everywhere(made), seconds=90)
    before = [packs(made, site) for site in SITES]
    (serve,) = pids(made)["serve"]
    soft, hard = resource.prlimit(serve, resource.RLIMIT_FSIZE)
    resource.prlimit(serve, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, hard))
    try:
        refused_cleanly(made.fhir("POST", "", bundle("l0", "l1")))
        assert made.fhir("GET", "Patient/l0").status == 404
        assert made.fhir("GET", "Patient/first").status == 200
        assert [packs(made, site) for site in SITES] == before
        assert half_written(made) == []
    finally:
        resource.prlimit(serve, resource.RLIMIT_FSIZE, (soft, hard))
    made.wait_for(lambda: made.fhir("POST", "", bundle("l0", "l1")).status == 200, seconds=90)
    assert pids(made)["serve"] == [serve], "it never died of it"


def stored_at_last(made: Installation, id_: str) -> None:
    made.wait_for(lambda: put(made, id_).status in {200, 201}, seconds=90)


def fresh(made: Installation) -> None:
    """A hosting process that holds no grudge: it lets a site rest, up to a minute, after what the tests before did."""
    (before,) = pids(made)["serve"]
    kill(made, "serve")
    made.close_connection()
    made.wait_for(lambda: pids(made)["serve"] not in ([], [before]))
    made.wait_for(lambda: answers(made))


def answers(made: Installation) -> bool:
    """Whether a read is answered, so that the keys are there too."""
    with suppress(OSError, HTTPException):
        return made.fhir("GET", "Patient/first").status == 200
    made.close_connection()
    return False


def timed(made: Installation, id_: str) -> tuple[int, float]:
    began = time.monotonic()
    return made.fhir("GET", f"Patient/{id_}").status, time.monotonic() - began


def test_a_slow_site_costs_neither_writes_nor_reads_its_slowness(made: Installation, flag: Path) -> None:
    """The nearest site takes seconds for each flush and each read; two others are quick."""
    made.wait_for(lambda: whole_everywhere(made), seconds=90)
    fresh(made)
    flag.write_text(f"slow {made.data / 'sites' / 'paris'}/")
    try:
        for number in range(3):
            began = time.monotonic()
            assert put(made, f"s{number}").status == 201
            assert time.monotonic() - began < SLOW_S, "the quorum does not wait for the slowest"
        told = [timed(made, f"s{number}") for number in (0, 1, 2)]
        assert {status for status, _ in told} == {200}
        assert max(seconds for _, seconds in told) < SLOW_S, "the next site is asked meanwhile"
    finally:
        flag.unlink()
    made.wait_for(lambda: whole_everywhere(made), seconds=120)


def test_hung_sites_are_left_alone_until_they_come_back(made: Installation, flag: Path) -> None:
    """A disk that answers nothing: one is passed over; the clients of all three hung get 503, not an endless wait."""
    fresh(made)
    flag.write_text(f"hung {made.data / 'sites' / 'paris'}/")
    try:
        for number in range(4):
            began = time.monotonic()
            assert put(made, f"h{number}").status == 201
            assert made.fhir("GET", f"Patient/h{number}").status == 200
            assert time.monotonic() - began < 2 * SLOW_S
        for count in (TILE_WIDTH, 1):  # a tile of the journal is filled, what it replaces is removed, and it goes on
            wanted = made.journal_shown("lyon") + count
            for _ in range(count):
                assert made.fhir("GET", "Patient/first").status == 200
            reached(made, "lyon", wanted)
        flag.write_text(f"hung {made.data / 'sites'}/")
        answers: list[Answer] = []

        def write(number: int) -> None:
            mine = client(made)
            answers.append(put(mine, f"w{number}"))
            mine.close_connection()

        writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for one in writers:
            one.start()
        for one in writers:
            one.join(60)
        assert len(answers) == 3, "nobody waits for ever"
        for answer in answers:
            refused_cleanly(answer)
    finally:
        flag.unlink()
    for id_ in ("w0", "w1", "w2"):
        stored_at_last(made, id_)
        history = made.fhir("GET", f"Patient/{id_}/_history").json["entry"]
        assert len(history) == 1, "what was answered 503 was not stored beside"


def test_a_full_disk_under_the_database_is_survived(made: Installation, tmp_path: Path) -> None:
    """Last: PostgreSQL itself has no byte left. Clean refusals, nothing acknowledged lost, and it serves again."""
    made.down()
    folder = made.data / "postgres"
    with own_disk(folder, size="400m"):
        made.up()
        assert put(made, "d").status == 201
        ends: dict[str, int] = {}
        with full(folder):
            until = time.monotonic() + 60
            while not any(status >= 500 for status in ends.values()):
                ids = [f"d{len(ends)}x{number}" for number in range(20)]
                answer = made.fhir("POST", "", bundle(*ids))
                ends[ids[0]] = answer.status
                assert time.monotonic() < until, "it never felt the full disk"
            refused_cleanly(answer)
            refusals = [put(made, "d", f"v{number}") for number in range(5)]
            for answer in refusals:
                if answer.status >= 300:
                    refused_cleanly(answer)
        made.wait_for(lambda: put(made, "after").status in {200, 201}, seconds=90)
        for first, status in ends.items():
            there = [made.fhir("GET", f"Patient/{first.split('x')[0]}x{number}").status for number in range(20)]
            assert set(there) == ({200} if status == 200 else {404}), (first, status, there)
        versions = 1 + sum(answer.status < 300 for answer in refusals)
        assert len(made.fhir("GET", "Patient/d/_history").json["entry"]) == versions
        done = verify(made, tmp_path / "export")
        assert done.returncode == 0, (done.stdout, done.stderr)
        made.down()
