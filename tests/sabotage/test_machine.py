"""tech-5 of the machine: a point that drifts, is not kept or not seen; a report that fails, is old, proves nothing."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hygie.app import open_house, opened
from hygie.hardening.model import MachineFacts
from hygie.hardening.points import points
from hygie.probes.hardening import run_machine
from tests.sabotage.conftest import Broken
from tests.unit.hardening.machine_root import good_machine, put, sysctl_path
from tests.unit.hardening.test_reports import xccdf

ASLR = sysctl_path("kernel.randomize_va_space")
WHY = "Seen with the team, noted here."


def measure(broken: Broken, root: Path) -> MachineFacts:
    """One turn of the measurement that the working process makes every hour, of a machine made of files."""

    async def main() -> MachineFacts:
        async with open_house(broken.made.data) as house, opened(house.dsns.sealer, size=1) as records:
            return await run_machine(house, records, root=root)

    return asyncio.run(main())


def shown(broken: Broken) -> list[dict[str, Any]]:
    """The points as the command shows them."""
    rows: list[dict[str, Any]] = broken.made.hygie("hardening", "show")["points"]
    return rows


def test_the_working_process_measures_the_machine_that_it_runs_on(broken: Broken) -> None:
    end = time.monotonic() + 90
    while "tls-suites" not in (states := {row["point"]: row["state"] for row in shown(broken)}):
        assert time.monotonic() < end, "never measured"
        time.sleep(1)
    assert set(states) == set(points())
    assert (states["tls-versions"], states["tls-suites"], states["listening"]) == ("kept", "kept", "kept")


def test_a_point_that_drifts_or_is_not_kept_is_red(broken: Broken, tmp_path: Path) -> None:
    root = good_machine(tmp_path / "root", broken.made.data.stat().st_dev)
    with broken.frozen("work"):  # it measures the real machine
        broken.sql("DELETE FROM hygie.measurement WHERE kind = 'machine'")
        assert broken.verdict("tech-5.machine") == "unknown"
        measure(broken, root)
        assert broken.verdict("tech-5.machine") == "unknown"  # hardened, and nobody said that it shall stay so
        broken.made.hygie("hardening", "baseline", "--reason", WHY)
        broken.green("tech-5.machine")
        put(root, ASLR, "1\n")
        first = measure(broken, root).drifts["address-layout"]
        broken.red("tech-5.machine", "Drift for")
        broken.sql(  # a baseline that accepts what is there, with the MAC of another one
            "INSERT INTO hygie.hardening_baseline (at_ms, who, reason, points, mac)"
            " SELECT 4000000000000, who, reason, points, mac FROM hygie.hardening_baseline"
        )
        broken.red("tech-5.machine", "Drift for")
        assert measure(broken, root).drifts == {"address-layout": first}  # its age goes on
        broken.made.hygie("hardening", "baseline", "--reason", WHY)
        broken.red("tech-5.machine", "not kept: address-layout")  # accepted as a change, still not kept
        broken.sql(  # an exception of an attacker's own
            "INSERT INTO hygie.hardening_waiver (point, from_ms, until_ms, who, reason, mac)"
            " VALUES ('address-layout', 1, 4000000000000, 'local:root', 'none', sha256(''))"
        )
        broken.red("tech-5.machine", "not kept: address-layout")
        end = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
        broken.made.hygie("hardening", "except", "address-layout", "--until", end, "--reason", WHY)
        broken.green("tech-5.machine")
        broken.red("tech-5.machine", "not kept: address-layout", ahead_days=4)  # an exception ends
        put(root, ASLR, "2\n")
        measure(broken, root)
        broken.red("tech-5.machine", "Drift for")  # the way back is a change too
        broken.made.hygie("hardening", "baseline", "--reason", WHY)
        broken.green("tech-5.machine")
        (root / "etc/shadow").unlink()
        measure(broken, root)
        assert broken.verdict("tech-5.machine") == "unknown"  # nobody saw it
        assert {row["point"] for row in shown(broken) if row["state"] != "kept"} == {"empty-passwords"}
    broken.made.hygie("hardening", "units", "--user", "hygie", "--into", str(tmp_path / "units"))
    assert f"ReadWritePaths={broken.made.data} " in (tmp_path / "units" / "hygie.service").read_text()


def test_a_report_that_fails_or_is_old_is_red(broken: Broken, tmp_path: Path) -> None:
    def taken(*results: str) -> None:
        file = tmp_path / "report.xml"
        file.write_bytes(xccdf(*results, end=datetime.now().astimezone().isoformat()))
        broken.made.hygie("hardening", "import", "openscap", str(file))

    assert broken.verdict("tech-5.reports") == "unknown"
    taken("pass", "notapplicable")
    broken.green("tech-5.reports")
    broken.red("tech-5.reports", "too old", ahead_days=32)
    taken("pass", "fail")
    broken.red("tech-5.reports", "openscap (fail 1")
    taken("notapplicable", "notapplicable")
    broken.red("tech-5.reports", "pass 0")
    broken.sql("UPDATE hygie.hardening_report SET passed = true WHERE NOT passed")
    broken.red("tech-5.reports", "too old", ahead_days=32)  # what was altered is not there: the one before counts
    taken("pass")
    broken.green("tech-5.reports")
