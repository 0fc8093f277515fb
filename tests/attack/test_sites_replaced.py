"""A site's folder replaced under a serving installation: by an empty disk, by another site, by itself of yesterday."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from hygie.journal.checkpoint import parse_checkpoint, parse_note
from hygie.journal.tiles import TILE_WIDTH
from tests.attack.installation import Answer, Installation, attacked, kill, pids, verify, whole_journal

SITES = ("paris", "lyon", "lille")
VICTIM = "lille"
OTHERS = ("paris", "lyon")
PROMISED_S = 180  # packs come within seconds, the journal within half a minute; this machine may be busy


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as one:
        for number in range(3):
            assert put(one, f"p{number}", "before").status == 201
        yield one


def put(made: Installation, id_: str, text: str) -> Answer:
    return made.fhir("PUT", f"Patient/{id_}", {"resourceType": "Patient", "id": id_, "name": [{"text": text}]})


def text_of(made: Installation, id_: str) -> str:
    answer = made.fhir("GET", f"Patient/{id_}")
    assert answer.status == 200, answer.body
    return str(answer.json["name"][0]["text"])


def folder(made: Installation, site: str) -> Path:
    return made.data / "sites" / site


@contextmanager
def away(made: Installation, *sites: str) -> Iterator[list[Path]]:
    """Their folders moved aside, and back at the end, whatever was put in their places meanwhile."""
    kept = [made.data / f"{site}.aside" for site in sites]
    for site, path in zip(sites, kept, strict=True):
        folder(made, site).rename(path)
    try:
        yield kept
    finally:
        for site, path in zip(sites, kept, strict=True):
            instead = made.data / f"{site}.instead"
            if folder(made, site).exists():
                folder(made, site).rename(instead)
            path.rename(folder(made, site))
            shutil.rmtree(instead, ignore_errors=True)  # somebody may still be writing into it


def everything(path: Path) -> dict[str, bytes]:
    """Every file under a folder, but what is being written."""
    files = (one for one in path.rglob("*") if one.is_file() and ".tmp" not in one.parts)
    return {str(one.relative_to(path)): one.read_bytes() for one in files}


def clean(made: Installation) -> bool:
    """Whether every copy is there and right; never a wrong one, and registers of a moment ago may still be coming."""
    report = made.hygie("scrub", "--dry")
    assert report["damaged"] == []
    assert all(name.startswith("proof/") for _, name, _ in report["missing"])
    return bool(report["clean"])


def holdings(made: Installation, site: str) -> dict[str, bytes]:
    """What does not change any more and every site must have: packs, full tiles of the journal."""
    found = everything(folder(made, site))
    return {
        name: data
        for name, data in found.items()
        if name.startswith("packs/") or (name.startswith("journal/tile/") and ".p/" not in name)
    }


def shown(path: Path) -> int:
    """Size of the tree whose checkpoint a folder shows."""
    return parse_checkpoint(parse_note((path / "journal" / "checkpoint").read_bytes()).text).size


def whole(made: Installation) -> bool:
    """The victim has all that the others have, and shows their checkpoint."""
    nearest, victim = holdings(made, OTHERS[0]), holdings(made, VICTIM)
    same = victim.items() >= nearest.items() and (folder(made, VICTIM) / "journal" / "checkpoint").exists()
    return same and shown(folder(made, VICTIM)) >= shown(folder(made, OTHERS[0]))


def seen(made: Installation) -> dict[str, Any]:
    """What status says of the sites."""
    (found,) = (check for one in made.hygie("status") for check in one["checks"] if check["id"] == "tech-7.placement")
    return dict(found)


def serves(made: Installation, text: str) -> None:
    """Writes and reads go on, and nothing older than the last write is shown."""
    for number in range(3):
        assert put(made, f"p{number}", text).status == 200
        assert text_of(made, f"p{number}") == text


def is_named_and_left_alone(made: Installation, reason: str) -> None:
    """What stands in the victim's place is told by status and scrub, and is neither written nor read."""
    before = everything(folder(made, VICTIM))
    serves(made, reason)
    found = seen(made)
    assert found["verdict"] == "unsatisfied"
    assert f"{VICTIM} Lille FR HYG-440 {reason}" in found["observed"]
    report = made.hygie("scrub")
    assert VICTIM in report["unreachable"]
    assert not report["clean"]
    assert everything(folder(made, VICTIM)) == before


def test_an_empty_disk_is_no_site_until_somebody_says_so_then_it_is_filled(made: Installation) -> None:
    with away(made, VICTIM):
        folder(made, VICTIM).mkdir(mode=0o700)
        is_named_and_left_alone(made, "absent")
        assert list(folder(made, VICTIM).iterdir()) == []
        made.hygie("init", "--site", VICTIM)
        made.wait_for(lambda: whole(made), seconds=PROMISED_S)
        made.wait_for(lambda: clean(made), seconds=PROMISED_S)
        made.wait_for(lambda: list(folder(made, VICTIM).glob("platform/*")), seconds=PROMISED_S)
        serves(made, "filled")
    made.wait_for(lambda: whole(made), seconds=PROMISED_S)  # the folder of before comes back older


def test_a_copy_of_another_site_is_not_taken_for_this_one(made: Installation) -> None:
    with away(made, VICTIM):
        shutil.copytree(folder(made, OTHERS[1]), folder(made, VICTIM), ignore=shutil.ignore_patterns(".tmp"))
        is_named_and_left_alone(made, "other-site")
    made.wait_for(lambda: whole(made), seconds=PROMISED_S)
    made.wait_for(lambda: clean(made), seconds=PROMISED_S)


def test_a_site_of_yesterday_is_never_believed_and_is_brought_to_today(made: Installation, tmp_path: Path) -> None:
    """Its packs, its tiles and its checkpoint are those of yesterday; then it stands alone, with a new sealer."""
    made.wait_for(lambda: whole(made), seconds=PROMISED_S)
    yesterday = tmp_path / "yesterday"
    shutil.copytree(folder(made, VICTIM), yesterday, ignore=shutil.ignore_patterns(".tmp"))
    serves(made, "today")
    while shown(folder(made, OTHERS[0])) < shown(yesterday) + 2 * TILE_WIDTH:  # full tiles that yesterday has not
        for _ in range(50):
            assert text_of(made, "p0") == "today"
    sizes = [shown(folder(made, site)) for site in OTHERS]
    folder(made, VICTIM).rename(tmp_path / "today")
    with away(made, *OTHERS):
        shutil.copytree(yesterday, folder(made, VICTIM))
        restarted(made, "serve", "work")
        for number in range(3):
            answer = made.fhir("GET", f"Patient/p{number}")
            assert answer.status == 503, ("yesterday is not today", answer.body)
        assert put(made, "p0", "refused").status == 503
    made.wait_for(lambda: made.fhir("GET", "Patient/p0").status == 200, seconds=PROMISED_S)
    assert text_of(made, "p0") == "today"
    made.wait_for(lambda: put(made, "p0", "tomorrow").status == 200, seconds=PROMISED_S)
    assert text_of(made, "p0") == "tomorrow"
    made.wait_for(lambda: whole(made), seconds=PROMISED_S)
    assert shown(folder(made, VICTIM)) >= max(sizes) >= shown(yesterday) + 2 * TILE_WIDTH
    assert set(holdings(made, VICTIM)) > {name for name in everything(tmp_path / "today") if name.startswith("packs/")}
    new = set(holdings(made, VICTIM)) - set(everything(yesterday))
    assert any(name.startswith("journal/tile/entries/") for name in new)
    made.wait_for(lambda: clean(made), seconds=PROMISED_S)
    done = verify(made, tmp_path / "export")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert all(shown(folder(made, site)) >= size for site, size in zip(OTHERS, sizes, strict=True)), "none went back"
    assert not [entry for entry in whole_journal(made) if entry.action.value == "journal:gap"]


def restarted(made: Installation, *names: str) -> None:
    """These processes end and others come: nothing they held in memory or kept open is left."""
    for name in names:
        before = pids(made)[name]
        kill(made, name)
        made.close_connection()
        _another(made, name, before)

    def answered() -> bool:
        with suppress(OSError, HTTPException):
            return made.fhir("GET", "Patient/absent").status == 404
        made.close_connection()
        return False

    made.wait_for(answered)


def _another(made: Installation, name: str, before: list[int]) -> None:
    made.wait_for(lambda: pids(made)[name] not in ([], before))
