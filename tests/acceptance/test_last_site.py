"""The database and two sites are lost together: the last site and the keys bring everything back, then the others.

What a hijacked process put in the journal before does not stop them, and is named.
"""

from __future__ import annotations

import shutil
import time

import psycopg

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.journal.leaf import pack_head
from tests.acceptance.conftest import Installation

LAST = "lille"
LOST = ("paris", "lyon")


def test_one_site_and_the_keys_are_enough(installation: Installation) -> None:
    for number in range(4):
        body = {"resourceType": "Patient", "id": f"s{number}", "name": [{"family": f"Last{number}"}]}
        assert installation.fhir("PUT", f"Patient/s{number}", body).status == 201
    # wraps come from a ledger for some, from packs for others
    installation.hygie("rotate", "epoch", "chu", "prod", "--destroy-older", "--confirm", "chu/prod")
    assert installation.fhir("PUT", "Patient/s4", {"resourceType": "Patient", "id": "s4"}).status == 201
    sites = installation.data / "sites"
    installation.wait_for(lambda: len(list((sites / LAST).rglob("*.pack"))) == 5)
    planted = _plant(installation)
    installation.journal_published(LAST)
    told = installation.hygie("journal", "reconcile")
    assert len(told["foreign"]) == planted
    installation.down()
    shutil.rmtree(installation.data / "postgres")
    for site in LOST:
        shutil.rmtree(sites / site)
    report = installation.hygie("rebuild", "--from", LAST)
    assert report["whole"]
    assert report["imported"]
    assert report["foreign"] == told["foreign"]
    (environment,) = report["environments"]
    assert (environment["objects"], environment["lost"], environment["unattached"]) == (5, 0, 0)
    # replaced sites are empty folders that somebody said are sites: they catch up by themselves
    for site in LOST:
        assert installation.hygie("init", "--site", site)["folder"] == str(sites / site)
    installation.up()
    for number in range(4):
        assert installation.fhir("GET", f"Patient/s{number}").json["name"] == [{"family": f"Last{number}"}]
    assert installation.fhir("PUT", "Patient/s5", {"resourceType": "Patient", "id": "s5"}).status == 201
    for site in LOST:
        installation.wait_for(lambda site=site: len(list((sites / site).rglob("*.pack"))) == 6)
        installation.wait_for(lambda site=site: list((sites / site).glob("platform/*")))
    # the journal too: each site alone could start again
    entries = {path.relative_to(sites / LAST) for path in (sites / LAST).glob("journal/tile/entries/**/*")}
    assert entries
    for site in LOST:
        installation.wait_for(lambda site=site: list((sites / site).glob("journal/tile/entries/**/*")))
        installation.wait_for(lambda site=site: (sites / site / "journal" / "checkpoint").exists())
    installation.wait_for(lambda: all(list((sites / site).glob("ledger/*/00000002")) for site in LOST), seconds=90)
    installation.down()
    shutil.rmtree(installation.data / "postgres")
    for site in (LAST, LOST[0]):
        shutil.rmtree(sites / site)
    report = installation.hygie("rebuild", "--from", LOST[1])
    assert report["whole"]
    assert report["entries"] > 10
    assert report["environments"][0]["objects"] == 6


def _plant(installation: Installation) -> int:
    """What a hijacked hosting process may put in the journal: bytes without a head, and a head without a body."""
    folder = DataFolder.at(installation.data)
    head = pack_head("administration", bytes(16), time.time_ns() // 1_000_000)
    leaves = [(b"x" * 200,), (head + b"HYS1\0" + bytes(200),)]
    with psycopg.connect(dsns_of(load_settings(folder.path), folder).hosting) as hosting:
        hosting.cursor().executemany("INSERT INTO hygie.journal_pending (leaf) VALUES (%s)", leaves)
    return len(leaves)
