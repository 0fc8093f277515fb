"""Attacks on restores: what was erased does not come back, what was altered is named, the secret is needed."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec
import psycopg
import pytest

from hygie.backups.copy import newest_snapshot
from hygie.backups.erasures import copy_erasures
from hygie.backups.errors import BackupDamagedError, ManifestBrokenError, RestoreRefusedError
from hygie.backups.keys import PlainMonthKeys, public_keys
from hygie.backups.place import opened
from hygie.backups.restore import require_complete, restored
from hygie.backups.snapshot import manifest_name
from hygie.base.errors import NotFoundError
from hygie.gate.administration import Administration
from hygie.gate.reconcile import reconcile
from hygie.journal.entry import open_entry
from hygie.journal.leaf import month_at, read_head
from hygie.keys.errors import WrongPassphraseError
from hygie.keys.sealing import Passphrase
from hygie.sites.errors import SiteUnavailableError
from tests.unit.backups.restore_stage import alter, back_up, new_target, read_there, remove, request_of, rooms_of
from tests.unit.vault.lifecycle_stage import erase, observation, patient, turn, write

ERASED = "HYG-351"


def test_an_old_snapshot_does_not_bring_back_who_was_erased_since(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"), patient("p2", "b"), observation("o1", ["p1"], "c"))
            old = await back_up(house, target)
            await erase(house, "p1", purge=True)
            await turn(house)
            await write(house, patient("p3", "c"))
            await back_up(house, target)
            async with restored(request_of(house, target, tmp_path / "new", which=old.snapshot)) as place:
                require_complete(place.report)
                assert place.report.number == old.number
                assert place.report.environments[0].later == 1
                assert await read_there(house, place, "Patient", "p1") == ERASED
                assert await read_there(house, place, "Observation", "o1") == ERASED
                assert await read_there(house, place, "Patient", "p2") == "b"
                assert await read_there(house, place, "Patient", "p3") == NotFoundError.code

    asyncio.run(main())


def test_an_erasure_after_the_last_snapshot_counts(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"), patient("p2", "b"))
            await back_up(house, target)
            await erase(house, "p1")
            keys = await public_keys(house.kms, "erasure")
            assert await copy_erasures(house.sites, target, keys) == 1
            assert await copy_erasures(house.sites, target, keys) == 0
            async with restored(request_of(house, target, tmp_path / "new")) as place:
                assert place.report.erasures == 1
                assert await read_there(house, place, "Patient", "p1") == ERASED
                assert await read_there(house, place, "Patient", "p2") == "b"

    asyncio.run(main())


def test_a_planted_tombstone_erases_nobody_and_is_named(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            name = f"erased/{house.place.environment_id.hex()}/{'ab' * 16}"
            target.put_erasure(name, b"{}")
            with pytest.raises(BackupDamagedError) as caught:
                await _restore(house, target, tmp_path)
            assert caught.value.facts == {"name": name, "reason": "altered"}

    asyncio.run(main())


def test_what_is_damaged_on_the_target_is_named_and_nothing_stays(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            newest = (await newest_snapshot(target, await public_keys(house.kms, "backup"))).snapshot
            part = newest.environments[0]
            assert part.ledger is not None
            assert newest.kms_state is not None
            tile = next(ref for ref in newest.objects if ref.name.startswith("journal/tile/entries"))
            for ref, reason in ((part.packs[0], "altered"), (tile, "altered"), (part.ledger, "missing")):
                path = tmp_path / "target" / "objects" / ref.sha256[:2] / ref.sha256
                kept = path.read_bytes()
                remove(ref.sha256, tmp_path) if reason == "missing" else alter(ref.sha256, tmp_path)
                with pytest.raises(BackupDamagedError) as caught:
                    await _restore(house, target, tmp_path)
                assert caught.value.facts == {"name": ref.name, "reason": reason}
                assert not (tmp_path / "new").exists()
                path.unlink(missing_ok=True)
                path.write_bytes(kept)
            remove(newest.kms_state.sha256, tmp_path)
            with pytest.raises(BackupDamagedError):
                await _restore(house, target, tmp_path)

    asyncio.run(main())


def test_a_wrong_passphrase_opens_nothing(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            with pytest.raises(WrongPassphraseError):
                await _restore(house, target, tmp_path, secret=Passphrase("une autre phrase, bien longue"))
            assert not (tmp_path / "new").exists()

    asyncio.run(main())


def test_a_restore_that_failed_can_be_begun_again_with_sites_elsewhere(open_house, tmp_path) -> None:
    """Sites on disks of their own hold nothing either of what came to nothing."""

    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            request = request_of(house, target, tmp_path / "new")
            first, *others = request.settings.sites
            (tmp_path / "disk").mkdir()
            elsewhere = msgspec.structs.replace(first, path=str(tmp_path / "disk" / "paris"))
            sites = msgspec.structs.replace(request.settings, sites=[elsewhere, *others])
            (tmp_path / "file").touch()
            no_folder = msgspec.structs.replace(others[-1], path=str(tmp_path / "file" / "lille"))
            impossible = msgspec.structs.replace(sites, sites=[elsewhere, *others[:-1], no_folder])
            for failing, error in (
                ({"settings": impossible}, SiteUnavailableError),
                ({"settings": sites, "secret": Passphrase("une autre phrase, bien longue")}, WrongPassphraseError),
            ):
                with pytest.raises(error):
                    async with restored(dataclasses.replace(request, **failing)):
                        pass
                assert not (tmp_path / "new").exists()
                assert not list((tmp_path / "disk").iterdir())
            async with restored(dataclasses.replace(request, settings=sites)) as place:
                assert place.report.complete

    asyncio.run(main())


def test_a_manifest_signed_by_a_stranger_is_not_restored(open_house, tmp_path) -> None:
    """He writes on the target, names the true key state and packs of his choice, and a higher number."""

    async def main() -> None:
        import base64

        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        from hygie.backups.snapshot import attach, to_sign

        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            await back_up(house, target)
            newest = (await newest_snapshot(target, await public_keys(house.kms, "backup"))).snapshot
            forged = msgspec.structs.replace(newest, number=newest.number + 1, snapshot_id="f" * 32)
            stranger = Ed25519PrivateKey.generate()
            public = stranger.public_key().public_bytes_raw()
            raw = attach(forged, signature=stranger.sign(to_sign(forged)), public_key=public)
            target.put_manifest(manifest_name(forged), raw)
            with pytest.raises(ManifestBrokenError) as caught:
                await _restore(house, target, tmp_path)
            assert caught.value.facts["reason"] == "unknown-key"
            assert base64.b64encode(public) in raw

    asyncio.run(main())


def test_a_restore_goes_into_a_fresh_place_only(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "something").write_text("of somebody")
            with pytest.raises(RestoreRefusedError):
                await _restore(house, target, tmp_path)
            assert (tmp_path / "new" / "something").read_text() == "of somebody"

    asyncio.run(main())


def test_a_restored_place_signs_with_a_successor_key_and_keeps_the_past(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            report = await back_up(house, target)
            before = await house.kms.public_key("journal")
            async with restored(request_of(house, target, tmp_path / "new")) as place:
                after = await public_keys(place.kms, "journal")
                assert place.report.journal_entries == report.journal_size > 0
            assert after[0] != before
            assert after[1:] == [before]
            assert await house.kms.public_key("journal") == before

    asyncio.run(main())


def test_a_token_revoked_since_does_not_come_back(open_house, tmp_path) -> None:
    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"))
            async with rooms_of(house, target), opened(house.dsns.owner, size=1) as owner:
                acts = Administration(
                    owner,
                    owner_dsn=house.dsns.owner,
                    kms=house.kms,
                    journal=house.journal,
                    clock=house.clock,
                    operator="local:test",
                )
                await acts.create_account("app", kind="application", label="", professional_id="", days=1)
                tokens = [await acts.create_token("app", "t", "e", days=1) for _ in range(2)]
                old = await back_up(house, target)
                await acts.revoke_token(tokens[0][0])
            await back_up(house, target)
            async with restored(request_of(house, target, tmp_path / "new", which=old.snapshot)) as place:
                async with opened(place.dsns.owner, size=1) as owner, owner.transaction() as connection:
                    cursor = await connection.execute("SELECT id, revoked_ms IS NULL FROM hygie.token")
                    live = dict(await cursor.fetchall())
                assert live == {tokens[0][0]: False, tokens[1][0]: True}

    asyncio.run(main())


async def _restore(house: Any, target: Any, folder: Any, **fields: Any) -> None:
    async with restored(request_of(house, target, folder / "new", **fields)):
        pass


def test_the_keys_that_a_restore_takes_are_named_by_its_entry(open_house, tmp_path) -> None:
    """The restored place's two records tell the same story, as ``hygie journal reconcile`` asks."""

    async def main() -> None:
        async with open_house() as house:
            target = new_target(tmp_path)
            await write(house, patient("p1", "a"), observation("o1", ["p1"], "c"))
            await back_up(house, target)
            async with restored(request_of(house, target, tmp_path / "new")) as place:
                lines = [line for line in await place.kms.unwrap_record(-1, 1000) if line.reason == "rebuild"]
                assert lines
                with psycopg.connect(place.dsns.owner) as connection:
                    leaves = [row[0] for row in connection.execute("SELECT leaf FROM hygie.journal_pending")]
                keys = PlainMonthKeys(place.kms)
                heads = [read_head(leaf) for leaf in leaves]
                months = [await keys.month_key(h.tenant_id, h.kind, month_at(h.at_ms)) for h in heads]
                entries = [open_entry(leaf, month_key=key) for leaf, key in zip(leaves, months, strict=True)]
                later_ms = house.clock.now_ms() + 60_000
                assert reconcile(lines, entries, now_ms=later_ms).orphans == []

    asyncio.run(main())
