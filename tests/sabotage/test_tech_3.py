"""tech-3: entries that wait, a false or absent head, altered bundles and rows, one's own witness, a free clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import default_settings, load_settings
from hygie.probes.journal import where_is
from hygie.probes.machine import kernel_clock, probe_clock
from hygie.proof.checks import tech_3
from hygie.proof.facts import ClockFacts, LogFacts, LogsFacts, RightsFacts, UnwrapFacts, WitnessFacts
from hygie.proof.model import Context
from tests.sabotage.conftest import Broken

CONTEXT = Context(default_settings(), now_ms=1)


@contextmanager
def changed(paths: list[Path], change: bytes | int) -> Iterator[None]:
    """Files with other bytes, or with their last byte flipped; mended at the end."""
    held = {path: path.read_bytes() for path in paths}
    assert held
    try:
        for path, data in held.items():
            path.write_bytes(change if isinstance(change, bytes) else data[:-1] + bytes((data[-1] ^ change,)))
        yield
    finally:
        for path, data in held.items():
            path.write_bytes(data)


def checkpoint_of(broken: Broken, site: str) -> Path:
    return broken.made.data / "sites" / site / "journal" / "checkpoint"


def test_a_journal_that_is_not_sealed_is_red(broken: Broken) -> None:
    broken.green("tech-3.fresh")
    with broken.frozen("work"):
        broken.red("tech-3.fresh", "no trace")
    broken.green("tech-3.fresh")


def test_a_site_without_checkpoint_is_red(broken: Broken) -> None:
    broken.green("tech-3.published", within_s=90)
    with broken.frozen("work"):
        checkpoint = checkpoint_of(broken, "lyon")
        held = checkpoint.read_bytes()
        checkpoint.unlink()
        try:
            broken.red("tech-3.published", "lyon")
        finally:
            checkpoint.write_bytes(held)
            checkpoint.chmod(0o600)


def test_a_forged_checkpoint_is_red(broken: Broken) -> None:
    """A head with a larger size that nobody signed must not pass for one that is ahead."""
    with broken.frozen("work"):
        broken.green("tech-3.published")
        path = checkpoint_of(broken, "paris")
        lines = path.read_bytes().split(b"\n")
        lines[1] = b"%d" % (int(lines[1]) + 1000)
        with changed([path], b"\n".join(lines)):
            broken.red("tech-3.published", "false journal head on paris")
        broken.green("tech-3.published")


def test_an_altered_bundle_is_red(broken: Broken) -> None:
    broken.green("tech-3.history")
    with broken.frozen("work"):
        found = [path for path in (broken.made.data / "sites").glob("*/journal/tile/entries/**/*") if path.is_file()]
        with changed(found, 1):
            broken.red("tech-3.history", "HYG-5")
        broken.green("tech-3.history")


def test_bytes_that_are_no_entry_are_red(broken: Broken) -> None:
    broken.compare()
    broken.green("tech-3.foreign")
    broken.sql("INSERT INTO hygie.journal_pending (leaf) VALUES (repeat('x', 200)::bytea)")
    broken.compare()  # waits until it is published
    broken.red("tech-3.foreign", "no entry")
    fact = RightsFacts(1, (), 1, complete=True, wrong=(), foreign=1, foreign_at=7, foreign_ms=1)
    assert tech_3.foreign(fact, CONTEXT).verdict.value == "unsatisfied"
    much_later = Context(default_settings(), now_ms=1 + 36 * 86_400_000)
    assert tech_3.foreign(fact, much_later).verdict.value == "satisfied"
    never = RightsFacts(1, (), None, complete=False, wrong=())
    assert tech_3.foreign(never, CONTEXT).verdict.value == "unknown"


def test_an_altered_row_is_red(broken: Broken) -> None:
    folder = DataFolder.at(broken.made.data)
    with broken.frozen("work"), psycopg.connect(dsns_of(load_settings(folder.path), folder).owner) as owner:
        owner.execute("CREATE TABLE hygie.held AS SELECT * FROM hygie.journal_entry WHERE index = 1")
        owner.execute("DELETE FROM hygie.journal_entry WHERE index = 1")
        owner.commit()
        try:
            broken.red("tech-3.history", "HYG-5")
        finally:
            owner.execute("INSERT INTO hygie.journal_entry SELECT * FROM hygie.held")
            owner.execute("DROP TABLE hygie.held")
            owner.commit()
        broken.green("tech-3.history")


def test_a_witness_of_ones_own_is_red(broken: Broken) -> None:
    broken.red("tech-3.witness", "no independence")
    for fact, verdict in (
        (WitnessFacts("elsewhere", 10, 10, agrees=True), "unknown"),  # who runs it is not seen from here
        (WitnessFacts("elsewhere", 10, 9, agrees=True), "unsatisfied"),
        (WitnessFacts("elsewhere", 10, 10, agrees=False), "unsatisfied"),
        (WitnessFacts("none", 10, None, agrees=False), "unsatisfied"),
    ):
        assert tech_3.witness(fact, CONTEXT).verdict.value == verdict
    with broken.frozen("witness"):
        assert broken.verdict("tech-3.witness") == "unknown"


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("/run/hygie/witness.sock", "here"),
        ("127.0.0.1:9000", "here"),
        ("http://localhost:9000", "here"),
        ("[::1]:9000", "here"),
        ("https://localhost", "here"),
        ("https://192.0.2.7/w1", "elsewhere"),
        ("192.0.2.7:9000", "elsewhere"),  # RFC 5737: nobody's
    ],
)
def test_a_witness_at_an_address_of_this_machine_is_here(address: str, where: str) -> None:
    assert where_is(address) == where


def test_a_key_record_that_is_cut_is_red(broken: Broken) -> None:
    record = broken.made.data / "kms" / "unwraps.log"
    broken.compare()
    broken.green("tech-3.unwraps")
    with broken.frozen("work"):
        with changed([record], record.read_bytes().rpartition(b'{"')[0]):
            broken.red("tech-3.unwraps", "cut or altered")
        broken.green("tech-3.unwraps")
        facts = {"lines": 0, "head": "00" * 32, "cut": 1, "cut_at_ms": 1_764_000_000_000}
        broken.measured("unwraps", passed=False, facts=facts)
        broken.red("tech-3.unwraps", "since 2025-11-24T16:00")
    broken.compare()
    broken.green("tech-3.unwraps")
    never = UnwrapFacts(3, None, None, follows=False, cut=0, cut_at_ms=None)
    assert tech_3.unwraps(never, CONTEXT).verdict.value == "unknown"


def test_logs_that_went_back_are_red(broken: Broken) -> None:
    broken.evaluated()
    with broken.frozen("work"):
        with broken.yesterday():
            broken.red("tech-3.logs", "evaluations")  # at once: less than what was published
            broken.compare_logs()
            broken.sql("DELETE FROM hygie.proof_object WHERE log = 'batches'")
            broken.red("tech-3.logs", "belies the evaluations")  # by the journal alone
        broken.compare_logs()
        altered = "UPDATE hygie_proof.batch SET digest = set_byte(digest, 0, get_byte(digest, 0) # 1) WHERE seq = 1"
        broken.sql(altered)
        broken.compare_logs()
        broken.red("tech-3.logs", "≠ 1")
        broken.sql(altered)
        broken.compare_logs()
    broken.green("tech-3.logs", within_s=90)  # what the database forgot of its publication is read from the sites
    never = LogsFacts((), None)
    assert tech_3.logs(never, CONTEXT).verdict.value == "unknown"
    waiting = LogsFacts((LogFacts("records", 3, 3, 2, 61_000, 0, ""),), 1)
    assert tech_3.logs(waiting, CONTEXT).verdict.value == "unsatisfied"
    with broken.frozen("work"):
        broken.sql("INSERT INTO hygie_proof.hole VALUES ('records', 900, 901, decode(repeat('00', 32), 'hex'))")
        try:
            verdict = broken.verdict("tech-3.logs")
        finally:
            broken.sql("DELETE FROM hygie_proof.hole")
        assert verdict == "unknown"  # what a rebuild declared lost is not proof that nothing lacks


@pytest.mark.parametrize(
    ("status", "max_error_us", "verdict"),
    [
        (0x2001, 5_000, "satisfied"),  # STA_PLL, STA_NANO: what a disciplined clock shows
        (0x2001, 16_000_000, "unsatisfied"),
        (0x2041, 16_000_000, "unknown"),  # STA_UNSYNC: some machines are kept right by what their kernel does not see
    ],
)
def test_a_free_running_clock_is_red(status: int, max_error_us: int, verdict: str) -> None:
    """The machine's clock cannot be let loose for a test: the probe reads a kernel that lies."""
    assert tech_3.clock(probe_clock(lambda: (status, max_error_us)), CONTEXT).verdict.value == verdict
    assert tech_3.clock(ClockFacts("no", 5.0), CONTEXT).verdict.value == "unsatisfied"


def test_the_machine_s_own_clock_is_judged_by_what_its_kernel_says() -> None:
    status, max_error_us = kernel_clock()
    expected = "satisfied" if max_error_us <= 1_000_000 else "unsatisfied"
    assert tech_3.clock(probe_clock(), CONTEXT).verdict.value == ("unknown" if status & 0x40 else expected)
