"""Attacks on the KMS's folder: copies put back, files altered or swapped, crashes at every write."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hygie.base.canonical import canonical
from hygie.base.clock import SystemClock, month_of
from hygie.base.errors import HygieError
from hygie.keys import state as state_module
from hygie.keys.errors import (
    KeyDestroyedError,
    KmsSettingsError,
    KmsStateBrokenError,
    KmsUnavailableError,
    UnwrapRecordUnavailableError,
    WrongPassphraseError,
)
from hygie.keys.file_kms import FileKms, UnwrapAsk
from hygie.keys.peer import this_process
from hygie.keys.sealing import Passphrase, open_root
from hygie.keys.state import (
    ROOT_MAGIC,
    TENANT_MAGIC,
    EnvironmentBody,
    RootBody,
    RootFile,
    StateFolder,
    TenantBody,
    TenantFile,
    decode,
    environment_meaning,
    open_value,
    root_meaning,
    tenant_file,
    tenant_meaning,
)
from tests.contract.kms_stage import PASSPHRASE, PERMIT, REASON, SCRYPT_N_TEST, KmsProcess, make_state, opened

TENANT = bytes(range(16))
ENVIRONMENT = bytes(range(16, 32))
OTHER = bytes(range(32, 48))
MONTH = month_of(SystemClock().now_ms())
CompartmentWrap = tuple[bytes, int, bytes]


def furnished(folder: Path) -> FileKms:
    make_state(folder)
    kms = opened(folder)
    kms.create_tenant(TENANT)
    kms.create_environment(TENANT, ENVIRONMENT)
    return kms


def wrap_one(kms: FileKms) -> tuple[CompartmentWrap, bytes]:
    compartment, key = os.urandom(16), os.urandom(32)
    epoch, (wrap,) = kms.wrap(TENANT, ENVIRONMENT, [(compartment, key)])
    return (compartment, epoch, wrap), key


def unwrap_one(kms: FileKms, item: CompartmentWrap) -> bytes:
    (key,) = kms.unwrap(UnwrapAsk(TENANT, ENVIRONMENT, [item], PERMIT, REASON, this_process()))
    return key


def erase_by_epoch(kms: FileKms) -> None:
    """What an erasure ends with: a new epoch, nothing kept, the old one destroyed."""
    old = kms.current_epoch(TENANT, ENVIRONMENT)
    kms.new_epoch(TENANT, ENVIRONMENT)
    kms.destroy_epoch(TENANT, ENVIRONMENT, old, live_compartments=0)


def every_key_of(folder: Path, passphrase: str = PASSPHRASE) -> set[bytes]:
    """All the 32-byte keys that somebody with the folder and the passphrase can open, by any file against any other."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    roots, found = [], set()
    for data in files:
        if data.startswith(ROOT_MAGIC):
            root_file = decode(ROOT_MAGIC, data, RootFile, "")
            root = open_root(root_file.sealing, Passphrase(passphrase), state_id=root_file.state_id)
            meaning = root_meaning(root_file)
            roots.append((root_file, open_value(root_file.body, RootBody, key=root, meaning=meaning, part="")))
            found.add(root)
    for data in files:
        if not data.startswith(TENANT_MAGIC):
            continue
        tenant = decode(TENANT_MAGIC, data, TenantFile, "")
        for root_file, root_body in roots:
            for key in root_body.tenants:
                found.add(key.key)
                meaning = tenant_meaning(root_file.state_id, tenant.tenant_id, key.version)
                try:
                    body = open_value(tenant.body, TenantBody, key=key.key, meaning=meaning, part="")
                except KmsStateBrokenError:
                    continue
                found |= {month.key for month in body.months}
                for record in body.environments:
                    meaning = environment_meaning(root_file.state_id, tenant.tenant_id, record.environment_id)
                    inner = open_value(record.body, EnvironmentBody, key=record.key, meaning=meaning, part="")
                    found |= {record.key, inner.secret, *(epoch.key for epoch in inner.epochs)}
    return {key for key in found if len(key) == 32}


def opens_with_any(keys: set[bytes], item: CompartmentWrap) -> bool:
    compartment, epoch, wrap = item
    aad = canonical("hygie kms wrap v1", TENANT, ENVIRONMENT, epoch, compartment)
    for key in keys:
        try:
            AESGCM(key).decrypt(wrap[1:13], wrap[13:], aad)
        except InvalidTag:
            continue
        return True
    return False


# --- erasure


def test_after_an_erasure_and_an_epoch_change_no_file_of_the_folder_opens_the_wrap(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    item, _ = wrap_one(kms)
    assert opens_with_any(every_key_of(folder), item)  # the search itself can find it
    erase_by_epoch(kms)
    kms.rotate("root")
    kms.close()
    assert len(every_key_of(folder)) > 4
    assert not opens_with_any(every_key_of(folder), item)


def test_a_hard_link_to_the_old_state_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    linked = tmp_path / "linked"
    os.link(folder / tenant_file(TENANT), linked)
    erase_by_epoch(kms)
    assert linked.read_bytes().strip(b"\0") == b""
    kms.close()


def test_a_tenant_file_of_yesterday_does_not_bring_the_epoch_back(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    item, _ = wrap_one(kms)
    yesterday = (folder / tenant_file(TENANT)).read_bytes()
    erase_by_epoch(kms)
    kms.close()
    (folder / tenant_file(TENANT)).write_bytes(yesterday)
    assert not opens_with_any(every_key_of(folder), item)
    again = opened(folder)
    with pytest.raises(KmsStateBrokenError):
        unwrap_one(again, item)
    again.close()


def test_a_whole_folder_of_yesterday_opens_with_the_passphrase_of_its_day(tmp_path: Path) -> None:
    """The documented limit: only the retention of copies of the folder, or a changed passphrase, ends it."""
    folder, copy = tmp_path / "kms", tmp_path / "yesterday"
    kms = furnished(folder)
    item, key = wrap_one(kms)
    shutil.copytree(folder, copy)
    erase_by_epoch(kms)
    kms.change_sealing(Passphrase(PASSPHRASE), Passphrase("une autre phrase longue"), scrypt_n=SCRYPT_N_TEST)
    with pytest.raises(KeyDestroyedError):
        unwrap_one(kms, item)
    kms.close()
    old = FileKms(copy)
    old.open()
    with pytest.raises(WrongPassphraseError):
        old.unseal(Passphrase("une autre phrase longue"))
    old.close()
    old = opened(copy)
    assert unwrap_one(old, item) == key
    old.close()


def open_and_ask(folder: Path) -> None:
    kms = FileKms(folder)
    try:
        kms.open()
        kms.unseal(Passphrase(PASSPHRASE))
        kms.current_epoch(TENANT, ENVIRONMENT)
    finally:
        kms.close()


# --- altered, swapped, readable by others


@pytest.mark.parametrize("name", ["root.kms", tenant_file(TENANT)])
def test_no_altered_byte_of_a_state_file_passes(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    path = folder / name
    whole = path.read_bytes()
    for at in sorted({*range(0, len(whole), 13), len(whole) - 1}):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        with pytest.raises(HygieError):
            open_and_ask(folder)
    path.write_bytes(whole)
    opened(folder).close()


DEFECTS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[:-1],
    "longer": lambda whole: whole + b"\0",
    "empty": lambda _: b"",
    "other_magic": lambda whole: b"HYGKMSR2" + whole[8:],
    # msgpack's map16 in place of fixmap: the same value in other bytes
    "not_canonical": lambda whole: whole[:8] + b"\xde\x00" + bytes((whole[8] & 0x0F,)) + whole[9:],
    "hostile_depth": lambda whole: whole[:8] + b"\x91" * 5000,
}


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_a_root_file_in_any_other_form_is_refused(tmp_path: Path, defect: Callable[[bytes], bytes]) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    path = folder / "root.kms"
    path.write_bytes(defect(path.read_bytes()))
    with pytest.raises(KmsStateBrokenError):
        FileKms(folder).open()


def test_tenants_files_swapped_do_not_open(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    kms.create_tenant(OTHER)
    kms.close()
    a, b = folder / tenant_file(TENANT), folder / tenant_file(OTHER)
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)
    again = opened(folder)
    with pytest.raises(KmsStateBrokenError):
        again.current_epoch(TENANT, ENVIRONMENT)
    again.close()


def test_a_missing_tenant_file_is_broken_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    (folder / tenant_file(TENANT)).unlink()
    kms = opened(folder)
    kms.create_tenant(TENANT)
    with pytest.raises(KmsStateBrokenError):
        kms.create_environment(TENANT, ENVIRONMENT)
    kms.close()


def test_a_state_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    for path, mode in ((folder, 0o750), (folder, 0o701), (folder / "root.kms", 0o604), (folder / "unwraps.log", 0o640)):
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        with pytest.raises(KmsSettingsError):
            FileKms(folder).open()
        path.chmod(before)
    opened(folder).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_state_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    os.chown(folder / "root.kms", 65534, 65534)
    with pytest.raises(KmsSettingsError):
        FileKms(folder).open()


def test_two_services_never_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    with pytest.raises(KmsSettingsError):
        FileKms(folder).open()
    kms.close()
    opened(folder).close()


# --- crashes


def _mutations() -> dict[str, Callable[[FileKms], object]]:
    return {
        "create_tenant": lambda kms: kms.create_tenant(OTHER),
        "create_environment": lambda kms: kms.create_environment(TENANT, OTHER),
        "new_epoch": lambda kms: kms.new_epoch(TENANT, ENVIRONMENT),
        "destroy_epoch": lambda kms: kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=0),
        "rotate_root": lambda kms: kms.rotate("root"),
        "rotate_tenant": lambda kms: kms.rotate("tenant", TENANT),
        "rotate_environment": lambda kms: kms.rotate("environment", TENANT, ENVIRONMENT),
        "change_sealing": lambda kms: kms.change_sealing(
            Passphrase(PASSPHRASE), Passphrase(PASSPHRASE), scrypt_n=SCRYPT_N_TEST
        ),
        "month_key": lambda kms: kms.month_key(TENANT, "platform", MONTH),
        "destroy_month_key": lambda kms: kms.destroy_month_key(TENANT, "access", MONTH),
        "rotate_signing_key": lambda kms: kms.rotate_signing_key("journal"),
    }


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", _mutations())
def test_a_crash_at_any_write_leaves_the_old_or_the_new_state_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, moment: str
) -> None:
    mutate = _mutations()[name]
    real = StateFolder.write
    crashes = 0
    for point in range(1, 9):
        folder = tmp_path / f"kms{point}"
        kms = furnished(folder)
        kms.new_epoch(TENANT, ENVIRONMENT)
        item, key = wrap_one(kms)
        pack, month = kms.environment_key(TENANT, ENVIRONMENT, "pack"), kms.month_key(TENANT, "security", MONTH)
        kms.month_key(TENANT, "access", MONTH)
        writes = 0

        def write(self: StateFolder, file: str, data: bytes, stop: int = point) -> None:
            nonlocal writes
            writes += 1
            if writes == stop and moment == "before":
                raise OSError(28, "no space")
            real(self, file, data)
            if writes == stop and moment == "after":
                raise OSError(5, "i/o")

        monkeypatch.setattr(state_module.StateFolder, "write", write)
        crashed = False
        try:
            mutate(kms)
        except OSError:
            crashed = True
        monkeypatch.setattr(state_module.StateFolder, "write", real)
        crashes += crashed
        # the process that met the error goes on, then one that starts from the files: both hold everything
        assert unwrap_one(kms, item) == key
        kms.record.close()
        kms._folder.release()
        again = opened(folder)
        assert unwrap_one(again, item) == key
        assert again.environment_key(TENANT, ENVIRONMENT, "pack") == pack
        assert again.month_key(TENANT, "security", MONTH) == month
        mutate(again)  # what was not answered may be asked again
        assert unwrap_one(again, item) == key
        again.close()
        if not crashed:
            break
    assert crashes == point - 1 >= 1


def test_a_destruction_cut_by_a_crash_is_finished_when_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch is gone from the tenant's file, the old tenant key still in the root's: a copy would still open."""
    folder = tmp_path / "kms"
    kms = furnished(folder)
    item, _ = wrap_one(kms)
    kms.new_epoch(TENANT, ENVIRONMENT)
    shutil.copy(folder / tenant_file(TENANT), tmp_path / "copy")
    real, writes = StateFolder.write, []

    def write(self: StateFolder, file: str, data: bytes) -> None:
        writes.append(file)
        if len(writes) == 3:
            raise OSError(28, "no space")
        real(self, file, data)

    monkeypatch.setattr(StateFolder, "write", write)
    with pytest.raises(OSError, match="no space"):
        kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=0)
    monkeypatch.setattr(StateFolder, "write", real)
    with pytest.raises(KeyDestroyedError):  # gone from the file, so gone from memory
        unwrap_one(kms, item)
    kms.wrap(TENANT, ENVIRONMENT, [(b"c" * 16, b"k" * 32)])  # writes the file again, and does not bring it back
    with pytest.raises(KeyDestroyedError):
        unwrap_one(kms, item)
    shutil.copy(tmp_path / "copy", folder / "stray")
    (folder / "stray").chmod(0o600)
    assert opens_with_any(every_key_of(folder), item)
    kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=0)
    assert not opens_with_any(every_key_of(folder), item)
    kms.close()


def test_kill_9_in_the_middle_of_writes_loses_nothing_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    make_state(folder)
    chance = random.Random(7)
    acknowledged: dict[bytes, bytes] = {}
    epochs = [1]
    for turn in range(6):
        with KmsProcess(folder) as process:
            killer = threading.Timer(chance.uniform(0.05, 0.35), process.kill)

            async def story(process: KmsProcess = process, turn: int = turn, killer: threading.Timer = killer) -> None:
                client = process.client()
                try:
                    await client.create_tenant(TENANT)
                    await client.create_environment(TENANT, ENVIRONMENT)
                    for number in range(10_000):
                        if number == 4:  # on a machine as slow as it may be, each turn has something to lose
                            killer.start()
                        tenant = struct.pack(">QQ", turn, number)
                        await client.create_tenant(tenant)
                        acknowledged[tenant] = await client.month_key(tenant, "access", MONTH)
                        if number % 5 == 0 and len(epochs) < 60:
                            epochs.append(await client.new_epoch(TENANT, ENVIRONMENT))
                finally:
                    await client.close()

            with pytest.raises(KmsUnavailableError):
                asyncio.run(story())
            killer.join()
    kms = opened(folder)
    assert len(acknowledged) > 20
    assert kms.current_epoch(TENANT, ENVIRONMENT) >= epochs[-1]
    for tenant, key in acknowledged.items():
        assert kms.month_key(tenant, "access", MONTH) == key
    assert not list(folder.glob(".tmp-*"))
    kms.close()


def test_no_key_leaves_when_the_record_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    item, key = wrap_one(kms)
    lines = kms.status().unwrap_lines

    def full(_: int) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UnwrapRecordUnavailableError):
            unwrap_one(kms, item)
    assert kms.status().unwrap_lines == lines
    assert unwrap_one(kms, item) == key
    kms.close()
    again = opened(folder)  # the chain is whole: the line that was not durable is not there
    assert again.status().unwrap_lines == lines + 1
    again.close()


def test_wrong_passphrases_are_spaced(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    now_s = [1000.0]
    kms = FileKms(folder, monotonic=lambda: now_s[0])
    kms.open()
    waits = []
    for _ in range(9):
        with pytest.raises(WrongPassphraseError):
            kms.unseal(Passphrase("wrong"))
        before = now_s[0]
        while True:
            try:
                kms.unseal(Passphrase("wrong"))
            except WrongPassphraseError:
                pytest.fail("an attempt was not spaced")
            except HygieError as error:
                wait_s = error.facts["wait_s"]
                assert isinstance(wait_s, int)
            now_s[0] += wait_s
            waits.append(now_s[0] - before)
            break
    assert waits[:4] == [2.0, 3.0, 5.0, 9.0]  # 1, 2, 4, 8 s, rounded up
    assert waits[-1] == 61.0
    kms.unseal(Passphrase(PASSPHRASE))
    kms.close()


def test_time_spent_refusing_a_hostile_file_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    furnished(folder).close()
    (folder / "root.kms").write_bytes(ROOT_MAGIC + b"\xdd\xff\xff\xff\xff")  # an array of four billion
    started = time.monotonic()
    with pytest.raises(KmsStateBrokenError):
        FileKms(folder).open()
    assert time.monotonic() - started < 2
