"""Exports against real receivers: what is taken is there, and what is not taken is never believed to be."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hygie.base.errors import SettingsError
from hygie.base.layout import DataFolder
from hygie.base.soc import MetricsSettings, OcsfExport, SyslogExport, check_soc
from hygie.watch.channels import Wire
from hygie.watch.errors import ExportUnreachableError, ExportUntrustedError
from hygie.watch.events import JOURNAL, Event
from hygie.watch.outlets import hand_over
from tests.unit.watch.receivers import mute
from tests.unit.watch.soc_receiver import Collector, Papers, collecting, papers

ORIGIN = "hygie/0123456789abcdef"


def events(count: int, start: int = 0) -> list[Event]:
    fields = {"source": JOURNAL, "action": "object:read", "outcome": "done", "kind": "access", "account": "dr-martin"}
    return [Event(JOURNAL, number, 1_780_000_000_000 + number, fields) for number in range(start, start + count)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def soc(files: Papers) -> Iterator[Collector]:
    with collecting(files) as collector:
        yield collector


def export_of(soc: Collector, files: Papers, **changes: object) -> SyslogExport:
    one = SyslogExport(
        name="soc",
        host="localhost",
        port=soc.port,
        certificate=str(files.client),
        key=str(files.client_key),
        authority=str(files.authority),
    )
    return msgspec.structs.replace(one, **changes)


def send(export: SyslogExport | OcsfExport, count: int = 500, start: int = 0, seconds: float = 10.0) -> None:
    hand_over(export, DataFolder.at(Path("/nowhere")), events(count, start), ORIGIN, Wire(seconds))


def test_what_is_taken_is_there(soc: Collector, files: Papers) -> None:
    send(export_of(soc, files), 2_000)
    assert soc.indexes() == list(range(2_000))
    soc.how = "bare"  # its end without a word of TLS
    send(export_of(soc, files), 500, 2_000)
    assert soc.indexes() == list(range(2_500))


RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="16k" DefaultNetstreamDriver="gtls"
  DefaultNetstreamDriverCAFile="{files.authority}"
  DefaultNetstreamDriverCertFile="{files.server}" DefaultNetstreamDriverKeyFile="{files.server_key}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="kept") {{ action(type="omfile" file="{folder}/kept.log" template="raw") }}
input(type="imtcp" port="{port}" ruleset="kept")
"""


@pytest.mark.skipif(not any(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")), reason="no rsyslog with TLS here")
def test_rsyslog_takes_all_and_ends_after_us(files: Papers, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        soc = Collector(port=free.getsockname()[1])
    (tmp_path / "rsyslog.conf").write_text(RSYSLOG.format(folder=tmp_path, files=files, port=soc.port))
    words = ["/usr/sbin/rsyslogd", "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "pid")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as running:
        try:
            _eventually(lambda: send(export_of(soc, files), 1_000))
            send(export_of(soc, files), 1_000, 1_000)
            _eventually(lambda: _holds(soc, tmp_path / "kept.log", 2_000))
        finally:
            running.terminate()


def _eventually(act: Callable[[], object], seconds: float = 20.0) -> None:
    end_s = time.monotonic() + seconds
    while True:
        try:
            act()
        except (ExportUnreachableError, AssertionError, OSError):
            if time.monotonic() > end_s:
                raise
            time.sleep(0.1)
        else:
            return


def _holds(soc: Collector, path: Path, count: int) -> None:
    soc.came = path.read_bytes().splitlines()
    assert soc.indexes() == list(range(count))


def test_a_receiver_that_says_nothing_is_given_up(files: Papers) -> None:
    with mute() as port, pytest.raises(ExportUnreachableError, match="timeout"):
        send(export_of(Collector(port=port), files), seconds=0.5)


def test_a_slow_receiver_is_waited_for_and_a_slower_one_given_up(soc: Collector, files: Papers) -> None:
    soc.pause_s = 0.02
    send(export_of(soc, files), 500)
    assert soc.indexes() == list(range(500))
    soc.pause_s = 1.0
    began_s = time.monotonic()
    with pytest.raises(ExportUnreachableError, match="timeout"):
        send(export_of(soc, files), 2_000, 500, seconds=1.0)
    assert time.monotonic() - began_s < 4


@pytest.mark.parametrize("how", ["reset", "early"])
@pytest.mark.parametrize("count", [1, 2_000])
def test_who_ends_without_having_read_took_nothing(soc: Collector, files: Papers, how: str, count: int) -> None:
    soc.how = how
    with pytest.raises(ExportUnreachableError):
        send(export_of(soc, files), count)


def test_both_sides_prove_who_they_are(soc: Collector, files: Papers, tmp_path: Path) -> None:
    others = papers(tmp_path / "others")
    with pytest.raises(ExportUntrustedError):  # the collector's is of somebody else
        send(export_of(soc, files, authority=str(others.authority)))
    with pytest.raises(ExportUntrustedError):  # or of another name
        send(export_of(soc, files, host="127.0.0.1"))
    wrong = export_of(soc, files, certificate=str(others.client), key=str(others.client_key))
    for export in (wrong, export_of(soc, files, certificate=None, key=None)):
        with pytest.raises((ExportUntrustedError, ExportUnreachableError)):
            send(export)
    with pytest.raises(ExportUntrustedError, match="files"):
        send(export_of(soc, files, certificate=str(others.client)))
    assert soc.came == []


def test_lines_of_a_file_are_whole_and_it_turns(tmp_path: Path) -> None:
    path = tmp_path / "soc.jsonl"
    export = OcsfExport(name="file", path=str(path), mib=1, keep=2)
    send(export, 10)
    with path.open("ab") as file:
        file.write(b'{"cut short')
    send(export, 10, 10)
    sequences = [json.loads(line)["metadata"]["sequence"] for line in path.read_text().splitlines()]
    assert sequences == list(range(20))
    for number in range(6):
        send(export, 1_500, 20 + number * 1_500)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["soc.jsonl", "soc.jsonl.1", "soc.jsonl.2"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "soc.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportUnreachableError, match="OSError"):
        send(OcsfExport(name="file", path=str(tmp_path / "soc.jsonl")))
    assert not (tmp_path / "elsewhere").exists()


def test_weak_settings_do_not_start() -> None:
    bare = SyslogExport(name="soc", host="soc.example")
    clear = SyslogExport(name="soc", host="soc.example", tls="none", certificate="c", key="k")
    both = SyslogExport(name="soc", host="soc.example", certificate="c", key="k")
    here = MetricsSettings()
    check_soc([bare], here, production=False)
    check_soc([both], here, production=True)
    file = OcsfExport(name="soc", path="x")
    platform = OcsfExport(name="soc", path="x", tenant="chu", sources=("measurement",))
    half = SyslogExport(name="soc", host="soc.example", certificate="c")
    for wrong in ([bare], [clear], [half], [both, file], [platform], [file, OcsfExport(name="b", path="x")]):
        with pytest.raises(SettingsError):
            check_soc(wrong, here, production=True)
    for address in ("0.0.0.0", "192.0.2.1", "localhost"):
        with pytest.raises(SettingsError):
            check_soc([], MetricsSettings(address=address), production=False)
