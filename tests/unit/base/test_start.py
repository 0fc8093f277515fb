"""What is checked of the machine and of the passphrase before a start."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hygie.base.errors import SettingsError
from hygie.base.hardening import Swap
from hygie.base.layout import DataFolder
from hygie.base.settings import HostSettings, KmsSettings, Settings, check_machine, default_settings, read_credential

STRONG = "girafe lampion cuivre orage tiroir semelle"
SAFE, CLEAR = Swap(safe="yes"), Swap(safe="no", exposed=("/dev/sda2",))


def with_credential(name: str, *, production: bool = True) -> Settings:
    return msgspec.structs.replace(default_settings(production=production), kms=KmsSettings(credential=name))


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_clear_swap_refuses_production_and_warns_a_laptop(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path)
    with pytest.raises(SettingsError, match="HYG-606"):
        check_machine(default_settings(production=True), folder, swap=CLEAR)
    warnings = check_machine(default_settings(), folder, swap=CLEAR)
    assert [warning.code for warning in warnings] == ["HYG-606"]
    assert check_machine(default_settings(production=True), folder, swap=SAFE) == []


@pytest.mark.parametrize("production", [True, False])
def test_an_exposed_or_absent_key_is_refused_even_on_a_laptop(tmp_path: Path, production: bool) -> None:
    folder = DataFolder.at(tmp_path)
    host = HostSettings(certificate="c.pem", key="k.pem")
    settings = msgspec.structs.replace(default_settings(production=production), host=host)
    with pytest.raises(SettingsError, match="HYG-605"):
        check_machine(settings, folder, swap=SAFE)
    private(tmp_path / "k.pem", "key")
    assert check_machine(settings, folder, swap=SAFE) == []
    (tmp_path / "k.pem").chmod(0o644)
    with pytest.raises(SettingsError, match="HYG-605"):
        check_machine(settings, folder, swap=SAFE)


def test_a_credential_is_one_private_line(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path)
    assert read_credential(default_settings(), folder) is None
    path = private(tmp_path / "key", STRONG + "\n")
    assert read_credential(with_credential("key"), folder) == STRONG
    assert read_credential(with_credential(str(path)), folder) == STRONG
    for text in ("", "\n", "one\ntwo", "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(SettingsError, match="HYG-607"):
            read_credential(with_credential("key", production=False), folder)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="HYG-605"):
        read_credential(with_credential("key"), folder)


def test_a_weak_credential_is_refused_in_production_only(tmp_path: Path) -> None:
    private(tmp_path / "key", "motdepasse")
    with pytest.raises(SettingsError, match="HYG-601") as caught:
        read_credential(with_credential("key"), DataFolder.at(tmp_path))
    assert "motdepasse" not in repr(caught.value)
    assert read_credential(with_credential("key", production=False), DataFolder.at(tmp_path)) == "motdepasse"


def test_a_credential_of_systemd_is_read_from_its_folder_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "root").write_text(STRONG)
    (tmp_path / "outside").write_text("x" * 40)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert read_credential(with_credential("systemd:root"), DataFolder.at(tmp_path)) == STRONG
    with pytest.raises(SettingsError, match="HYG-607"):
        read_credential(with_credential("systemd:../outside"), DataFolder.at(tmp_path))
