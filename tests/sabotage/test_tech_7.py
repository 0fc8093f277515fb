"""tech-7: a site away, folders of one disk, a site that lags, a flipped byte."""

from __future__ import annotations

from tests.sabotage.conftest import Broken

PATIENT = {"resourceType": "Patient", "name": [{"family": "Sabotage"}]}


def test_a_site_away_is_red(broken: Broken) -> None:
    assert broken.verdict("tech-7.placement") == "satisfied"
    site = broken.made.data / "sites" / "lille"
    away = site.with_name("away")
    site.rename(away)
    try:
        finding = broken.finding("tech-7.placement")
        assert finding.verdict.value == "unsatisfied"
        assert "lille" in finding.outcome.why.en
    finally:
        away.rename(site)


def test_folders_of_one_disk_are_red(broken: Broken) -> None:
    assert broken.verdict("tech-7.independence") == "unsatisfied"


def test_a_site_that_lags_is_red(broken: Broken) -> None:
    broken.made.wait_for(lambda: broken.verdict("tech-7.lag") == "satisfied", seconds=30)
    with broken.frozen("work"):
        broken.measured("catch-up", passed=False, facts={"sites": {"lyon": {"lacking": 3}}})
        assert broken.verdict("tech-7.lag") == "unsatisfied"


def test_a_flipped_byte_is_red(broken: Broken) -> None:
    assert broken.made.fhir("POST", "Patient", PATIENT).status == 201
    pack = max((broken.made.data / "sites" / "paris" / "packs").rglob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    broken.made.run("scrub")
    with broken.frozen("work"):
        broken.measured("scrub", passed=False, facts={"checked": 1, "damaged": [["paris", "a pack", "altered"]]})
        assert broken.verdict("tech-7.scrub") == "unsatisfied"
