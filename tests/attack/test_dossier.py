"""T-44: whoever edits, removes, reorders, cuts or back-dates a dossier, or the store of evidence under it, is found.

``HYGIE_ATTACKS`` sets how many forgeries are drawn (default some hundreds); ``HYGIE_SEED`` from which seed.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import random
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hygie.base.actions import Action
from hygie.base.errors import HygieError, IntegrityError
from hygie.database.cluster import Dsns
from hygie.journal.checkpoint import VerifierKey
from hygie.journal.entry import Entry
from hygie.journal.leaf import disclosure_of, read_head
from hygie.journal.tiles import decode_bundle
from hygie.verify.check import BACKDATED_MAX
from hygie.verify.dossier import DossierReport, DossierVerifier, Keys
from hygie.verify.errors import DossierTamperedError
from hygie.verify.logs import Logs, Named, check_named
from hygie.verify.main import main
from hygie.verify.posture import VERDICTS
from hygie.verify.source import Source
from tests.attack import dossier_forger as forger
from tests.attack.dossier_forger import Files, MemorySource, Story
from tests.unit.proof.dossier.stage import CHU, MINUTE_MS, opened, story

ATTACKS = int(os.environ.get("HYGIE_ATTACKS", "600"))
STORE_ATTACKS = max(ATTACKS // 20, 30)
SEED = int(os.environ.get("HYGIE_SEED", "36"))
BATCHES = 12


@dataclass(frozen=True)
class Made:
    """One dossier and the keys that its installation published."""

    path: Path
    files: Files
    log: VerifierKey
    witness: VerifierKey

    def verify(self, files: Files) -> DossierReport:
        return DossierVerifier(MemorySource(files), Keys(self.log, self.witness)).run()


@pytest.fixture(scope="module")
def made(new_database: Callable[[], Dsns], tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("dossier")

    async def main() -> tuple[VerifierKey, VerifierKey]:
        async with opened(new_database(), folder) as place:
            await story(place, BATCHES)
            await place.trace(300)
            await place.seal()
            await place.dossier(tenant_id=CHU, sample=20)
            witness = place.house.witness()
            assert witness is not None
            return await place.house.log_key(), witness.key

    log, witness = asyncio.run(main())
    path = folder / "dossier.zip"
    with zipfile.ZipFile(path) as file:
        files = {name: file.read(name) for name in file.namelist()}
    return Made(path, files, log, witness)


def located(error: HygieError) -> bool:
    """Whether the error names where: a batch, a run, a write, an entry, a file."""
    facts = error.facts
    return any(str(facts.get(name, "")) for name in ("name", "index", "batch", "seq", "reason"))


def test_the_dossier_is_whole_and_stays_so_when_its_owner_signs_it_again(made: Made) -> None:
    assert made.verify(made.files).held["batches"] == BATCHES
    again = dict(made.files)
    rewritten = Story.of(again)
    rewritten.renumber()
    rewritten.since()
    rewritten.chain()
    rewritten.put(again)
    forger.say_again(again, rewritten)
    forger.own(again)
    assert made.verify(again).held["batches"] == BATCHES  # forgeries are refused for what they change


def test_forgeries_of_a_dossier_are_all_found_and_named(made: Made) -> None:
    draw = random.Random(SEED)
    missed: list[str] = []
    kinds: Counter[str] = Counter()
    for rank in range(ATTACKS):
        what, files = forger.forge(made.files, draw)
        try:
            made.verify(files)
            missed.append(f"{rank}: {what}")
        except HygieError as error:
            kinds[f"{error.code} {error.facts.get('part', '')} {error.facts.get('reason', '')}"] += 1
            if not located(error):
                missed.append(f"{rank}: {what}: not located: {error}")
    assert missed == []
    assert len(kinds) > 20  # many ways to be found: the generator reaches every check


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda one: one.batches.pop(4), ("batch", 5)),
        (lambda one: one.batches.pop(), ("batch", BATCHES)),
        (lambda one: one.batches.__setitem__(slice(2, 4), one.batches[3:1:-1]), ("batch", 3)),
        (lambda one: one.batches[6][1].pop(), ("batch", 7)),
        (lambda one: one.writes.pop(1), ("write", 2)),
        (lambda one: one.writes.pop(), ("write", 5)),
    ],
)
def test_the_owner_who_chains_and_signs_again_is_named_by_the_journal(
    made: Made, change: Callable[[Story], Any], named: tuple[str, int]
) -> None:
    files = dict(made.files)
    forged = Story.of(files)
    change(forged)
    forged.renumber()
    forged.since()
    forged.chain()
    forged.put(files)
    forger.say_again(files, forged)
    forger.own(files)
    with pytest.raises(DossierTamperedError) as caught:
        made.verify(files)
    assert (caught.value.facts["part"], caught.value.facts["name"]) == named


def test_a_file_twice_or_unlisted_in_the_zip_is_named(made: Made, tmp_path: Path) -> None:
    for name, reason in (("posture.json", "twice"), ("papers/extra.pdf", "extra")):
        path = tmp_path / f"{reason}.zip"
        path.write_bytes(made.path.read_bytes())
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as file:
            warnings.simplefilter("ignore")
            file.writestr(name, b"{}")
        with pytest.raises(DossierTamperedError) as caught:
            DossierVerifier(Source(path), Keys(made.log, made.witness)).run()
        assert (caught.value.facts["name"], caught.value.facts["reason"]) == (name, reason)


def signed_again(made: Made, **said: Any) -> Files:
    """The dossier by its owner, who says something else in the manifest and derives the posture at that date."""
    files = dict(made.files)
    files["manifest.json"] = json.dumps(json.loads(files["manifest.json"]) | said).encode() + b"\n"
    forger.say_again(files, Story.of(files))
    forger.own(files)
    return files


def refusal(made: Made, files: Files) -> tuple[object, ...]:
    """What is named: part, which one, reason."""
    with pytest.raises(DossierTamperedError) as caught:
        made.verify(files)
    return tuple(caught.value.facts[name] for name in ("part", "name", "reason"))


def test_an_old_dossier_is_not_passed_off_as_a_later_one(made: Made) -> None:
    """Its owner dates it a day later: the evaluations of that day, red ones say, would be missing unseen."""
    at_ms = json.loads(made.files["manifest.json"])["at_ms"]
    assert made.verify(signed_again(made, at_ms=at_ms + MINUTE_MS)).at_ms == at_ms + MINUTE_MS
    assert refusal(made, signed_again(made, at_ms=at_ms + 1_440 * MINUTE_MS)) == ("manifest", "at_ms", "unseen")
    assert refusal(made, signed_again(made, at_ms=2**62)) == ("manifest", "manifest.json", "format")


def test_a_timestamp_is_required_by_whoever_gives_its_authority(made: Made) -> None:
    with pytest.raises(DossierTamperedError) as caught:
        DossierVerifier(MemorySource(made.files), Keys(made.log, made.witness, tsa=b"of the authority")).run()
    assert caught.value.facts == {"part": "timestamp", "name": "timestamp.tsr", "reason": "absent"}


def test_evidence_under_a_clients_name_proves_nothing(database: Dsns, tmp_path: Path) -> None:
    """The owner of the hosting program journals an evaluation as a client's entry, which nobody must disclose, so that
    he could journal two under one number and show the one that suits him."""

    async def main() -> Files:
        async with opened(database, tmp_path) as place:
            await story(place, BATCHES)
            forged = Story.of(zipped((await place.dossier("before.zip")).path))
            head, bodies = copy.deepcopy(forged.batches[-1])
            forged.batches.append((head | {"at_ms": place.clock.now_ms()}, bodies))
            forged.renumber()
            forged.chain()
            head = forged.batches[-1][0]
            detail = {"batch": str(head["batch"]), "digest": head["digest"], "cause": "cadence", "mode": head["mode"]}
            entry = Entry(Action.CHECK_RUN, "done", "evidence", head["at_ms"], CHU, count=head["count"], detail=detail)
            await place.writer.append_now([entry])
            await place.seal()
            files = zipped((await place.dossier("after.zip")).path)
            reader = await place.house.journal_reader(place.records)
            for index, leaf in enumerate(decode_bundle(files[next(one for one in files if "/entries/" in one)])):
                if leaf[4] == 5 and leaf[8:24] == CHU:
                    key = await reader.month_key_of(read_head(leaf))
                    assert key is not None
                    shown = {"index": index, "key": disclosure_of(leaf, month_key=key).hex()}
                    files["journal/disclosed.jsonl"] += json.dumps(shown).encode() + b"\n"
            forged.put(files)
            forger.say_again(files, forged)
            forger.own(files)
            return files

    with pytest.raises(DossierTamperedError) as caught:
        DossierVerifier(MemorySource(asyncio.run(main())), Keys()).run()
    assert caught.value.facts == {"part": "batch", "name": BATCHES + 1, "reason": "unnamed"}


def test_entries_that_do_not_matter_do_not_hide_evidence_that_is_back_dated(database: Dsns, tmp_path: Path) -> None:
    """The owner sets the clock back, and has more back-dated accesses journaled first than a report tells."""

    async def main() -> Path:
        async with opened(database, tmp_path) as place:
            await place.trace(3)
            now_ms = place.clock.ms
            place.clock.ms -= 1_440 * MINUTE_MS
            await place.trace(BACKDATED_MAX + 1)
            await place.evaluate(2)
            place.clock.ms = now_ms
            await place.seal()
            return (await place.dossier()).path

    with pytest.raises(DossierTamperedError) as caught:
        DossierVerifier(Source(asyncio.run(main())), Keys()).run()
    assert caught.value.facts == {"part": "entry", "name": BACKDATED_MAX + 4, "reason": "backdated"}


def test_an_entry_that_names_without_end_is_refused_at_once() -> None:
    with pytest.raises(DossierTamperedError) as caught:
        check_named("writes", Logs({}), [Named(7, 1, 1, 10**15, "ab", 10**15)])
    assert caught.value.facts == {"part": "write", "name": 1, "reason": "removed", "entry": 7}


def test_a_manifest_that_names_files_elsewhere_is_refused(made: Made) -> None:
    files = json.loads(made.files["manifest.json"])["files"]
    for name in ("registers/../../outside", "../outside"):
        forged = dict(made.files)
        said = json.loads(forged["manifest.json"]) | {"files": files | {name: {"bytes": 0, "sha256": ""}}}
        forged["manifest.json"] = json.dumps(said).encode() + b"\n"
        assert refusal(made, forged) == ("file", name, "absent")


def test_what_a_dossier_says_does_not_write_lines_of_the_verifier(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its owner names a référentiel so that the terminal would show a cosignature that is not there."""
    false = "x\x1b[1A\x1b[2K\nCosigned by the witness on 2030-01-01"
    files = dict(made.files)
    said = json.loads(files["manifest.json"])
    files["manifest.json"] = json.dumps(said | {"scope": [*said["scope"], false]}).encode() + b"\n"
    posture = json.loads(files["posture.json"])
    posture["summary"][false] = dict.fromkeys(VERDICTS, 0)
    files["posture.json"] = json.dumps(posture).encode()
    forger.own(files)
    extra = "papers/\x1b[2K\rWHOLE"
    files[extra] = b""
    for absent, code, begins in ((extra, 0, "x"), ("", 50, "REFUSED")):
        path = tmp_path / f"{code}.zip"
        with zipfile.ZipFile(path, "w") as file:
            for name in files.keys() - {absent}:
                file.writestr(name, files[name])
        with pytest.raises(SystemExit) as caught:
            main([str(path)])
        told = "".join(capsys.readouterr())
        assert caught.value.code == code
        assert [line for line in told.splitlines() if "\\u001b" in line and line.startswith(begins)]
        assert not [one for one in told if one != "\n" and not one.isprintable()]
        assert "Cosigned by the witness on 2030" not in [line[:31] for line in told.splitlines()]


def zipped(path: Path) -> Files:
    """The files of a dossier."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_forgeries_of_the_store_by_its_owner_are_all_found_and_named(database: Dsns, tmp_path: Path) -> None:
    """He rewrites the tables, chained again or not, with columns that agree or not; the journal is beyond him."""
    draw = random.Random(SEED)

    async def main() -> list[str]:
        missed: list[str] = []
        async with opened(database, tmp_path) as place:
            await story(place, BATCHES)
            at_ms = place.clock.ms - MINUTE_MS
            await place.dossier("true.zip", at_ms=at_ms)
            with zipfile.ZipFile(tmp_path / "true.zip") as file:
                true = Story.of({name: file.read(name) for name in file.namelist()})
            done = 0
            while done < STORE_ATTACKS:
                what, forged = _forged(true, draw)
                if not await asyncio.to_thread(_rewrite, place.house.dsns.owner, forged):
                    continue
                done += 1
                path = tmp_path / f"{done}.zip"
                try:
                    await place.dossier(path.name, at_ms=at_ms)
                    report = DossierVerifier(Source(path), Keys()).run()
                    if not report.lost:
                        missed.append(f"{done}: {what}")
                except HygieError as error:
                    if not isinstance(error, IntegrityError) and error.code not in ("HYG-1B5", "HYG-3B5"):
                        missed.append(f"{done}: {what}: {error}")
                path.unlink(missing_ok=True)
        return missed

    assert asyncio.run(main()) == []


def _forged(true: Story, draw: random.Random) -> tuple[str, Story]:
    """Logs that are not the true ones, as tables hold them."""
    while True:
        forged = copy.deepcopy(true)
        change = draw.choice(forger.LOG_CHANGES)
        change(forged, draw)
        chained = draw.random() < 0.6
        if chained:
            forged.renumber()
            if draw.random() < 0.5:
                forged.since()
            forged.chain()
        forged.batches.sort(key=lambda one: int(one[0]["batch"]))
        forged.writes.sort(key=lambda one: int(one[0]["write"]))
        for (head, _), (was, _) in zip(forged.batches, true.batches, strict=False):
            head["catalogue"] = was["catalogue"]  # the table refuses one that it does not hold
        if forged != true:
            return f"{change.__name__}{', chained again' if chained else ''}", forged


def _rewrite(owner_dsn: str, forged: Story) -> bool:
    """Put them into the tables; False when the database itself refuses (a number twice)."""
    with psycopg.connect(owner_dsn, options="-c synchronous_commit=off") as owner, owner.cursor() as cursor:
        for table in ("run", "batch", "record"):
            cursor.execute(f"DELETE FROM hygie_proof.{table}".encode())
        try:
            for head, bodies in forged.batches:
                row = [head[name] for name in ("batch", "at_ms", "cause", "mode")]
                ends = [bytes.fromhex(head[name]) for name in ("catalogue", "digest")]
                cursor.execute("INSERT INTO hygie_proof.batch VALUES (%s, %s, %s, %s, %s, %s, %s)",
                               (*row, len(bodies), *ends))  # fmt: skip
                cursor.executemany(
                    "INSERT INTO hygie_proof.run VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    [_row(head["batch"], place, body) for place, body in enumerate(bodies)],
                )
            names = ("write", "register", "key", "version", "at_ms", "author", "approver", "tenant", "state", "reason")
            cursor.executemany(
                "INSERT INTO hygie_proof.record VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [(*(head[one] for one in names), body.decode(), bytes.fromhex(head["digest"]))
                 for head, body in forged.writes],
            )  # fmt: skip
        except psycopg.errors.IntegrityError:
            owner.rollback()
            return False
        for log, kept in (("batches", forged.batches), ("records", forged.writes)):
            digest = bytes.fromhex(kept[-1][0]["digest"]) if kept else bytes(32)
            cursor.execute("UPDATE hygie_proof.head SET seq = %s, digest = %s WHERE log = %s", (len(kept), digest, log))
    return True


def _row(batch: int, place: int, body: bytes) -> tuple[Any, ...]:
    run = json.loads(body)
    said = [run[name] for name in ("check", "at_ms", "fresh_until_ms", "since_ms", "verdict", "evidence")]
    return (batch, place, *said, body.decode())
