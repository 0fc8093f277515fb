"""Timestamps are believed for these bytes, from this root, then valid, and nothing else."""

from __future__ import annotations

import random
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from hygie.journal.errors import TimestampInvalidError, TimestampUnavailableError
from hygie.journal.stamps import (
    FORMAT,
    Authority,
    Stamp,
    check_stamp,
    keep_stamp,
    last_stamp,
    new_stamp,
    stamps_from,
)
from hygie.verify.errors import DossierTamperedError
from hygie.verify.timestamp import _check_chain, check_timestamp
from tests.unit.journal.authority import TestAuthority, new_authority

NOTE = b"hygie/test\n12\nAAAA\n\nsigned\n"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the authority")


@pytest.fixture(scope="module", params=["rsa", "curve"])
def authority(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return new_authority(tmp_path_factory.mktemp("tsa") / "authority", curve=request.param == "curve")


def asked(authority: TestAuthority) -> Authority:
    return Authority(None, authority.command, authority.root.read_bytes())


def refused(answer: bytes, note: bytes, roots: bytes) -> object:
    with pytest.raises(DossierTamperedError) as caught:
        check_timestamp(answer, note, roots)
    return caught.value.facts["reason"]


def test_a_stamp_is_of_these_bytes_by_this_root(authority: TestAuthority, tmp_path: Path) -> None:
    answer, root = asked(authority).stamp(NOTE), authority.root.read_bytes()
    assert abs(check_timestamp(answer, NOTE, root) * 1000 - authority.now_ms()) < 60_000
    assert refused(answer, NOTE + b"!", root) == "imprint"
    assert refused(answer, NOTE, new_authority(tmp_path / "other").root.read_bytes()) == "chain"
    assert refused(answer[:-1], NOTE, root) == "format"
    assert refused(b"", NOTE, root) == "format"
    assert refused(answer, NOTE, b"no certificate") == "format"
    strange = answer.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"))  # certificates of version 10
    assert strange != answer
    assert refused(strange, NOTE, root) == "format"


def test_no_altered_byte_changes_what_it_says(authority: TestAuthority) -> None:
    """Some bytes of a CMS message are not signed: whatever they are, it says the same, or it is refused."""
    answer, root = asked(authority).stamp(NOTE), authority.root.read_bytes()
    true, draw, found = check_timestamp(answer, NOTE, root), random.Random(7), 0
    for _ in range(400):
        spoilt = bytearray(answer)
        spoilt[draw.randrange(len(spoilt))] ^= 1 << draw.randrange(8)
        try:
            assert check_timestamp(bytes(spoilt), NOTE, root) == true
        except DossierTamperedError:
            found += 1
    assert found > 300


def test_a_certificate_not_for_timestamping_or_out_of_date_is_refused(tmp_path: Path) -> None:
    made = new_authority(tmp_path / "tsa")
    root = x509.load_pem_x509_certificate(made.root.read_bytes())
    true = x509.load_pem_x509_certificate((made.folder / "tsa.pem").read_bytes())
    now = datetime.now(UTC)
    _check_chain(true, [true, root], [root], now)
    for uses in ("extendedKeyUsage=critical,timeStamping,codeSigning", "basicConstraints=critical,CA:FALSE"):
        (made.folder / "extensions").write_text(uses)
        line = "openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -set_serial 78 -days 9 -extfile extensions"
        subprocess.run([*line.split(), "-out", "t.pem"], check=True, capture_output=True, cwd=made.folder)
        other = x509.load_pem_x509_certificate((made.folder / "t.pem").read_bytes())
        with pytest.raises((DossierTamperedError, x509.ExtensionNotFound)):
            _check_chain(other, [other, root], [root], now)
    for at in (now - timedelta(days=1), now + timedelta(days=30)):
        with pytest.raises(DossierTamperedError):
            _check_chain(true, [true, root], [root], at)


def test_an_authority_that_is_away_or_another_one_is_told_apart(authority: TestAuthority, tmp_path: Path) -> None:
    root = authority.root.read_bytes()
    with pytest.raises(TimestampUnavailableError):
        Authority(None, (str(tmp_path / "absent"),), root).stamp(NOTE)
    with pytest.raises(TimestampUnavailableError):
        Authority("http://127.0.0.1:9/", None, root).stamp(NOTE)
    with pytest.raises(TimestampInvalidError):
        Authority(None, ("echo", "no answer"), root).stamp(NOTE)
    other = new_authority(tmp_path / "other")
    with pytest.raises(TimestampInvalidError):
        Authority(None, authority.command, other.root.read_bytes()).stamp(NOTE)


def test_stamps_are_kept_by_month_and_found_from_an_instant(authority: TestAuthority, tmp_path: Path) -> None:
    one = new_stamp(asked(authority), NOTE, 12, 1_795_000_000_000)  # 2026-11
    two = Stamp(FORMAT, 1_797_000_000_000, 13, NOTE, b"not a token", one.roots)  # 2026-12
    assert last_stamp(tmp_path / "none") is None
    assert list(stamps_from(tmp_path / "none", 0)) == []
    paths = [keep_stamp(tmp_path, stamp) for stamp in (two, one)]
    assert [path.parent.name for path in paths] == ["2026-12", "2026-11"]
    assert [stamp.size for stamp in stamps_from(tmp_path, 0)] == [12, 13]
    assert [stamp.size for stamp in stamps_from(tmp_path, one.at_ms + 1)] == [13]
    assert last_stamp(tmp_path) == two
    check_stamp(one)
    with pytest.raises(TimestampInvalidError):
        check_stamp(two)
    paths[1].write_bytes(b"{")
    assert [stamp.size for stamp in stamps_from(tmp_path, 0)] == [13]
