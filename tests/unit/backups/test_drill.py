"""A drill report says what was measured, in one encoding, signed; a drill that must fail does fail."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.backups import drills
from hygie.backups.copy import newest_snapshot
from hygie.backups.drill import DrillCheck, DrillReport, attach, promise_checks, to_sign, verify_report
from hygie.backups.drill_text import WORDS, text_of
from hygie.backups.drills import Promise, run_sandbox_drill
from hygie.backups.errors import BackupDamagedError, DrillReportForgedError
from hygie.backups.keys import public_keys
from hygie.backups.sandbox import Doors
from hygie.database.hot import HotConnections
from hygie.gate.administration import Administration
from hygie.keys.errors import KmsUnavailableError, WrongPassphraseError
from hygie.keys.sealing import Passphrase
from hygie.sites.errors import SiteQuorumError
from tests.unit.backups.restore_stage import alter, back_up, new_target, remove, request_of
from tests.unit.vault.conftest import open_house  # noqa: F401 (a fixture)
from tests.unit.vault.lifecycle_stage import observation, patient, write

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
PROMISE = Promise(rto_s=3600, rpo_s=3600)


def report(**fields: Any) -> DrillReport:
    known: dict[str, Any] = {
        "drill_id": "restore-1",
        "kind": "restore",
        "operator": "local:test",
        "started_at_ms": 1_795_435_200_000,
        "ended_at_ms": 1_795_435_260_000,
        "rto_s": 59.5,
        "promised_rto_s": 60,
        "figures": {"resources": 5},
        "checks": [DrillCheck("complete", True, "5 resources")],
    }
    return DrillReport(**(known | fields))


def signed(one: DrillReport) -> bytes:
    return attach(one, signature=KEY.sign(to_sign(one)), public_key=PUBLIC)


def test_a_report_comes_back_as_it_was_signed() -> None:
    assert verify_report(signed(report()), public_keys=[PUBLIC]) == report()


@pytest.mark.parametrize(
    ("what", "by"),
    [(b'"passed": true', b'"passed": false'), (b"59.5", b"9.5"), (b"5 resources", b"6 resources"), (b"\n}", b"\n }")],
)
def test_an_altered_report_is_refused(what: bytes, by: bytes) -> None:
    data = signed(report())
    assert what in data
    with pytest.raises(DrillReportForgedError):
        verify_report(data.replace(what, by), public_keys=[PUBLIC])


def test_a_report_of_an_unknown_key_is_refused() -> None:
    with pytest.raises(DrillReportForgedError):
        verify_report(signed(report()), public_keys=[Ed25519PrivateKey.generate().public_key().public_bytes_raw()])


def test_a_signature_of_another_report_is_refused() -> None:
    with pytest.raises(DrillReportForgedError):
        attach(report(), signature=KEY.sign(to_sign(report(drill_id="other"))), public_key=PUBLIC)


def test_a_promise_is_kept_broken_or_not_measured() -> None:
    def kept(rto_s: float | None) -> list[bool]:
        checks = promise_checks(rto_s=rto_s, rpo_s=None, promised_rto_s=60, promised_rpo_s=None)
        return [check.passed for check in checks]

    assert kept(60.0) == [True]
    assert kept(60.1) == [False]
    assert kept(None) == [False]


def test_a_drill_without_checks_has_not_passed() -> None:
    assert report().passed
    assert not report(checks=[]).passed
    assert not report(checks=[DrillCheck("a", True), DrillCheck("b", False, "why")]).passed


def test_people_read_the_report_in_their_language() -> None:
    failed = report(checks=[DrillCheck("rto kept", False, "61 s")])
    assert "RÉUSSI" in text_of(report(), "fr")
    assert "EN ÉCHEC" in text_of(failed, "fr")
    assert "FAILED" in text_of(failed, "en")
    assert "✗ rto kept: 61 s" in text_of(failed, "en")
    assert "✗ DMIA tenue : 61 s" in text_of(failed, "fr")


def test_each_drill_passes_on_a_sound_backup(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"), patient("p2", "b"), observation("o1", ["p1"], "c"))
            await back_up(house, target)
            keys = await public_keys(house.kms, "drill")
            for kind in ("restore", "site-loss", "key-loss"):
                request = request_of(house, target, tmp_path / kind)
                found = verify_report(await _drill(kind, request), public_keys=keys)
                assert found.passed, text_of(found, "en")
                assert {one.name for one in found.checks} | found.figures.keys() <= WORDS.keys()  # all said in French
                assert (found.kind, found.drill_id) == (kind, "d")
                assert found.rto_s is not None
                assert found.figures["resources"] == 3

    asyncio.run(main())


def test_a_drill_fails_when_the_promise_is_not_kept(open_house, tmp_path) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            request = request_of(house, target, tmp_path / "new")
            found = msgspec.json.decode(await _drill("restore", request, promise=Promise(rto_s=0, rpo_s=3600)))
            failed = [check["name"] for check in found["report"]["checks"] if not check["passed"]]
            assert failed == ["rto kept"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "broken", "error", "told"),
    [
        ("site-loss", (Doors, "write"), SiteQuorumError(done=1, quorum=2), "HYG-441"),
        ("key-loss", (drills, "_other_keys"), OSError(28, "no space"), "OSError"),
        ("restore", (Administration, "create_account"), KmsUnavailableError(part="kms"), "HYG-430"),
    ],
)
def test_a_drill_that_something_stops_has_failed_and_is_signed(
    open_house,  # noqa: F811
    tmp_path,
    monkeypatch,
    kind: Any,
    broken: Any,
    error: Exception,
    told: str,
) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)

            def stop(*_: object, **__: object) -> None:
                raise error

            opened: list[Any] = []
            real = HotConnections.open

            async def opening(hot: HotConnections) -> None:
                opened.append(hot)
                await real(hot)

            monkeypatch.setattr(*broken, stop)
            monkeypatch.setattr(HotConnections, "open", opening)
            report = await _drill(kind, request_of(house, target, tmp_path / kind))
            found = verify_report(report, public_keys=await public_keys(house.kms, "drill"))
            assert not found.passed
            (check,) = [one for one in found.checks if one.name == "carried to its end"]
            assert check.detail == told
            assert found.rto_s is None
            assert "mené à son terme" in text_of(found, "fr")
            assert opened
            assert all(hot._closed and not hot._idle for hot in opened)

    asyncio.run(main())


@pytest.mark.parametrize("sabotage", ["pack altered", "ledger missing", "passphrase"])
def test_a_drill_on_a_damaged_backup_does_not_pass(open_house, tmp_path, sabotage: str) -> None:  # noqa: F811
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            part = (await newest_snapshot(target, await public_keys(house.kms, "backup"))).snapshot.environments[0]
            assert part.ledger is not None
            more: dict[str, Any] = {}
            if sabotage == "pack altered":
                alter(part.packs[0].sha256, tmp_path)
            elif sabotage == "ledger missing":
                remove(part.ledger.sha256, tmp_path)
            else:
                more["secret"] = Passphrase("une autre phrase, bien longue")
            with pytest.raises(WrongPassphraseError if more else BackupDamagedError):
                await _drill("restore", request_of(house, target, tmp_path / "new", **more))

    asyncio.run(main())


async def _drill(kind: Any, request: Any, promise: Promise = PROMISE) -> bytes:
    return await run_sandbox_drill(kind, request, promise, drill_id="d", progress=lambda *_: None)
