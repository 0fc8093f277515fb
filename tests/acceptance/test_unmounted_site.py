"""An unmounted disk leaves an empty folder: it is a site or a target away, never a new one, until somebody says so."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import Installation

PATIENT = {"resourceType": "Patient", "name": [{"family": "Montage"}]}
AWAY = "lyon"


def packs(site: Path) -> set[str]:
    return {path.name for path in site.rglob("*.pack")}


def test_an_empty_mount_point_is_a_site_away(installation: Installation) -> None:
    sites = installation.data / "sites"
    mount, disk = sites / AWAY, installation.data.parent / "disk"
    assert installation.fhir("POST", "Patient", PATIENT).status == 201
    installation.wait_for(lambda: len(packs(mount)) == 1)
    installation.down()
    mount.rename(disk)  # as umount shows it
    mount.mkdir(mode=0o700)
    installation.up()
    # two sites serve; the third is named, and nothing is written where it should be
    assert installation.fhir("POST", "Patient", PATIENT).status == 201
    assert list(installation.hygie("scrub")["unreachable"]) == [AWAY]
    placement = next(one for one in checks(installation) if one["id"] == "tech-7.placement")
    assert placement["verdict"] == "unsatisfied"
    assert AWAY in str(placement)
    assert list(mount.iterdir()) == []
    # the disk is back: it catches up by itself
    mount.rmdir()
    disk.rename(mount)
    installation.wait_for(lambda: len(packs(mount)) == 2)
    # a new disk for a site becomes one by an explicit act, which takes no folder that holds something
    refused = installation.hygie("init", "--site", AWAY, exit_code=60)
    assert refused["error"]["code"] == "HYG-641"
    mount.rename(disk)
    mount.mkdir(mode=0o700)
    marked = installation.hygie("init", "--site", AWAY)
    assert (marked["site"], marked["folder"]) == (AWAY, str(mount))
    installation.wait_for(lambda: packs(mount) == packs(sites / "paris"))


def test_an_empty_mount_point_is_a_backup_target_away(installation: Installation) -> None:
    target, disk = installation.data / "backup", installation.data.parent / "target-disk"
    installation.hygie("backup", "run")
    target.rename(disk)  # as umount shows it
    target.mkdir(mode=0o700)
    refused = installation.hygie("backup", "run", exit_code=40)
    assert refused["error"]["code"] == "HYG-480"
    assert list(target.iterdir()) == []
    # the disk is back
    target.rmdir()
    disk.rename(target)
    installation.hygie("backup", "run")
    # another target is one by an explicit act, which takes no folder that holds something
    refused = installation.hygie("init", "--backup-target", exit_code=60)
    assert refused["error"]["code"] == "HYG-641"
    target.rename(disk)
    target.mkdir(mode=0o700)
    assert installation.hygie("init", "--backup-target")["folder"] == str(target)
    refused = installation.hygie("backup", "run", exit_code=50)
    assert refused["error"]["code"] == "HYG-581"  # taken, and said: it shows less than was recorded
    installation.hygie("backup", "run")


def checks(installation: Installation) -> list[dict[str, str]]:
    """The verdicts of ``hygie status``."""
    found: list[dict[str, str]] = [one for each in installation.hygie("status") for one in each["checks"]]
    return found
