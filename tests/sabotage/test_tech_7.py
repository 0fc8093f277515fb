"""tech-7: a site away, folders of one disk, a site that lags, a flipped byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hygie.base.settings import default_settings
from hygie.proof.checks import tech_7
from hygie.proof.facts import SiteFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

PATIENT = {"resourceType": "Patient", "name": [{"family": "Sabotage"}]}
CONTEXT = Context(default_settings(), now_ms=1)
PARIS = SiteFacts("paris", "FR", "Paris", "disk-1", "")


@contextmanager
def away(broken: Broken, name: str) -> Iterator[None]:
    """A site whose folder is not there."""
    site = broken.made.data / "sites" / name
    elsewhere = broken.made.data.parent / f"away-{name}"
    site.rename(elsewhere)
    try:
        yield
    finally:
        if site.exists():
            site.rename(site.with_name(f"stray-{name}"))
        elsewhere.rename(site)


def test_a_site_away_is_red(broken: Broken) -> None:
    broken.green("tech-7.placement", within_s=90)
    with away(broken, "lille"):
        broken.red("tech-7.placement", "lille")
    broken.green("tech-7.placement", within_s=90)
    lyon = SiteFacts("lyon", "FR", "Lyon", "disk-2", "")
    for sites, verdict in (
        ((PARIS, lyon), "satisfied"),
        ((PARIS, SiteFacts("east", "FR", "Paris", "disk-2", "")), "unsatisfied"),
        ((PARIS, SiteFacts("berlin", "DE", "Berlin", "disk-2", "")), "unsatisfied"),
    ):
        assert tech_7.placement(sites, CONTEXT).verdict.value == verdict


def test_folders_of_one_disk_are_red(broken: Broken) -> None:
    broken.red("tech-7.independence", "one disk")
    apart = (PARIS, SiteFacts("lyon", "FR", "Lyon", "disk-2", ""))
    assert tech_7.independence(apart, CONTEXT).verdict.value == "satisfied"


def test_a_site_that_lags_is_red(broken: Broken) -> None:
    broken.green("tech-7.lag", within_s=90)
    with away(broken, "lyon"):
        broken.made.wait_for(lambda: broken.verdict("tech-7.lag") == "unsatisfied")
        broken.red("tech-7.lag")
    broken.green("tech-7.lag", within_s=90)


def test_a_flipped_byte_is_red(broken: Broken) -> None:
    broken.made.close_connection()  # one that rested may be closed by the other side
    assert broken.made.fhir("POST", "Patient", PATIENT).status == 201
    broken.made.run("scrub")
    broken.green("tech-7.scrub")
    pack = max((broken.made.data / "sites" / "paris" / "packs").rglob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    broken.made.run("scrub")
    broken.red("tech-7.scrub", "altered")
    broken.made.run("scrub")  # the one before has mended the copy
    broken.green("tech-7.scrub")
