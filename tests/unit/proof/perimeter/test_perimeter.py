"""What applies to a host, what may go to production, what runs beside what was declared; from real registers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hygie.base.layout import DataFolder
from hygie.base.settings import default_settings
from hygie.database.cluster import Dsns
from hygie.probes import stores
from hygie.probes.stores import declared_stores, marked_folders, mounted, own_folders
from hygie.proof.certification.scoping import Held
from hygie.proof.facts import StoreFacts
from hygie.proof.perimeter.applicability import applicability_of
from hygie.proof.perimeter.services import production_blockers_of, services_on
from hygie.proof.perimeter.stores import side_by_side
from hygie.proof.referentials.shipped import shipped
from tests.unit.proof.host import TODAY, World, change, day, standing

HDS = shipped("hds@2.0")


@pytest.fixture
def world(database: Dsns) -> Iterator[World]:
    with standing(database) as made:
        yield made


def out_of_scope(world: World, tenants: tuple[str, ...] = ("chu",)) -> dict[str, str]:
    """The nodes that do not apply, and why."""
    found = applicability_of(world.of, HDS, tenants=tenants, today=TODAY)
    return {name.partition("#EXI-")[2]: why.en for name, (applies, why) in found.items() if not applies}


def test_an_empty_perimeter_takes_nothing_out(database: Dsns) -> None:
    with standing(database, list) as empty:
        assert applicability_of(empty.of, HDS, tenants=("chu",), today=TODAY) == {}


def test_only_what_is_known_to_be_absent_does_not_apply(world: World) -> None:
    found = out_of_scope(world)
    assert {name.partition(".")[0] for name in found} == {"29", "30"}
    assert found["29.1"] == "no remote access from outside the EEA is declared"
    assert "15.1" not in found  # no client has said whether it has resources of its own
    world.amend("supplier", "DC", outside_eea=True, outside_countries=["US"], outside_basis=["clauses"])
    assert {name.partition(".")[0] for name in out_of_scope(world)} == {"30"}
    world.amend("supplier", "DC", foreign_law=True, foreign_law_details="CLOUD Act", residual_risk="faible")
    assert out_of_scope(world) == {}


def test_a_host_alone_has_no_sub_contractor_and_a_gap_in_the_register_is_its_own(world: World) -> None:
    alone = {f"actor_{number}": "HOST" for number in range(1, 7)}
    world.amend("service", "SVC", suppliers=None, **alone)
    assert "06" not in out_of_scope(world)  # the processor is still agreed
    world.amend("supplier", "DC", "ended", starts_on=day(-100), ends_on=day(-1))
    for site in ("paris", "lyon", "lille"):
        world.amend("site", f"SIT-{site}", supplier=None)
    found = out_of_scope(world)
    assert found["06"] == "no subcontracting is declared"
    assert "no certified sub-contractor is declared" in found.values()
    assert "17" not in found
    world.amend("service", "SVC", **dict.fromkeys(alone))  # nobody is named: the host's own
    assert out_of_scope(world) == found
    world.amend("supplier", "HOST", "ended", starts_on=day(-100), ends_on=day(-1))  # who the host is, nobody says
    assert out_of_scope(world) == {}


def test_a_client_may_bring_a_requirement_back(world: World) -> None:
    answers = {"for_others": True, "activities": [5], "client_specific_resources": False}
    world.write(change("scoping", "S-1", **answers))
    assert out_of_scope(world)["15.1"] == "every resource is shared"
    assert "15.1" not in out_of_scope(world, ("chu", "clinic"))  # the other client has not answered
    world.write(change("scoping", "S-2", tenant="clinic", **(answers | {"foreign_law": True})))
    assert {name.partition(".")[0] for name in out_of_scope(world, ("chu", "clinic"))} == {"15", "29"}


def test_a_service_shows_who_certifies_each_layer_until_when(world: World) -> None:
    (row,) = services_on(world.of, TODAY)
    assert row.covered
    assert [(one.activity, one.actor, one.certificate, one.until) for one in row.layers][:2] == [
        (1, "DC", "HDS-dc", date(2029, 1, 14)), (2, "DC", "HDS-dc", date(2029, 1, 14))
    ]  # fmt: skip
    assert {held for _, held in row.roles} == {Held.WHOLE}
    (later,) = services_on(world.of, date(2029, 1, 15))
    assert not later.covered
    assert "expired at the end of 2029-01-14" in later.reasons[0].en


def test_production_needs_an_open_service_that_names_it_and_is_covered(world: World) -> None:
    assert production_blockers_of(world.of, "chu", "prod", TODAY) == []
    assert "names chu/other" in production_blockers_of(world.of, "chu", "other", TODAY)[0].en
    assert len(production_blockers_of(world.of, "clinic", "prod", TODAY)) == 1
    world.amend("service", "SVC", environments=None)
    assert production_blockers_of(world.of, "chu", "other", TODAY) == []  # the whole client is served
    world.amend("certificate", "ISO-host", "suspended", state_on=day(-1), state_reason="essai")
    reasons = production_blockers_of(world.of, "chu", "prod", TODAY)
    assert [one.fr.split(" : ")[0] for one in reasons] == [f"service SVC, activité {number}" for number in (3, 4, 5, 6)]
    world.amend("service", "SVC", "suspended")
    assert "aucun service" in production_blockers_of(world.of, "chu", "prod", TODAY)[0].fr


def test_what_runs_stands_beside_what_is_declared(world: World) -> None:
    world.write(
        change("asset", "AST-1", "in-service", name="Sauvegarde", health_data=True, source="backup", site="SIT-rennes",
               key_id="k", review_on=day(9)),
        change("asset", "AST-2", "in-service", name="Vieux", health_data=True, identifier="folder:/srv/old",
               site="SIT-paris", key_id="k", review_on=day(9)),
        change("site", "SIT-rennes", "active", name="Rennes", kind="backup", health_data=True, country="FR",
               city="Rennes", operator="Copies", platform_site=None, activities=[6], review_on=day(200)),
        change("asset", "AST-3", "in-service", name="Paquets", health_data=True, source="site:paris", site="SIT-paris",
               key_id="k", review_on=day(9)),
    )  # fmt: skip
    seen = [StoreFacts("site:paris", "site", "/srv", True), StoreFacts("backup", "backup", "/b", True),
            StoreFacts("kms", "kms", "/k", True), StoreFacts("port:8443", "port", "", False)]  # fmt: skip
    beside = side_by_side(world.of, seen)
    rows = {one.name or one.declared: one for one in beside}
    assert [one.declared for one in beside if one.name == "site:paris"] == ["asset AST-3", "site SIT-paris"]
    assert [one.declared for one in beside if one.name == "backup"] == ["asset AST-1", "site SIT-rennes"]
    assert [name for name, one in rows.items() if one.unlisted] == ["kms"]
    assert [name for name, one in rows.items() if one.unconnected] == [
        "folder:/srv/old", "site:lille", "site:lyon"
    ]  # fmt: skip


def test_two_assets_on_one_store_are_both_connected(world: World) -> None:
    asset = {"health_data": True, "source": "kms", "site": "SIT-paris", "key_id": "k", "review_on": day(9)}
    world.write(*[change("asset", f"AST-{n}", "in-service", name=f"Bien {n}", **asset) for n in (1, 2)])
    rows = [one for one in side_by_side(world.of, [StoreFacts("kms", "kms", "/k", True)]) if one.name == "kms"]
    assert [one.declared for one in rows] == ["asset AST-1", "asset AST-2"]
    assert not any(one.unconnected or one.unlisted for one in rows)


def test_a_mount_that_hangs_keeps_one_look_and_no_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each turn of the working process would otherwise leave one more thread behind, until none is left for others."""
    house: Any = SimpleNamespace(settings=default_settings(), folder=DataFolder.at(tmp_path))
    hung, entered = threading.Event(), threading.Event()

    def hangs() -> list[Path]:
        entered.set()
        hung.wait(20)
        return []

    monkeypatch.setattr(stores, "_databases", lambda _house: [])
    monkeypatch.setattr(stores, "mounted", hangs)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stores.probe_stores, house)
        assert entered.wait(20)
        with pytest.raises(TimeoutError):
            stores.probe_stores(house)
        hung.set()
        assert first.result(20).whole
    assert stores.probe_stores(house).whole


def test_a_copy_that_nobody_listed_is_found_by_its_marks(tmp_path: Path) -> None:
    own = tmp_path / "hygie"
    for place in ("hygie/sites/paris", "srv/copies/old-site", "home/anne/essai/kms", "home/anne/notes", "srv/link"):
        (tmp_path / place).mkdir(parents=True)
    for mark in ("hygie/hygie.toml", "hygie/sites/paris/site.json", "srv/copies/old-site/site.json"):
        (tmp_path / mark).touch()
    (tmp_path / "home/anne/essai/hygie.toml").touch()
    (tmp_path / "home/anne/notes/hygie.toml").touch()  # settings without keys: a draft
    (tmp_path / "srv/link/again").symlink_to(tmp_path / "srv/copies")
    found = marked_folders([tmp_path], [own])
    assert [one.name for one in found.stores] == [
        f"folder:{tmp_path}/home/anne/essai", f"folder:{tmp_path}/srv/copies/old-site"
    ]  # fmt: skip
    assert (found.whole, found.closed) == (True, 0)


def test_the_scan_looks_into_each_mounted_file_system_once(tmp_path: Path) -> None:
    (tmp_path / "a disk").mkdir()
    table = tmp_path / "mounts"
    table.write_text(
        f"/dev/sda1 {tmp_path}/a\\040disk ext4 rw 0 0\n/dev/sda1 {tmp_path} ext4 rw 0 0\nproc /proc proc rw 0 0\n"
        f"tmpfs {tmp_path} tmpfs rw 0 0\nnas:/x /nowhere-here nfs rw 0 0\n"
    )
    assert mounted(table) == [tmp_path, tmp_path / "a disk"]


def test_the_stores_of_the_settings_are_known_by_name(tmp_path: Path) -> None:
    folder, settings = DataFolder.at(tmp_path), default_settings()
    assert [one.name for one in declared_stores(settings, folder) if one.health] == [
        "site:paris", "site:lyon", "site:lille", "backup", "kms"
    ]  # fmt: skip
    assert tmp_path / "sites" / "paris" in own_folders(settings, folder)
