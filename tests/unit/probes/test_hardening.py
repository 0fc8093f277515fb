"""The look that root left: believed when root wrote it lately, for what this account cannot tell by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hygie.base.layout import DataFolder
from hygie.hardening.errors import LookInvalidError
from hygie.hardening.model import Seen
from hygie.hardening.points import points
from hygie.hardening.rows import MEASURED_MS_MAX
from hygie.probes.hardening import LOOK_BYTES_MAX, listening, look_here, read_look, save_look, with_root
from tests.unit.hardening.machine_root import good_machine, put

NOW_MS = 1_800_000_000_000


def test_what_root_saw_comes_back_but_for_the_network(tmp_path: Path) -> None:
    seen = look_here(None, DataFolder.at(tmp_path / "none"), root=good_machine(tmp_path / "root"))
    save_look(tmp_path / "look.json", seen, NOW_MS)
    back = read_look(tmp_path / "look.json", NOW_MS + MEASURED_MS_MAX)
    assert back == {name: seen[name] for name in back}
    assert {"empty-passwords", "address-layout"} <= set(back)
    assert {"listening", "tls-suites", "reverse-path"} & set(back) == set()
    assert set(seen) == set(points())


def test_it_fills_in_only_what_was_not_told() -> None:
    own = {"a": Seen("cannot_tell", ""), "b": Seen("kept", "1"), "c": Seen("cannot_tell", "")}
    root = {"a": Seen("not_kept", "0"), "b": Seen("not_kept", "0"), "z": Seen("kept", "")}
    assert with_root(own, root) == {"a": Seen("not_kept", "0"), "b": Seen("kept", "1"), "c": Seen("cannot_tell", "")}


def test_a_look_that_others_could_write_or_that_is_old_or_junk_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "look.json"
    save_look(path, {"uid-zero": Seen("kept", "none")}, NOW_MS)
    for at_ms in (NOW_MS + MEASURED_MS_MAX + 1, NOW_MS - MEASURED_MS_MAX - 1):
        with pytest.raises(LookInvalidError):
            read_look(path, at_ms)
    path.chmod(0o664)
    with pytest.raises(LookInvalidError):
        read_look(path, NOW_MS)
    path.chmod(0o644)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        read_look(tmp_path / "link", NOW_MS)
    if os.geteuid() == 0:
        os.chown(path, 65_534, -1)
        with pytest.raises(LookInvalidError):
            read_look(path, NOW_MS)
        os.chown(path, 0, -1)
    for junk in ("", "{}", "[]", json.dumps({"at_ms": NOW_MS, "points": {"a": ["green", ""]}}), "x" * LOOK_BYTES_MAX):
        path.write_text(junk)
        with pytest.raises(LookInvalidError):
            read_look(path, NOW_MS)


def test_ports_that_others_may_reach_are_told_by_number(tmp_path: Path) -> None:
    row = "   {n}: {address}:{port:04X} 00000000:0000 {state} 0:0 0:0 0 0 0 {n} 1\n"
    rows = [("0100007F", 5432, "0A"), ("00000000", 443, "0A"), ("0200000A", 22, "0A"), ("00000000", 9, "01")]
    lines = [row.format(n=n, address=one[0], port=one[1], state=one[2]) for n, one in enumerate(rows)]
    put(tmp_path, "net/tcp", "  sl  local_address\n" + "".join(lines))
    assert listening(tmp_path) == Seen("kept", "22, 443")
    assert listening(tmp_path / "none").state == "cannot_tell"
