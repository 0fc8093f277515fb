"""What every KMS must do. A driver's test module subclasses ``KmsContract`` and says how to open one, and again."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.actions import KINDS
from hygie.base.clock import SystemClock, month_of
from hygie.base.errors import InvalidRequestError, NotFoundError
from hygie.keys.errors import (
    CertificateRefusedError,
    DestructionGuardError,
    KeyDestroyedError,
    KmsRequestError,
    UnknownKeyError,
    WrapBrokenError,
)
from hygie.keys.kms import BATCH_MAX, SIGNING_PURPOSES, Kms

PERMIT = b"p" * 16
REASON = "object:read"
TENANT = bytes(range(16))
ENVIRONMENT = bytes(range(16, 32))
OTHER = bytes(range(32, 48))

BAD_MONTHS = {"empty": "", "no_zero": "2026-1", "thirteenth": "2026-13", "path": "../2026-01", "newline": "2026-01\n"}
MONTH = month_of(SystemClock().now_ms())
_AFTER = int(MONTH[:4]) * 12 + int(MONTH[5:])  # months since year 0: the next one's
NEXT = f"{_AFTER // 12:04d}-{_AFTER % 12 + 1:02d}"
BAD_PURPOSES = {"empty": "", "upper": "Pack", "long": "a" * 33, "nul": "a\0", "slash": "a/b", "dash_first": "-a"}
BAD_REASONS = {"empty": "", "space": "patient Durand", "accent": "é", "long": "a" * 65, "newline": "a\n"}


class OpenKms(Protocol):
    """Opens the KMS of a folder: the first time it is made, later times it is the same one."""

    def __call__(self, folder: Path) -> AbstractAsyncContextManager[Kms]: ...


def fresh(count: int) -> list[tuple[bytes, bytes]]:
    """Compartment ids and keys."""
    return [(os.urandom(16), os.urandom(32)) for _ in range(count)]


async def wrapped(kms: Kms, keys: list[tuple[bytes, bytes]]) -> list[tuple[bytes, int, bytes]]:
    """The keys as items to unwrap."""
    epoch, wraps = await kms.wrap(TENANT, ENVIRONMENT, keys)
    return [(compartment, epoch, wrap) for (compartment, _), wrap in zip(keys, wraps, strict=True)]


async def unwrapped(kms: Kms, items: list[tuple[bytes, int, bytes]], environment: bytes = ENVIRONMENT) -> list[bytes]:
    """Unwrap under the tests' permit."""
    return await kms.unwrap(TENANT, environment, items, permit_id=PERMIT, reason=REASON)


async def furnish(kms: Kms) -> None:
    """One tenant, one environment."""
    await kms.create_tenant(TENANT)
    await kms.create_environment(TENANT, ENVIRONMENT)


class KmsContract:
    """Subclasses set ``open_kms``."""

    open_kms: OpenKms

    def run(self, folder: Path, story: object) -> None:
        """Run an async story on a furnished KMS."""

        async def main() -> None:
            async with self.open_kms(folder) as kms:
                await furnish(kms)
                await story(kms)  # type: ignore[operator]

        asyncio.run(main())

    def test_what_is_wrapped_unwraps_in_order_and_nothing_repeats(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = fresh(100)
            items = await wrapped(kms, keys)
            again = await wrapped(kms, keys)
            assert await unwrapped(kms, items) == [key for _, key in keys]
            assert await unwrapped(kms, again[::-1]) == [key for _, key in keys][::-1]
            assert len({wrap for _, _, wrap in items + again}) == 200
            assert not any(key in wrap for (_, key), (_, _, wrap) in zip(keys, items, strict=True))

        self.run(tmp_path, story)

    def test_batches_over_the_limit_are_cut_and_empty_ones_give_nothing(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = fresh(2 * BATCH_MAX + 1)
            items = await wrapped(kms, keys)
            assert await unwrapped(kms, items) == [key for _, key in keys]
            assert await unwrapped(kms, []) == []
            assert await kms.wrap(TENANT, ENVIRONMENT, []) == (1, [])

        self.run(tmp_path, story)

    def test_a_wrap_opens_only_in_its_own_place(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            await kms.create_environment(TENANT, OTHER)
            (a, _), (b, _) = keys = fresh(2)
            (_, epoch, wrap_a), (_, _, wrap_b) = await wrapped(kms, keys)
            await kms.new_epoch(TENANT, ENVIRONMENT)
            moved = {
                "compartment": (b, epoch, wrap_a),
                "epoch": (a, epoch + 1, wrap_a),
                "bit": (a, epoch, wrap_a[:-1] + bytes((wrap_a[-1] ^ 1,))),
                "version": (a, epoch, b"\x02" + wrap_a[1:]),
                "cut": (a, epoch, wrap_a[:-1]),
                "empty": (a, epoch, b""),
            }
            for item in moved.values():
                with pytest.raises(WrapBrokenError) as caught:
                    await unwrapped(kms, [(b, epoch, wrap_b), item])
                assert caught.value.facts["index"] == 1
            with pytest.raises(WrapBrokenError):
                await unwrapped(kms, [(a, epoch, wrap_a)], OTHER)

        self.run(tmp_path, story)

    def test_making_twice_changes_nothing(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = fresh(3)
            items, pack = await wrapped(kms, keys), await kms.environment_key(TENANT, ENVIRONMENT, "pack")
            await furnish(kms)
            assert await unwrapped(kms, items) == [key for _, key in keys]
            assert await kms.environment_key(TENANT, ENVIRONMENT, "pack") == pack

        self.run(tmp_path, story)

    def test_purpose_keys_differ_by_purpose_environment_and_tenant(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            await kms.create_environment(TENANT, OTHER)
            await kms.create_tenant(OTHER)
            await kms.create_environment(OTHER, ENVIRONMENT)
            places = [(TENANT, ENVIRONMENT), (TENANT, OTHER), (OTHER, ENVIRONMENT)]
            found = [await kms.environment_key(*place, purpose) for place in places for purpose in ("pack", "index")]
            assert len(set(found)) == 6
            assert {len(key) for key in found} == {32}

        self.run(tmp_path, story)

    def test_rotation_of_every_level_changes_no_key_that_data_stand_on(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = fresh(3)
            items = await wrapped(kms, keys)

            async def standing() -> list[object]:
                return [
                    await kms.environment_key(TENANT, ENVIRONMENT, "pack"),
                    await kms.month_key(TENANT, "access", MONTH),
                    await kms.public_key("journal"),
                    await kms.current_epoch(TENANT, ENVIRONMENT),
                    await unwrapped(kms, items),
                ]

            before = await standing()
            generation = (await kms.status()).generation
            await kms.rotate("environment", TENANT, ENVIRONMENT)
            await kms.rotate("tenant", TENANT)
            await kms.rotate("root")
            assert await standing() == before
            assert (await kms.status()).generation > generation

        self.run(tmp_path, story)

    def test_everything_stands_after_a_restart(self, tmp_path: Path) -> None:
        kept: list[object] = []

        async def read(kms: Kms, items: list[tuple[bytes, int, bytes]]) -> list[object]:
            return [
                await unwrapped(kms, items),
                await kms.current_epoch(TENANT, ENVIRONMENT),
                await kms.environment_key(TENANT, ENVIRONMENT, "index"),
                await kms.month_key(TENANT, "access", MONTH),
                [await kms.public_key(purpose) for purpose in SIGNING_PURPOSES],
            ]

        async def main() -> None:
            async with self.open_kms(tmp_path) as kms:
                await furnish(kms)
                items = await wrapped(kms, fresh(2))
                await kms.new_epoch(TENANT, ENVIRONMENT)
                items += await wrapped(kms, fresh(2))
                await kms.rotate("root")
                await kms.rotate("tenant", TENANT)
                kept.append(await read(kms, items))
            async with self.open_kms(tmp_path) as kms:
                assert [await read(kms, items)] == kept

        asyncio.run(main())

    def test_an_erased_key_dies_with_its_epoch_and_the_living_go_on(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            erased, *living = fresh(4)
            stale, *items = await wrapped(kms, [erased, *living])
            assert await kms.new_epoch(TENANT, ENVIRONMENT) == 2
            assert await unwrapped(kms, [stale]) == [erased[1]]  # until the old epoch is destroyed
            epoch, wraps = await kms.rewrap(TENANT, ENVIRONMENT, items)
            assert epoch == 2
            await kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=3)
            with pytest.raises(KeyDestroyedError) as caught:
                await unwrapped(kms, [stale])
            assert caught.value.http_status == 410
            fresh_items = [(item[0], 2, wrap) for item, wrap in zip(items, wraps, strict=True)]
            assert await unwrapped(kms, fresh_items) == [key for _, key in living]
            await kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=3)  # again: nothing

        self.run(tmp_path, story)

    def test_destruction_is_guarded(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = fresh(3)
            items = await wrapped(kms, keys)
            with pytest.raises(DestructionGuardError):
                await kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=0)
            await kms.new_epoch(TENANT, ENVIRONMENT)
            with pytest.raises(DestructionGuardError):
                await kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=3)
            await kms.rewrap(TENANT, ENVIRONMENT, items[:2])
            with pytest.raises(DestructionGuardError):
                await kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=3)
            with pytest.raises(DestructionGuardError):
                await kms.destroy_environment(TENANT, ENVIRONMENT, repeated=OTHER)
            with pytest.raises(UnknownKeyError):
                await kms.destroy_epoch(TENANT, ENVIRONMENT, 9, live_compartments=0)
            with pytest.raises(InvalidRequestError):
                await kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=-1)
            assert await unwrapped(kms, items) == [key for _, key in keys]

        self.run(tmp_path, story)

    def test_a_destroyed_environment_is_gone_for_ever_and_alone(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            await kms.create_environment(TENANT, OTHER)
            items = await wrapped(kms, fresh(1))
            other = await kms.environment_key(TENANT, OTHER, "pack")
            await kms.destroy_environment(TENANT, ENVIRONMENT, repeated=ENVIRONMENT)
            await kms.destroy_environment(TENANT, ENVIRONMENT, repeated=ENVIRONMENT)
            with pytest.raises(KeyDestroyedError):
                await unwrapped(kms, items)
            with pytest.raises(KeyDestroyedError):
                await kms.environment_key(TENANT, ENVIRONMENT, "pack")
            with pytest.raises(KeyDestroyedError):
                await kms.create_environment(TENANT, ENVIRONMENT)
            assert await kms.environment_key(TENANT, OTHER, "pack") == other

        self.run(tmp_path, story)

    def test_month_keys_are_made_once_and_destroyed_for_ever(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            access = await kms.month_key(TENANT, "access", MONTH)
            assert await kms.month_key(TENANT, "access", MONTH) == access
            others = [await kms.month_key(TENANT, kind, month) for kind, month in
                      (("access", NEXT), ("security", MONTH))]  # fmt: skip
            assert len({access, *others}) == 3
            await kms.destroy_month_key(TENANT, "access", MONTH)
            await kms.destroy_month_key(TENANT, "access", MONTH)
            with pytest.raises(KeyDestroyedError):
                await kms.month_key(TENANT, "access", MONTH)
            assert await kms.month_key(TENANT, "access", NEXT) == others[0]
            with pytest.raises(UnknownKeyError):
                await kms.destroy_month_key(TENANT, "access", "2030-01")

        self.run(tmp_path, story)

    def test_signatures_verify_under_their_own_purpose_only(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = {purpose: await kms.public_key(purpose) for purpose in SIGNING_PURPOSES}
            assert len(set(keys.values())) == len(SIGNING_PURPOSES)
            signature = await kms.sign("journal", b"checkpoint")
            Ed25519PublicKey.from_public_bytes(keys["journal"]).verify(signature, b"checkpoint")
            with pytest.raises(InvalidSignature):
                Ed25519PublicKey.from_public_bytes(keys["backup"]).verify(signature, b"checkpoint")
            new = await kms.rotate_signing_key("journal")
            assert new == await kms.public_key("journal") != keys["journal"]
            signature = await kms.sign("journal", b"next")
            Ed25519PublicKey.from_public_bytes(new).verify(signature, b"next")
            listed = [key for key in (await kms.status()).signing_keys if key.purpose == "journal"]
            assert [(key.public_key, key.until_ms is None) for key in listed] == [(keys["journal"], False), (new, True)]
            with pytest.raises(NotFoundError):
                await kms.sign("access", b"x")

        self.run(tmp_path, story)

    def test_the_authority_of_interventions_signs_nothing_but_its_certificates(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            await kms.public_key("intervention")
            for message in (b"", b"checkpoint", bytes(600)):
                with pytest.raises(CertificateRefusedError):
                    await kms.sign("intervention", message)

        self.run(tmp_path, story)

    def test_what_was_never_made_is_unknown(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            for tenant, environment in ((OTHER, ENVIRONMENT), (TENANT, OTHER)):
                with pytest.raises(UnknownKeyError):
                    await kms.current_epoch(tenant, environment)
            with pytest.raises(UnknownKeyError):
                await kms.create_environment(OTHER, ENVIRONMENT)
            (item,) = await wrapped(kms, fresh(1))
            with pytest.raises(UnknownKeyError):
                await unwrapped(kms, [(item[0], 7, item[2])])

        self.run(tmp_path, story)

    @pytest.mark.parametrize("month", BAD_MONTHS.values(), ids=BAD_MONTHS)
    def test_a_month_has_one_form(self, tmp_path: Path, month: str) -> None:
        async def story(kms: Kms) -> None:
            with pytest.raises(KmsRequestError):
                await kms.month_key(TENANT, "access", month)

        self.run(tmp_path, story)

    def test_month_keys_are_of_known_classes_and_of_this_time(self, tmp_path: Path) -> None:
        """Else whoever may ask for one would use up those that a tenant may have, and stop its journal for ever."""

        async def story(kms: Kms) -> None:
            elsewhere = ("1970-01", "2000-02", f"{int(MONTH[:4]) + 1}{MONTH[4:]}", "9999-12")
            for kind, month in (*(("access", month) for month in elsewhere), ("invented", MONTH), ("a", MONTH)):
                with pytest.raises(KmsRequestError):
                    await kms.month_key(TENANT, kind, month)
            for kind in KINDS:
                assert len({await kms.month_key(TENANT, kind, month) for month in (MONTH, NEXT)}) == 2

        self.run(tmp_path, story)

    def test_names_and_lengths_are_bounded(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            for purpose in BAD_PURPOSES.values():
                with pytest.raises(KmsRequestError):
                    await kms.environment_key(TENANT, ENVIRONMENT, purpose)
            (item,) = await wrapped(kms, fresh(1))
            for reason in BAD_REASONS.values():
                with pytest.raises(KmsRequestError):
                    await kms.unwrap(TENANT, ENVIRONMENT, [item], permit_id=PERMIT, reason=reason)
            for permit in (b"", b"p" * 33):
                with pytest.raises(KmsRequestError):
                    await kms.unwrap(TENANT, ENVIRONMENT, [item], permit_id=permit, reason=REASON)
            compartment, epoch, wrap = item
            lines = (await kms.status()).unwrap_lines
            for tenant, environment, name in (
                (b"Durand", ENVIRONMENT, compartment),
                (TENANT, b"t" * 17, compartment),
                (TENANT, ENVIRONMENT, b""),
                (TENANT, ENVIRONMENT, b"c" * 65),
            ):
                with pytest.raises(KmsRequestError):
                    await kms.unwrap(tenant, environment, [(name, epoch, wrap)], permit_id=PERMIT, reason=REASON)
            assert (await kms.status()).unwrap_lines == lines  # nothing of another shape is written
            for key in ((b"", b"k" * 32), (b"c" * 65, b"k" * 32), (b"c" * 16, b"k" * 31)):
                with pytest.raises(KmsRequestError):
                    await kms.wrap(TENANT, ENVIRONMENT, [key])
            for tenant in (b"", b"t" * 15, b"t" * 17):
                with pytest.raises(KmsRequestError):
                    await kms.create_tenant(tenant)

        self.run(tmp_path, story)

    def test_every_unwrap_is_in_the_record_refused_ones_too(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            first, second = await wrapped(kms, fresh(2))
            before = (await kms.status()).unwrap_lines
            await unwrapped(kms, [first, second])
            with pytest.raises(WrapBrokenError):
                await unwrapped(kms, [(second[0], 1, first[2])])
            done, refused = await kms.unwrap_record(before - 1, 100)
            assert done.compartments == [first[0].hex(), second[0].hex()]
            assert (done.tenant, done.environment) == (TENANT.hex(), ENVIRONMENT.hex())
            assert (done.permit, done.reason, done.outcome) == (PERMIT.hex(), REASON, "done")
            assert (done.pid, done.uid) == (os.getpid(), os.geteuid())
            assert (refused.outcome, refused.compartments) == ("HYG-531", [second[0].hex()])
            assert (await kms.status()).unwrap_lines == before + 2

        self.run(tmp_path, story)

    def test_many_callers_at_once_each_get_their_own(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            keys = fresh(200)
            items = await wrapped(kms, keys)
            found = await asyncio.gather(*(unwrapped(kms, [item]) for item in items))
            assert found == [[key] for _, key in keys]

        self.run(tmp_path, story)

    def test_status_tells_dates_and_counts_and_no_key(self, tmp_path: Path) -> None:
        async def story(kms: Kms) -> None:
            await kms.new_epoch(TENANT, ENVIRONMENT)
            status = await kms.status()
            (environment,) = status.environments
            assert not status.sealed
            assert status.properties.unwraps_recorded
            assert [epoch.epoch for epoch in environment.epochs] == [1, 2]
            assert status.tenants == 1
            shown = repr(status).encode()
            assert repr(await kms.environment_key(TENANT, ENVIRONMENT, "pack")).encode() not in shown

        self.run(tmp_path, story)
