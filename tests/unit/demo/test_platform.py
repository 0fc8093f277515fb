"""The demonstration works in a folder of its own, and puts back what an interrupted one left away."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import msgspec
import pytest

from hygie.base.settings import write_settings
from hygie.demo.errors import DemoFolderError
from hygie.demo.platform import MARKER_NAME, Platform, away_of, free_port


def test_a_new_folder_gets_settings_sites_and_a_private_credential(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data")
    assert platform.prepare(9443)
    assert platform.settings.host.port == 9443
    assert all((tmp_path / "data" / site.path).is_dir() for site in platform.settings.sites)
    credential = tmp_path / "data" / "kms.credential"
    assert stat.S_IMODE(credential.stat().st_mode) == 0o600
    secret = credential.read_bytes()
    assert not platform.prepare(None)
    assert (platform.settings.host.port, credential.read_bytes()) == (9443, secret)
    platform.prepare(9444)
    assert platform.settings.host.port == 9444


@pytest.mark.parametrize("name", ["somebody.txt", "hygie.toml"])
def test_a_folder_of_somebody_else_is_refused_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(DemoFolderError):
        Platform(tmp_path).prepare(None)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_turned_to_production_is_refused(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data")
    platform.prepare(9443)
    credential = tmp_path / "elsewhere"
    credential.touch(mode=0o600)
    credential.write_text("correct horse battery staple, and more words")
    kms = msgspec.structs.replace(platform.settings.kms, credential=str(credential))
    write_settings(platform.folder.path, msgspec.structs.replace(platform.settings, production=True, kms=kms))
    with pytest.raises(DemoFolderError):
        platform.prepare(None)


def test_a_folder_that_was_only_begun_is_finished(tmp_path: Path) -> None:
    (tmp_path / MARKER_NAME).write_text("{}")
    assert Platform(tmp_path).prepare(9443)


def test_a_site_left_away_is_brought_back(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.prepare(9443)
    path = tmp_path / platform.settings.sites[1].path
    (path / "kept").touch()
    path.rename(away_of(path))
    platform.prepare(None)
    assert (path / "kept").exists()
    assert not away_of(path).exists()


def test_the_first_free_port_is_taken() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        port = busy.getsockname()[1]
        assert free_port(port) != port
