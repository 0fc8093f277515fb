"""``hygie kms --allow-uid``: another user of the system hosts, and administers only in the group named for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hygie.keys.file_kms import FileKms
from hygie.keys.sealing import Passphrase
from tests.acceptance.conftest import new_installation

HOST, STRANGER, CUSTODY = 64_901, 64_902, 64_903
ASK = """
import asyncio, os, sys
from pathlib import Path
from hygie.base.errors import HygieError
from hygie.keys.client import KmsClient
uid, groups = int(sys.argv[2]), [int(word) for word in sys.argv[3:]]
os.setgroups(groups); os.setgid(uid or 0); os.setuid(uid)
TENANT, PLACE, KEY = bytes(16), bytes(15) + b"1", bytes(32)
async def main():
    kms = KmsClient(Path(sys.argv[1]), timeout_s=5)
    async def both():
        await kms.create_tenant(TENANT)
        await kms.create_environment(TENANT, PLACE)
        epoch, (wrap,) = await kms.wrap(TENANT, PLACE, [(b"p" * 16, KEY)])
        asked = dict(permit_id=bytes(16), reason="test")
        assert await kms.unwrap(TENANT, PLACE, [(b"p" * 16, epoch, wrap)], **asked) == [KEY]
    acts = (both, lambda: kms.sign("erasure", b"x"), lambda: kms.rotate("root"), kms.export_state,
            lambda: kms.destroy_epoch(TENANT, PLACE, 9, live_compartments=0), lambda: kms.unseal(passphrase="x"),
            lambda: kms.unwrap_record(-1, 1))
    for act in acts:
        try:
            await act()
            print("done")
        except HygieError as error:
            print(error.code)
    await kms.close()
asyncio.run(main())
"""
HOSTS = ["done", *["HYG-231"] * 6]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as other users")


@contextmanager
def keys_for(*words: str) -> Iterator[Path]:
    """``hygie kms`` with these options, its socket in a folder that others may pass."""
    folder = Path(tempfile.mkdtemp(prefix="hygie-a-"))
    made = new_installation(folder)
    FileKms.create(made.data / "kms", Passphrase((folder / "credential").read_text()), scrypt_n=2**10)
    socket = folder / "run" / "kms.sock"
    socket.parent.mkdir()
    for path in (folder, socket.parent):
        path.chmod(0o711)
    settings = made.data / "hygie.toml"
    settings.write_text(re.sub(r"(?m)^\[kms\]\n", f'[kms]\nsocket = "{socket}"\n', settings.read_text()))
    told, tells = os.pipe()
    command = [sys.executable, "-m", "hygie", "--data", str(made.data), "kms", "--ready-fd", str(tells), *words]
    process = subprocess.Popen(command, pass_fds=(tells,), stderr=subprocess.DEVNULL)
    os.close(tells)
    try:
        assert os.read(told, 1) == b"\n"
        yield socket
    finally:
        os.close(told)
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def asked(socket: Path, uid: int, *groups: int) -> list[str]:
    """What a process of this user and these groups gets for hosting, then for six acts of administration."""
    command = [sys.executable, "-c", ASK, str(socket), str(uid), *map(str, groups)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


def test_an_allowed_user_hosts_and_only_the_named_group_administers() -> None:
    with keys_for("--allow-uid", str(HOST), "--admin-gid", str(CUSTODY)) as socket:
        assert asked(socket, HOST) == HOSTS
        assert asked(socket, HOST, 4, 24) == HOSTS
        # of the group: everything is heard; an epoch that never was is unknown, not refused
        assert asked(socket, HOST, CUSTODY) == ["done", "done", "done", "done", "HYG-330", "done", "done"]
        assert asked(socket, 0) == asked(socket, HOST, CUSTODY)
        # a stranger, even of the group: closed at once, the refusal may not be read in time
        for groups in ((), (CUSTODY,)):
            assert set(asked(socket, STRANGER, *groups)) <= {"HYG-231", "HYG-430"}


def test_without_the_options_no_other_user_reaches_the_keys() -> None:
    with keys_for() as socket:
        assert set(asked(socket, HOST, CUSTODY)) == {"HYG-430"}
        assert socket.stat().st_mode & 0o077 == 0
