"""Taking a client's data out, or destroying them, without the right to; exports altered; what is left afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest

from hygie.app import House, dsns_of, open_house
from hygie.base.clock import SystemClock
from hygie.base.errors import HygieError, UnavailableError
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.cli.acts import operator_name
from hygie.custody import Custody, open_custody
from hygie.departure import Destruction, consent, destroy_unused, keep_exits
from hygie.exits.errors import ProductionKeptError
from hygie.exits.records import destructions, keep_certificate
from hygie.gate.administration import Administration
from hygie.gate.recorded import Environment
from hygie.keys.errors import KeyDestroyedError
from hygie.keys.file_kms import FileKms
from hygie.keys.in_process import InProcessKms
from hygie.keys.sealing import Passphrase
from hygie.keys.state import EXPORT_MAGIC, restore_state
from tests.attack.installation import Installation, attacked, entries, place

ORDER = ("--controller", "CHU", "--reference", "2026-31")
NAME = "Zephyrin-Quatorze"


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    """A client ``chu`` with patients, another one, officers of both."""
    with attacked() as one:
        one.hygie("tenant", "create", "other")
        one.hygie("environment", "create", "other", "prod", "--kind", "production")
        for account, tenant in (("dpo", "chu"), ("stranger", "other")):
            one.hygie("account", "create", account, "--kind", "person")
            words = ("--role", "privacy-officer", "--reason", "exit", "--approver", "chief")
            one.hygie("habilitation", "grant", account, tenant, "prod", *words)
        for number in range(4):
            body = {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": NAME}]}
            assert one.fhir("PUT", f"Patient/p{number}", body).status == 201
        yield one


@pytest.fixture(scope="module")
def own() -> Any:
    return pyrage.x25519.Identity.generate()


def export(
    made: Installation, to: Path, recipient: str, *, by: str = "dpo", approver: str = "chief", exit_code: int = 0
) -> Any:
    words = ("exit", "export", "chu", "--to", str(to), "--recipient", recipient)
    return made.hygie(*words, *ORDER, "--instructed-by", by, "--approver", approver, exit_code=exit_code)


def verify(made: Installation, folder: Path, identity: Any, *, exit_code: int = 0) -> Any:
    key = folder.parent / f"{folder.name}.key"
    key.write_text(f"{identity}\n")
    return made.hygie("exit", "verify", str(folder), "--identity", str(key), exit_code=exit_code)


@pytest.mark.parametrize("officer", ["app", "stranger", "nobody", "chief"])
def test_an_export_without_an_entitled_officer_is_refused_and_journaled(
    made: Installation, own: Any, tmp_path: Path, officer: str
) -> None:
    """An application's account (which holds the action), another client's officer, nobody at all."""
    error = export(made, tmp_path / "out", str(own.to_public()), by=officer, exit_code=20)["error"]
    assert error["code"] == "HYG-200"
    assert not (tmp_path / "out").exists()
    refused = [one for one in entries(made, outcome="refused") if one.detail.get("ordered_by") == officer]
    assert refused
    assert refused[-1].action.value == "object:export"


def test_a_revoked_officer_orders_nothing(made: Installation, own: Any, tmp_path: Path) -> None:
    made.hygie("account", "create", "former", "--kind", "person")
    words = ("--role", "privacy-officer", "--reason", "exit", "--approver", "chief")
    granted = made.hygie("habilitation", "grant", "former", "chu", "prod", *words)
    made.hygie("habilitation", "revoke", granted["habilitation"])
    error = export(made, tmp_path / "out", str(own.to_public()), by="former", exit_code=20)["error"]
    assert error["code"] == "HYG-200"


def test_who_asks_does_not_approve(made: Installation, own: Any, tmp_path: Path) -> None:
    me = operator_name().removeprefix("local:")
    error = export(made, tmp_path / "out", str(own.to_public()), approver=me, exit_code=20)["error"]
    assert error["code"] == "HYG-2E0"


@pytest.mark.parametrize("recipient", ["", "age1zzz", "AGE-SECRET-KEY-1QQ", "ssh-rsa AAAA", "everybody"])
def test_a_key_that_is_none_is_refused(made: Installation, tmp_path: Path, recipient: str) -> None:
    assert export(made, tmp_path / "out", recipient, exit_code=10)["error"]["code"] == "HYG-1E0"
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(made: Installation, own: Any, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("of somebody")
    assert export(made, tmp_path, str(own.to_public()), exit_code=10)["error"]["code"] == "HYG-1E1"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.fixture(scope="module")
def exported(made: Installation, own: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole export, found whole by its client."""
    folder = tmp_path_factory.mktemp("whole") / "export"
    export(made, folder, str(own.to_public()))
    assert verify(made, folder, own)["complete"]
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A copy of it to be altered."""
    shutil.copytree(exported, tmp_path / "export")
    return tmp_path / "export"


def refused(made: Installation, folder: Path, identity: Any) -> str:
    error = verify(made, folder, identity, exit_code=50)["error"]
    assert error["code"] == "HYG-5E0"
    return str(error["message"])


def test_another_key_opens_nothing(made: Installation, copy: Path) -> None:
    assert "your key does not open it" in refused(made, copy, pyrage.x25519.Identity.generate())


def test_each_altered_file_is_named(made: Installation, own: Any, exported: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(exported) for path in exported.rglob("*") if path.name != "README.txt")
    files = [name for name in names if (exported / name).is_file() and name.name != "hygie.pem"]
    assert len(files) >= 7
    for rank, name in enumerate(files):
        folder = tmp_path / str(rank)
        shutil.copytree(exported, folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        told = refused(made, folder, own)
        expected = "manifest.json" if name.name == "manifest.sig" else name.as_posix()
        assert expected in told, (name, told)


def test_a_file_removed_added_cut_or_swapped_is_named(made: Installation, own: Any, copy: Path) -> None:
    parts = sorted((copy / "prod").rglob("*.age"))
    first, second = parts[0], parts[1]
    kept = {path: path.read_bytes() for path in (first, second)}
    first.unlink()
    assert f"{first.relative_to(copy)}, it is missing" in refused(made, copy, own)
    first.write_bytes(kept[first][:-20])
    assert first.relative_to(copy).as_posix() in refused(made, copy, own)
    first.write_bytes(kept[second])
    second.write_bytes(kept[first])
    assert first.relative_to(copy).as_posix() in refused(made, copy, own)
    first.write_bytes(kept[first])
    second.write_bytes(kept[second])
    (copy / "prod" / "current" / "Patient.00002.ndjson.age").write_bytes(kept[first])
    assert "Patient.00002.ndjson.age, nobody signed it" in refused(made, copy, own)


def test_who_knows_the_public_key_can_make_files_but_not_have_them_believed(
    made: Installation, own: Any, copy: Path
) -> None:
    """Whoever holds the folder encrypts other content to the client, and writes the lists anew: he cannot sign."""
    part = next((copy / "prod" / "current").glob("Patient*.age"))
    clear = pyrage.decrypt(part.read_bytes(), [own]).replace(NAME.encode(), b"Somebody-Else-Qu!")
    part.write_bytes(pyrage.encrypt(clear, [own.to_public()]))
    listed = (copy / "SHA256SUMS").read_text().splitlines()
    name = part.relative_to(copy).as_posix()
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    (copy / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" if name in one else f"{one}\n" for one in listed))
    assert "SHA256SUMS, it is not the list that was signed" in refused(made, copy, own)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["sums_sha256"] = hashlib.sha256((copy / "SHA256SUMS").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    assert "manifest.json, its signature does not match" in refused(made, copy, own)


def test_what_no_site_gives_back_is_counted_and_nobody_can_consent_on_it(
    made: Installation, own: Any, tmp_path: Path
) -> None:
    name = max((made.data / "sites" / "paris").rglob("*.pack")).name
    copies = {path: path.read_bytes() for path in (made.data / "sites").rglob(name)}
    assert len(copies) == 3
    try:
        for path, data in copies.items():
            path.write_bytes(data[:100] + bytes(len(data) - 100))
        error = export(made, tmp_path / "export", str(own.to_public()), exit_code=50)["error"]
        assert error["code"] == "HYG-5E1"
        found = verify(made, tmp_path / "export", own)
        assert not found["complete"]
        assert found["versions"] == 3
        manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
        assert (manifest["environments"][0]["missing"], len(manifest["environments"][0]["damaged"])) == (1, 1)
        (tmp_path / "letter").write_text("consent")
        words = ("exit", "consent", "chu", "--export", found["export"], "--by", "Dr A. Bo", "--code", found["code"])
        refusal = made.hygie(*words, "--statement", str(tmp_path / "letter"), exit_code=20)
        assert refusal["error"]["code"] == "HYG-2E1"
    finally:
        for path, data in copies.items():
            path.write_bytes(data)


def test_destruction_without_consent_is_refused_and_journaled(made: Installation) -> None:
    words = ("exit", "destroy", "chu", "--consent", "0" * 16, "--confirm", "chu", "--approver", "chief")
    assert made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-2E2"
    assert made.fhir("GET", "Patient/p0").status == 200
    assert [one for one in entries(made, outcome="refused") if one.action.value == "tenant:destroy"]


def test_production_that_holds_data_is_not_destroyed_by_another_command(made: Installation) -> None:
    words = ("environment", "destroy", "chu", "prod", "--confirm", "chu/prod")
    assert made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-2E5"
    assert made.fhir("GET", "Patient/p0").status == 200
    made.hygie("environment", "create", "chu", "mistake", "--kind", "production")
    made.hygie("environment", "destroy", "chu", "mistake", "--confirm", "chu/mistake")


def test_a_state_written_by_sql_removes_nothing(made: Installation) -> None:
    """Who holds the database says that an environment is destroyed: its packs stay, for the KMS knows better."""
    packs = len(list((made.data / "sites").rglob("*.pack")))

    async def main() -> None:
        async with open_house(made.data) as house:
            with psycopg.connect(house.dsns.owner, autocommit=True) as connection:
                connection.execute("UPDATE hygie.environment SET state = 'destroyed'")
                await keep_exits(house, "local:test")
                connection.execute("UPDATE hygie.environment SET state = 'open' WHERE name = 'prod'")

    asyncio.run(main())
    assert len(list((made.data / "sites").rglob("*.pack"))) == packs > 0


def test_what_is_written_while_an_empty_environment_is_looked_at_is_not_destroyed(
    made: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.hygie("environment", "create", "chu", "late", "--kind", "production")
    words = ("--role", "application", "--reason", "exit", "--approver", "chief")
    made.hygie("habilitation", "grant", "app", "chu", "late", *words)
    token = made.hygie("token", "create", "app", "chu", "late")["token"]

    async def main() -> None:
        from hygie.app import open_administration

        async with (
            open_house(made.data) as house,
            open_administration(house, operator_name()) as acts,
            open_custody(house, operator_name()) as custody,
        ):
            closing = acts.close_environment

            async def slowly(one: Environment) -> None:
                body = {"resourceType": "Patient", "id": "late", "name": [{"family": NAME}]}
                answer = await asyncio.to_thread(made.fhir, "PUT", "Patient/late", body, token=token, place="chu/late")
                assert answer.status == 201
                await closing(one)

            monkeypatch.setattr(acts, "close_environment", slowly)
            with pytest.raises(ProductionKeptError):
                await destroy_unused(custody, acts, await acts.environment("chu", "late"))

    asyncio.run(main())
    late = next(one for one in made.hygie("environment", "list") if one["environment"] == "late")
    assert late["state"] == "closed"
    dsns = dsns_of(load_settings(made.data), DataFolder(made.data))
    with psycopg.connect(dsns.owner, autocommit=True) as connection:
        connection.execute("UPDATE hygie.environment SET state = 'open' WHERE name = 'late'")
        assert made.fhir("GET", "Patient/late", token=token, place="chu/late").status == 200  # nothing was destroyed
        connection.execute(
            "UPDATE hygie.environment SET kind = 'test' WHERE name = 'late'"
        )  # out of the next tests' way
    made.hygie("environment", "destroy", "chu", "late", "--confirm", "chu/late")


async def _destroyed(house: House, custody: Custody, acts: Administration, consent_id: str) -> None:
    destruction = Destruction(custody, acts, "chu", operator_name())
    await destruction.run(await destruction.begin(consent_id, "chief"))


def test_a_destruction_that_is_cut_ends_when_asked_again_and_nothing_left_opens_anything(
    made: Installation, own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last. One site is away meanwhile; a backup holds a copy of the keys; the act is cut half-way."""
    environment = place(made)
    made.hygie("backup", "run")
    number = export(made, tmp_path / "export", str(own.to_public()))["export"]
    code = verify(made, tmp_path / "export", own)["code"]
    (tmp_path / "letter").write_text("consent")
    (tmp_path / "before").mkdir()
    before = states_that_open(made, environment.tenant_id, environment.environment_id, tmp_path / "before")
    assert len(before) >= 2  # the KMS's own state, and its copy: the look that finds nothing afterwards finds them now
    away = made.data / "sites" / "lille"
    away.rename(made.data / "away")

    async def cut() -> tuple[str, str]:
        from hygie.app import open_administration

        async with (
            open_house(made.data) as house,
            open_administration(house, operator_name()) as acts,
            open_custody(house, operator_name()) as custody,
        ):
            letter = tmp_path / "letter"
            words = {"given_by": "Dr A. Bo", "statement": letter, "code": code, "recorder": operator_name()}
            extra = await consent(custody, acts, "chu", number, **words)  # type: ignore[arg-type]
            given = await consent(custody, acts, "chu", number, **words)  # type: ignore[arg-type]

            async def stop(*_: object) -> None:
                raise UnavailableError(part="test")

            monkeypatch.setattr(acts, "end_rights", stop)
            with pytest.raises(UnavailableError):
                await _destroyed(house, custody, acts, given.id)
            return given.id, extra.id

    given, extra = asyncio.run(cut())
    assert made.fhir("GET", "Patient/p0").status in (401, 404)  # the door was closed first
    words = ("exit", "destroy", "chu", "--consent", given, "--confirm", "chu", "--approver", "chief")
    made.hygie("environment", "create", "chu", "since", "--kind", "test")  # in no export: not the consent's to destroy
    refusal = made.hygie(*words, exit_code=20)["error"]
    assert (refusal["code"], "since" in refusal["message"]) == ("HYG-2E3", True)
    states = {one["environment"]: one["state"] for one in made.hygie("environment", "list") if one["tenant"] == "chu"}
    assert states["since"] == "open"
    made.hygie("environment", "destroy", "chu", "since", "--confirm", "chu/since")
    done = made.hygie(*words)
    rights = [one for kind in ("habilitation", "token") for one in made.hygie(kind, "list") if one["tenant"] == "chu"]
    assert len(rights) >= 3
    assert [one for one in rights if one["environment"] == "prod" and not one["revoked_ms"]] == []  # it was cut there
    twice = made.hygie(*words[:4], extra, *words[5:], exit_code=20)["error"]
    assert twice["code"] == "HYG-2E4"  # whoever consented twice gets no second certificate, of another date
    assert (done["sites"]["lille"], done["every_site_ms"], done["final"]) == (None, None, False)
    assert done["every_copy_ms"]
    (made.data / "away").rename(away)
    ids = environment.environment_id.hex()

    def swept() -> bool:
        return not [path for path in away.rglob("*") if ids in str(path) and path.is_file()]

    made.wait_for(swept, seconds=60)
    paper = made.data / "exits" / f"{done['destruction']}.json"
    made.wait_for(lambda: json.loads(paper.read_text())["certificate"]["every_site_ms"], seconds=60)
    assert made.hygie("exit", "list", "chu")[0]["final"]
    made.down()
    assert states_that_open(made, environment.tenant_id, environment.environment_id, tmp_path) == []
    left = [path for path in (made.data / "sites").rglob("*") if ids in str(path) and path.is_file()]
    assert left == []
    assert [path for path in made.data.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()] == []


def states_that_open(made: Installation, tenant_id: bytes, environment_id: bytes, scratch: Path) -> list[str]:
    """Every key state in the data folder (the KMS's own, copies on the backup target) that still has the keys."""
    passphrase = (made.data.parent / "credential").read_text().strip()
    folders = [shutil.copytree(made.data / "kms", scratch / "kms")]
    for rank, path in enumerate(sorted((made.data / "backup" / "objects").rglob("*"))):
        if path.is_file() and path.read_bytes().startswith(EXPORT_MAGIC):
            restore_state(path.read_bytes(), scratch / f"copy-{rank}")
            folders.append(scratch / f"copy-{rank}")
    assert len(folders) >= 2
    opened: list[str] = []
    for folder in folders:
        kms = FileKms(Path(folder), clock=SystemClock())
        kms.open()
        kms.unseal(Passphrase(passphrase))
        try:
            asyncio.run(InProcessKms(kms).environment_key(tenant_id, environment_id, "pack"))
            opened.append(str(folder))
        except KeyDestroyedError:
            pass
        except HygieError as error:
            opened.append(f"{folder}: {error.code}")
        finally:
            kms.close()
    return opened


def test_a_consent_serves_once(made: Installation) -> None:
    made.up()
    (row,) = [one for one in made.hygie("exit", "list", "chu") if one["consent"]]
    words = ("exit", "destroy", "chu", "--consent", row["consent"], "--confirm", "chu", "--approver", "chief")
    assert made.hygie(*words, exit_code=20)["error"]["code"] == "HYG-2E4"

    async def main() -> int:
        async with open_house(made.data) as house, open_custody(house, "local:test") as custody:
            return len(await destructions(custody.owner))

    assert asyncio.run(main()) == 1


def test_a_pass_that_comes_late_does_not_open_a_final_certificate_again(made: Installation) -> None:
    """Two passes read the certificate while it was open; the slower one wants to write what it knew then."""

    async def main() -> None:
        async with open_house(made.data) as house, open_custody(house, "local:test") as custody:
            (record,) = await destructions(custody.owner)
            assert record.certificate is not None
            if record.final_ms is None:
                assert await keep_certificate(custody.owner, record.id, record.certificate, house.clock.now_ms())
            (final,) = await destructions(custody.owner)
            assert not await keep_certificate(custody.owner, record.id, b"what was known before", None)
            assert await destructions(custody.owner) == [final]

    asyncio.run(main())
