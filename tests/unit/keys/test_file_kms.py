"""What only the file KMS does: nonce bounds over restarts, counts, export and restore, where the secret comes from."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hygie.base.canonical import canonical
from hygie.base.errors import SettingsError
from hygie.base.layout import DataFolder
from hygie.base.settings import default_settings, read_credential
from hygie.keys import file_kms, file_root, hierarchy
from hygie.keys.errors import (
    DestructionGuardError,
    EpochFullError,
    KeyDestroyedError,
    KmsRequestError,
    KmsSettingsError,
    KmsStateBrokenError,
    UnknownKeyError,
    WrongPassphraseError,
)
from hygie.keys.file_kms import FileKms, UnwrapAsk
from hygie.keys.kms import EPOCHS_LIVE_MAX
from hygie.keys.peer import this_process
from hygie.keys.sealing import Passphrase, SharePlan, Shares
from hygie.keys.secret_source import SecretSource
from hygie.keys.state import EXPORT_MAGIC, ExportedFile, StateFolder, decode, encode, restore_state
from tests.contract.kms_stage import PASSPHRASE, PERMIT, REASON, SCRYPT_N_TEST, make_state, opened

TENANT = bytes(range(16))
ENVIRONMENT = bytes(range(16, 32))


def furnished(folder: Path) -> FileKms:
    make_state(folder)
    kms = opened(folder)
    kms.create_tenant(TENANT)
    kms.create_environment(TENANT, ENVIRONMENT)
    return kms


def pairs(count: int) -> list[tuple[bytes, bytes]]:
    return [(os.urandom(16), os.urandom(32)) for _ in range(count)]


def reserved(kms: FileKms, copy: Path) -> int:
    """Wraps allowed by what the files say."""
    restore_state(kms.export_state(), copy)
    again = opened(copy)
    found = again._open().environment(TENANT, ENVIRONMENT).current.reserved
    again.close()
    return found


def test_a_state_made_before_a_signing_purpose_existed_gets_its_key_at_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(file_root, "SIGNING_PURPOSES", ("journal", "backup", "erasure", "drill"))
        make_state(tmp_path / "state")
        kms = opened(tmp_path / "state")
        with pytest.raises(UnknownKeyError):
            kms.sign("dossier", b"x")
        kms.close()
    kms = opened(tmp_path / "state")
    key = kms.public_key("dossier")
    kms.close()
    again = opened(tmp_path / "state")
    assert again.public_key("dossier") == key
    Ed25519PublicKey.from_public_bytes(key).verify(again.sign("dossier", b"x"), b"x")
    assert [one.purpose for one in again.status().signing_keys].count("dossier") == 1
    with pytest.raises(UnknownKeyError):
        again.sign("anything", b"x")
    again.close()


def test_wraps_are_written_down_before_they_are_made(tmp_path: Path) -> None:
    kms = furnished(tmp_path / "kms")
    for _ in range(3):
        kms.wrap(TENANT, ENVIRONMENT, pairs(10))
    used = kms._open().environment(TENANT, ENVIRONMENT).used[1]
    written = reserved(kms, tmp_path / "copy")
    assert used == 30 <= written
    kms.close()
    again = opened(tmp_path / "kms")
    again.wrap(TENANT, ENVIRONMENT, pairs(1))
    assert again._open().environment(TENANT, ENVIRONMENT).used[1] == written + 1
    again.close()


def test_an_epoch_that_wrapped_enough_says_so_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hierarchy, "WRAPS_PER_EPOCH_MAX", hierarchy.RESERVE_WRAPS + 100)
    kms = furnished(tmp_path / "kms")
    kms.wrap(TENANT, ENVIRONMENT, pairs(100))
    kms.close()
    kms = opened(tmp_path / "kms")
    with pytest.raises(EpochFullError):
        kms.wrap(TENANT, ENVIRONMENT, pairs(1))
    kms.new_epoch(TENANT, ENVIRONMENT)
    assert kms.wrap(TENANT, ENVIRONMENT, pairs(1))[0] == 2
    kms.close()


def test_counts_of_the_guard_stand_after_a_restart(tmp_path: Path) -> None:
    kms = furnished(tmp_path / "kms")
    kms.new_epoch(TENANT, ENVIRONMENT)
    kms.wrap(TENANT, ENVIRONMENT, pairs(5))
    kms.close()
    kms = opened(tmp_path / "kms")
    with pytest.raises(DestructionGuardError):
        kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=6)
    kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=5)
    kms.close()


def test_live_epochs_are_bounded(tmp_path: Path) -> None:
    kms = furnished(tmp_path / "kms")
    for _ in range(EPOCHS_LIVE_MAX - 1):
        kms.new_epoch(TENANT, ENVIRONMENT)
    with pytest.raises(KmsRequestError):
        kms.new_epoch(TENANT, ENVIRONMENT)
    kms.destroy_epoch(TENANT, ENVIRONMENT, 1, live_compartments=0)
    assert kms.new_epoch(TENANT, ENVIRONMENT) == EPOCHS_LIVE_MAX + 1
    kms.close()


def test_tenants_and_environments_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosting process makes them: without a bound it could make a state that no start reads any more."""
    monkeypatch.setattr(file_kms, "TENANTS_MAX", 2)
    monkeypatch.setattr(file_kms, "ENVIRONMENTS_MAX", 2)
    kms = furnished(tmp_path / "kms")
    kms.create_tenant(b"o" * 16)
    kms.create_environment(TENANT, b"o" * 16)
    for _ in range(2):
        with pytest.raises(KmsRequestError):
            kms.create_tenant(b"p" * 16)
        with pytest.raises(KmsRequestError):
            kms.create_environment(TENANT, b"p" * 16)
        kms.create_tenant(TENANT)  # what is there is not counted again
        kms.create_environment(TENANT, ENVIRONMENT)
    kms.close()


def test_an_environment_whose_destruction_was_cut_opens_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kms"
    kms = furnished(folder)
    compartment, key = pairs(1)[0]
    epoch, (wrap,) = kms.wrap(TENANT, ENVIRONMENT, [(compartment, key)])
    ask = UnwrapAsk(TENANT, ENVIRONMENT, [(compartment, epoch, wrap)], PERMIT, REASON, this_process())
    real, writes = StateFolder.write, []

    def write(self: StateFolder, file: str, data: bytes) -> None:
        writes.append(file)
        if len(writes) == 3:
            raise OSError(28, "no space")
        real(self, file, data)

    monkeypatch.setattr(StateFolder, "write", write)
    with pytest.raises(OSError, match="no space"):
        kms.destroy_environment(TENANT, ENVIRONMENT, repeated=ENVIRONMENT)
    with pytest.raises(KeyDestroyedError):
        kms.unwrap(ask)
    with pytest.raises(KeyDestroyedError):
        kms.wrap(TENANT, ENVIRONMENT, pairs(1))
    kms.close()
    again = opened(folder)
    with pytest.raises(KeyDestroyedError):
        again.unwrap(ask)
    again.close()


def test_an_export_restored_elsewhere_is_the_same_kms(tmp_path: Path) -> None:
    kms = furnished(tmp_path / "kms")
    kms.create_tenant(b"o" * 16)
    pack = kms.environment_key(TENANT, ENVIRONMENT, "pack")
    data = kms.export_state()
    kms.close()
    assert pack not in data
    restore_state(data, tmp_path / "restored")
    again = opened(tmp_path / "restored")
    assert again.environment_key(TENANT, ENVIRONMENT, "pack") == pack
    assert again.status().tenants == 2
    assert again.export_state() == data
    again.close()
    with pytest.raises(KmsSettingsError):
        restore_state(data, tmp_path / "restored")


def test_an_export_in_any_other_form_restores_nothing(tmp_path: Path) -> None:
    kms = furnished(tmp_path / "kms")
    data = kms.export_state()
    kms.close()
    files = decode(EXPORT_MAGIC, data, list[ExportedFile], "")
    climbing = [ExportedFile("../" + files[0].name, files[0].data), files[1]]
    others = {
        "cut": data[:-1],
        "longer": data + b"\0",
        "empty": encode(EXPORT_MAGIC, []),
        "no_root": encode(EXPORT_MAGIC, files[:1]),
        "root_first": encode(EXPORT_MAGIC, files[::-1]),
        "twice": encode(EXPORT_MAGIC, [files[0], *files]),
        "climbing": encode(EXPORT_MAGIC, climbing),
    }
    for name, other in others.items():
        with pytest.raises(KmsStateBrokenError):
            restore_state(other, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_a_new_sealing_replaces_the_old_one(tmp_path: Path) -> None:
    kms = furnished(tmp_path / "kms")
    pack = kms.environment_key(TENANT, ENVIRONMENT, "pack")
    with pytest.raises(WrongPassphraseError):
        kms.change_sealing(Passphrase("wrong"), Passphrase("new"), scrypt_n=SCRYPT_N_TEST)
    kms.close()
    kms = opened(tmp_path / "kms")
    shares = kms.change_sealing(Passphrase(PASSPHRASE), SharePlan(2, 3))
    kms.rotate("root")
    kms.close()
    kms = FileKms(tmp_path / "kms")
    kms.open()
    with pytest.raises(Exception, match="HYG-132"):
        kms.unseal(Passphrase(PASSPHRASE))
    kms.unseal(Shares(shares[1:]))
    assert kms.environment_key(TENANT, ENVIRONMENT, "pack") == pack
    kms.close()


def test_a_wrap_has_the_bytes_of_its_format(tmp_path: Path) -> None:
    """docs/formats/kms.md, "Wrap", read by hand."""
    kms = furnished(tmp_path / "kms")
    epoch, (wrap,) = kms.wrap(TENANT, ENVIRONMENT, [(b"compartment", b"k" * 32)])
    key = kms._open().environment(TENANT, ENVIRONMENT).current.key
    aad = canonical("hygie kms wrap v1", TENANT, ENVIRONMENT, epoch, b"compartment")
    assert (len(wrap), wrap[0]) == (61, 1)
    assert AESGCM(key).decrypt(wrap[1:13], wrap[13:], aad) == b"k" * 32
    kms.close()


# --- where the passphrase comes from


def test_a_passphrase_is_read_without_its_last_newline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    settings = default_settings()
    settings = msgspec.structs.replace(settings, kms=msgspec.structs.replace(settings.kms, credential="secret"))
    for raw in (b"phrase", b"phrase\n", b"phrase\r\n", b"phrase\n\n"):
        path.write_bytes(raw)
        path.chmod(0o600)
        assert read_credential(settings, DataFolder.at(tmp_path)) == "phrase"  # what init and up read is the same
        assert SecretSource(file=path).read() == Passphrase("phrase")
        reader, writer = os.pipe()
        os.write(writer, raw)
        os.close(writer)
        assert SecretSource(fd=reader).read() == Passphrase("phrase")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert SecretSource(credential="secret").read() == Passphrase("phrase")
    assert SecretSource().read() is None


def test_a_bad_source_is_a_setting_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    path = tmp_path / "secret"
    sources = [SecretSource(file=path), SecretSource(credential="secret")]
    for raw in (b"", b"\n", b"\xff\xfe", b"one\ntwo", b"x" * 1025):
        path.write_bytes(raw)
        path.chmod(0o600)
        for source in sources:
            with pytest.raises(SettingsError, match="HYG-607"):
                source.read()
    path.write_bytes(b"phrase")
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="HYG-605"):
        sources[0].read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "sub"))
    for name in ("../secret", "", "..", "absent"):
        with pytest.raises(SettingsError, match="HYG-607"):
            SecretSource(credential=name).read()
