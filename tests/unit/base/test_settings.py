"""Settings: read back equal, and a weak one refuses with its own code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.errors import SettingsError
from hygie.base.hardening import Swap
from hygie.base.layout import DataFolder
from hygie.base.passphrase import check_passphrase, passphrase_bits
from hygie.base.settings import (
    Settings,
    SiteSettings,
    TimestampSettings,
    default_settings,
    load_settings,
    write_settings,
)
from hygie.base.settings_checks import check_secret_file, check_swap


def changed(settings: Settings, **fields: Any) -> Settings:
    return msgspec.structs.replace(settings, **fields)


def site(name: str, country: str = "FR", path: str | None = None) -> SiteSettings:
    return SiteSettings(
        name=name,
        path=path or f"sites/{name}",
        country=country,
        city="Rennes",
        latitude=48.1,
        longitude=-1.7,
        operator="x",
    )


def refusal(folder: Path, settings: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        write_settings(folder, settings)
    assert not (folder / "hygie.toml").exists(), "nothing is written when refused"
    assert caught.value.exit_code == 60
    return caught.value.code


def test_settings_written_are_read_back_equal(tmp_path: Path) -> None:
    settings = default_settings(production=True, language="fr", port=9443)
    path = write_settings(tmp_path, settings)
    assert load_settings(tmp_path) == settings
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_connection_string_may_name_long_files(tmp_path: Path) -> None:
    settings = default_settings(production=False, language="fr", port=9443)
    folder = "/srv/" + "a-long-name/" * 40
    files = f"sslrootcert={folder}ca.pem sslcert={folder}me.pem sslkey={folder}me.key"
    dsn = f"host=db.example.org sslmode=verify-full {files}"
    settings = changed(settings, database=msgspec.structs.replace(settings.database, dsn=dsn))
    write_settings(tmp_path, settings)
    assert load_settings(tmp_path).database.dsn == dsn


def test_the_defaults_are_three_french_cities_and_a_quorum_of_two() -> None:
    settings = default_settings()
    assert [s.country for s in settings.sites] == ["FR"] * 3
    assert len({s.city for s in settings.sites}) == 3
    assert settings.quorum == 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sites": (site("a"),)}, "HYG-602"),
        ({"sites": ()}, "HYG-602"),
        ({"quorum": 1}, "HYG-603"),
        ({"quorum": 4}, "HYG-603"),
        ({"sites": (site("a"), site("b", "US"))}, "HYG-604"),
        ({"sites": (site("a"), site("b", "DE"))}, "HYG-604"),
        ({"allowed_countries": ("FR", "US")}, "HYG-604"),
        ({"sites": (site("a"), site("b", path="sites/a"))}, "HYG-609"),
        ({"sites": (site("a"), site("b", path="sites/a/inside"))}, "HYG-609"),
        ({"sites": (site("a"), site("b", path="backup"))}, "HYG-609"),
        ({"sites": (site("a"), site("a"))}, "HYG-607"),
        ({"timestamp": TimestampSettings(url="https://tsa.example")}, "HYG-607"),
        ({"timestamp": TimestampSettings(authority="root.pem")}, "HYG-607"),
        ({"timestamp": TimestampSettings(url="ftp://tsa.example", authority="root.pem")}, "HYG-607"),
        ({"timestamp": TimestampSettings(url="https://a", command=("b",), authority="c")}, "HYG-607"),
    ],
)
def test_a_weak_setting_is_refused(tmp_path: Path, fields: dict[str, Any], code: str) -> None:
    assert refusal(tmp_path, changed(default_settings(), **fields)) == code


def test_a_german_site_is_accepted_once_germany_is_allowed(tmp_path: Path) -> None:
    write_settings(
        tmp_path, changed(default_settings(), allowed_countries=("FR", "DE"), sites=(site("a"), site("b", "DE")))
    )


def test_two_sites_that_are_one_folder_through_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    both = (site("a", path="real"), site("b", path="link"))
    assert refusal(tmp_path, changed(default_settings(), sites=both)) == "HYG-609"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("quorum = 'two'", "quorum"),
        ("quorum = ", "Invalid value"),
        ("sites = []\nunheard_of = 1", "unheard_of"),
        ("sites = []\n[host]\nport = 70000", "port"),
        ("[[sites]]\nname = '../up'", "sites"),
        ("production = false", "sites"),
        ("\xff", ""),
    ],
)
def test_a_mistake_in_the_file_says_where(tmp_path: Path, text: str, word: str) -> None:
    path = write_settings(tmp_path, default_settings())
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert caught.value.code == "HYG-607"
    assert word in caught.value.sentence("en")


def test_absent_and_enormous_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HYG-607"):
        load_settings(tmp_path)
    path = write_settings(tmp_path, default_settings())
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(SettingsError, match="HYG-607"):
        load_settings(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o606])
def test_a_settings_or_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_settings(tmp_path, default_settings())
    path.chmod(mode)
    with pytest.raises(SettingsError, match="HYG-605"):
        load_settings(tmp_path)
    path.chmod(0o400)
    load_settings(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_file_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    os.chown(path, 12345, 12345)
    with pytest.raises(SettingsError, match="HYG-605"):
        check_secret_file(path)


def test_swap_in_clear_and_swap_nobody_sees_are_refused() -> None:
    check_swap(Swap(safe="yes"))
    with pytest.raises(SettingsError, match=r"HYG-606.*/dev/sda2"):
        check_swap(Swap(safe="no", exposed=("/dev/sda2",)))
    with pytest.raises(SettingsError, match="HYG-606"):
        check_swap(Swap(safe="unknown"))


@pytest.mark.parametrize(
    "weak",
    [
        "",
        "hygie",
        "motdepasse",
        "Azerty123!",
        "a" * 200,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "passwordpasswordpasswordpassword",
        "1234567890123456789012345678901234567890",
        "MotDePasse2026!MotDePasse2026!",
        "abababababababababababababababab",
        "acegikmoqsuwybdfhjlnprtvxz",
        "motdepasse8429173650274918",
    ],
)
def test_a_weak_passphrase_is_refused_and_not_repeated(weak: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_passphrase(weak)
    assert caught.value.code == "HYG-601"
    assert not weak or weak not in str(caught.value)


@pytest.mark.parametrize(
    "strong", ["girafe lampion cuivre orage tiroir semelle", "x7#Kq2!vR9@mT4$wZ8&b", "é" + "kz8Rw2Lp9VtQx4Nm"]
)
def test_a_strong_passphrase_is_accepted(strong: str) -> None:
    check_passphrase(strong)


@given(st.text(max_size=40), st.text(max_size=3))
def test_the_estimate_never_fails_and_repeating_never_exceeds_three_times(text: str, more: str) -> None:
    assert passphrase_bits(text * 50) <= 3 * len(set(text.lower()) | {"a"}) * 7
    assert passphrase_bits(text + more) >= 0


def test_sockets_always_fit_and_long_folders_get_a_private_one_elsewhere(tmp_path: Path) -> None:
    short = DataFolder.at(Path("/srv/hygie"))
    assert short.run == Path("/srv/hygie/run")
    long = DataFolder.at(tmp_path / ("d" * 120))
    assert long.run != DataFolder.at(tmp_path / ("e" * 120)).run
    assert len(os.fsencode(long.socket(".s.PGSQL.5432"))) <= 100
    folder = long.create_run()
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert long.create_run() == folder
    finally:
        folder.rmdir()


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    long = DataFolder.at(tmp_path / ("f" * 120))
    (tmp_path / "elsewhere").mkdir()
    long.run.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(SettingsError, match="HYG-605"):
            long.create_run()
    finally:
        long.run.unlink()


def test_the_folders_of_the_house_are_private(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path / "d")
    folder.create()
    for each in (folder.path, folder.kms, folder.sites, folder.witness, folder.backup, folder.tls, folder.logs):
        assert each.stat().st_mode & 0o777 == 0o700
