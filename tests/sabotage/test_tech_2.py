"""tech-2: a role that reads its neighbour, a door that tells, a port nobody declared."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from hygie.app import open_administration, open_house, opened
from hygie.base.layout import DataFolder
from hygie.base.permit import Place
from hygie.base.roles import Role
from hygie.base.settings import default_settings
from hygie.probes.apart import _Environment, _same_keys
from hygie.probes.canaries.record import Canary, canaries_of
from hygie.probes.door import NOWHERE, Doors, knock
from hygie.probes.needles import scan_folder
from hygie.proof.checks import tech_2
from hygie.proof.facts import FlowFacts, Measurement
from hygie.proof.flows.model import ApartFacts, Crossing, ZoneFacts
from hygie.proof.model import Context
from hygie.server.certificates import own_certificate
from hygie.vault.pack import PackTable, build_pack, pack_name
from tests.attack.installation import noticed, whole_journal
from tests.sabotage.conftest import Broken

DOORS = Doors("chu/prod", "chu/other", "hyg_probe")
LISTEN = """
import socket, time
listening = socket.create_server(("0.0.0.0", 0))
print("listening", flush=True)
time.sleep(60)
"""

LISTEN_UNIX = """
import socket, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(b"\\0hygie-sabotage-" + str(time.time()).encode())
listening.listen()
print("listening", flush=True)
time.sleep(60)
"""
CONNECT = """
import socket, sys, time
calling = socket.socket(socket.AF_UNIX)
calling.connect(sys.argv[1])
print("connected", flush=True)
time.sleep(60)
"""
CALL = """
import socket, time
calling = socket.create_connection(("127.0.0.1", PORT))
print("connected", flush=True)
time.sleep(60)
"""


def test_a_role_that_reads_another_environment_is_red(broken: Broken) -> None:
    broken.green("tech-2.database")
    broken.sql("GRANT USAGE ON SCHEMA hygie_env_2 TO hygie_env_1")
    broken.sql("GRANT SELECT ON hygie_env_2.object TO hygie_env_1")
    try:
        broken.red("tech-2.database", "hygie_env_1 reads")
    finally:
        broken.sql("REVOKE ALL ON SCHEMA hygie_env_2 FROM hygie_env_1")
        broken.sql("REVOKE ALL ON hygie_env_2.object FROM hygie_env_1")
    broken.sql("GRANT SELECT ON hygie.journal_entry TO hygie_env_1")
    try:
        broken.red("tech-2.database", "hygie.journal_entry")
    finally:
        broken.sql("REVOKE ALL ON hygie.journal_entry FROM hygie_env_1")
    broken.green("tech-2.database")


def test_a_door_that_tells_is_red(broken: Broken, tmp_path: Path) -> None:
    broken.green("tech-2.door")
    broken.green("tech-2.door")  # with the token kept by the first look
    good = {(None, "chu/prod"): 401, (None, NOWHERE): 401, ("p", "chu/prod"): 403}
    for answers, verdict in (
        (good, "satisfied"),
        (good | {("p", "chu/other"): 403}, "unsatisfied"),  # tells that the neighbour exists
        (good | {("p", "chu/other"): 200}, "unsatisfied"),
        (good | {("p", "chu/prod"): 200}, "unsatisfied"),  # admits without habilitation
        (good | {(None, "chu/prod"): 403}, "unsatisfied"),
        (good | {("p", NOWHERE): 410}, "unsatisfied"),
    ):
        with _door(tmp_path, answers) as (port, authority):
            settings = msgspec.structs.replace(default_settings(port=port))
            facts = knock(settings, authority, DOORS)
        assert tech_2.door(facts, Context(settings, 1)).verdict.value == verdict, answers


def test_a_door_that_answers_in_another_language_is_seen(broken: Broken, tmp_path: Path) -> None:
    door = broken.facts("door", "fresh").door.value
    assert door is not None
    assert door.french
    english = b'{"issue": [{"details": {"text": "Access token missing or not valid: ask your operator for one."}}]}'
    for body in (english, b"{}", b"[]", b'{"issue": [3]}', b"<html>"):
        with _door(tmp_path, {}, body) as (port, authority):
            assert not knock(default_settings(port=port), authority, Doors()).french, body


def test_a_lone_environment_proves_nothing(tmp_path: Path) -> None:
    with _door(tmp_path, {(None, "chu/prod"): 401, (None, NOWHERE): 401, ("p", "chu/prod"): 403}) as (port, authority):
        settings = default_settings(port=port)
        facts = knock(settings, authority, Doors("chu/prod", None, "hyg_probe"))
    assert tech_2.door(facts, Context(settings, 1)).verdict.value == "unknown"


def not_red(broken: Broken, check: str) -> None:
    """As a normal user: what another installation of this account listens on may be anybody's, only root knows."""
    assert broken.finding(check).verdict.value in {"satisfied", "unknown"}


def test_an_undeclared_port_is_red(broken: Broken) -> None:
    if os.geteuid() == 0:
        broken.green("tech-2.network", within_s=30)
    else:
        not_red(broken, "tech-2.network")
    with broken.impostor(sys.executable, "-c", LISTEN):
        broken.red("tech-2.network", "open port")
    if os.geteuid() == 0:
        broken.green("tech-2.network", within_s=30)
    else:
        not_red(broken, "tech-2.network")


def test_an_undeclared_connection_is_red(broken: Broken) -> None:
    if os.geteuid() == 0:
        broken.green("tech-2.connections", within_s=30)
    else:
        not_red(broken, "tech-2.connections")
    sockets = DataFolder.at(broken.made.data)
    for path in (sockets.socket("kms.sock"), sockets.socket(".s.PGSQL.5432")):
        with _stranger(CONNECT, str(path)):
            broken.red("tech-2.connections", "not declared")
    if os.geteuid() == 0:  # else nobody may look into a process that hides
        with socket.create_server(("127.0.0.1", 0)) as elsewhere:
            call = CALL.replace("PORT", str(elsewhere.getsockname()[1]))
            for code in (call, LISTEN, LISTEN_UNIX):
                with broken.impostor(sys.executable, "-c", code):
                    broken.red("tech-2.connections", "not declared")
    if os.geteuid() == 0:
        broken.green("tech-2.connections", within_s=30)
    else:
        not_red(broken, "tech-2.connections")


def test_the_matrix_is_shown_with_what_is_on_no_line(broken: Broken) -> None:
    shown = broken.made.hygie("flows", "show")
    assert shown["seen"]
    assert shown["undeclared"] == []
    here = shown["unnamed"] if os.geteuid() == 0 else [one for one in shown["unnamed"] if str(broken.made.data) in one]
    assert here == []
    states = {(one["caller"], one["called"]): one["listens"] for one in shown["lines"]}
    assert states["serve", "kms"] == states["work", "postgres"] == states["client", "serve"] == "yes"
    assert states["work", "witness"] == "yes"
    kms = DataFolder.at(broken.made.data).socket("kms.sock")
    with _stranger(CONNECT, str(kms)) as pid:
        found = broken.made.run("--json", "flows", "show")
    assert found.returncode == 1
    assert f"process {pid} " in found.stdout
    french = broken.made.run("flows", "show", language="fr")
    assert french.returncode == 0
    others = bool(shown["unnamed"])  # another installation of this account
    assert ("seul root peut dire qui" if others else "Tout ce qui se voit est déclaré.") in french.stdout


def test_a_zone_that_enters_another_is_red(broken: Broken) -> None:
    broken.green("tech-2.zones")
    for right, name in (
        ("SELECT ON hygie_env_1.object TO hygie_hosting", "hosting reaches hygie_env_1.object"),
        ("UPDATE ON hygie.token TO hygie_hosting", "hosting reaches hygie.token ~"),
        ("SELECT ON hygie_env_2.compartment TO hygie_console", "console reaches hygie_env_2.compartment"),
        ("SELECT (hash) ON hygie.token TO hygie_console", "console reaches hygie.token.hash"),
        ("DELETE ON hygie.habilitation TO hygie_sealer", "sealer reaches hygie.habilitation -"),
    ):
        role = right.rpartition(" ")[2]
        schema = right.partition(" ON ")[2].partition(".")[0]
        if schema != "hygie":
            broken.sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        broken.sql(f"GRANT {right}")
        try:
            broken.red("tech-2.zones", name)
        finally:
            broken.sql(f"REVOKE {right.replace(' TO ', ' FROM ')}")
            if schema != "hygie":
                broken.sql(f"REVOKE USAGE ON SCHEMA {schema} FROM {role}")
    if os.geteuid() == 0:
        folder = DataFolder.at(broken.made.data)
        with _opened(folder.path.parent, folder.path, folder.run), _opened(folder.socket(".s.PGSQL.5432"), mode=0o777):
            broken.red("tech-2.zones", "another account reaches postgres")
        with _opened(folder.path.parent, folder.path, folder.run), _opened(folder.socket("kms.sock"), mode=0o777):
            broken.green("tech-2.zones")  # the path lets it in, the KMS does not
    broken.green("tech-2.zones")


def test_a_zone_that_answers_in_clear_or_admits_a_token_is_red() -> None:
    context = Context(default_settings(), 1)
    good = ZoneFacts(2, (Crossing("hosting", "its own", "allowed"),), (Crossing("console", "x", "refused"),))
    assert tech_2.zones(good, context).verdict.value == "satisfied"
    for facts, verdict in (
        (replace(good, attempts=(Crossing("network", "host (http)", "allowed"),)), "unsatisfied"),
        (replace(good, attempts=(Crossing("token of a/test", "a/prod", "allowed"),)), "unsatisfied"),
        (replace(good, attempts=(Crossing("another account", "kms", "untried"),)), "unknown"),
        (replace(good, controls=(Crossing("hosting", "its own", "08006"),)), "unknown"),
        (replace(good, environments=1), "unknown"),
    ):
        assert tech_2.zones(facts, context).verdict.value == verdict, facts


def test_environments_that_share_something_are_red(broken: Broken) -> None:
    made = broken.made
    elsewhere = token_for(broken, "second")
    for place, token in (("chu/prod", made.token), ("chu/second", elsewhere)):
        assert made.fhir("POST", "Patient", {"resourceType": "Patient"}, token=token, place=place).status == 201
    broken.green("tech-2.apart")
    for done, undone, word in (
        ("GRANT hygie_env_1 TO hygie_env_2", "REVOKE hygie_env_1 FROM hygie_env_2", "hygie_env_2 is hygie_env_1"),
        ("GRANT hygie_env_1 TO hygie_console", "REVOKE hygie_env_1 FROM hygie_console", "hygie_console is hygie_env_1"),
        ("ALTER ROLE hygie_env_2 LOGIN", "ALTER ROLE hygie_env_2 NOLOGIN", "hygie_env_2 may log in"),
        (
            "GRANT USAGE ON SCHEMA hygie_env_2 TO hygie_sealer",
            "REVOKE USAGE ON SCHEMA hygie_env_2 FROM hygie_sealer",
            "hygie_env_2: hygie_sealer",
        ),
        (
            "GRANT SELECT ON hygie_env_1.pack TO PUBLIC",
            "REVOKE SELECT ON hygie_env_1.pack FROM PUBLIC",
            "hygie_env_1: PUBLIC",
        ),
    ):
        broken.sql(done)
        try:
            broken.red("tech-2.apart", word)
        finally:
            broken.sql(undone)
    with _sealed_under_the_key_of_another(broken, "second", "prod"):
        broken.red("tech-2.apart", "chu/prod opens chu/second")
    broken.green("tech-2.apart")


def test_a_key_that_two_environments_have_is_red() -> None:
    context = Context(default_settings(), 1)
    good = ApartFacts(2, 12, 2, 2, ())
    assert tech_2.apart(good, context).verdict.value == "satisfied"
    one, other = (_Environment(name, Place(b"t" * 16, name.encode() * 8, "r"), {}) for name in ("ab", "cd"))
    apart = [replace(one, keys={"id": b"1", "pack": b"2"}), replace(other, keys={"id": b"3", "pack": b"4"})]
    assert list(_same_keys(apart)) == []
    shared = [apart[0], replace(other, keys={"id": b"2", "pack": b"4"})]
    faults = tuple(_same_keys(shared))
    assert faults == ("one key: ab pack, cd id",)
    for facts, verdict in (
        (replace(good, faults=faults), "unsatisfied"),
        (replace(good, own=1), "unknown"),
        (replace(good, environments=1), "unknown"),
    ):
        assert tech_2.apart(facts, context).verdict.value == verdict, facts


def test_a_canary_in_a_log_or_another_environment_is_red(broken: Broken, tmp_path: Path) -> None:
    made = broken.made
    broken.seek_canaries()
    assert broken.finding("tech-2.canaries").outcome.why.en == "No canary planted (chu/prod)."
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text(made.token)
    assert made.hygie("canary", "plant", "chu/prod", "--token-file", str(token))["number"] == 0
    assert [(one["tenant"], one["number"]) for one in made.hygie("canary", "list")] == [("chu", 0)]
    broken.seek_canaries()
    broken.green("tech-2.canaries")
    (canary,) = planted(broken)
    # Planted and sought, it is written nowhere in clear, the database's raw files included.
    assert scan_folder(made.data, canary.needles()).found == []
    (name,), (address,), telecom = (canary.resource[one] for one in ("name", "address", "telecom"))  # as it is stored

    def seen(where: str) -> None:
        broken.seek_canaries()
        broken.red("tech-2.canaries", where)

    log = next((made.data / "logs").glob("serve*.log"))
    kept = log.stat().st_size
    with log.open("a") as file:
        file.write(f"refused: {name['family']}\n")
    try:
        seen(f"logs/{log.name}: chu/prod#0")
    finally:
        os.truncate(log, kept)
    export = made.data / "exits" / "left.zip"
    export.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Patient.ndjson", json.dumps(name["given"]) * 99)
    try:
        seen("data/exits/left.zip: chu/prod#0")
    finally:
        export.unlink()
    broken.sql("CREATE TABLE hygie_env_2.notes (note text)")
    broken.sql("INSERT INTO hygie_env_2.notes VALUES (%s)", address["line"][0])
    try:
        seen("hygie_env_2.notes: chu/prod#0")
    finally:
        broken.sql("DROP TABLE hygie_env_2.notes")
    elsewhere = token_for(broken, "second")
    copied = {"resourceType": "Patient", "telecom": telecom}
    answer = made.fhir("POST", "Patient", copied, token=elsewhere, place="chu/second")
    assert answer.status == 201, answer.body
    seen("index hygie_env_2: chu/prod#0")
    assert made.fhir("DELETE", f"Patient/{answer.json['id']}", token=elsewhere, place="chu/second").status in {200, 204}
    broken.seek_canaries()
    broken.green("tech-2.canaries")
    told = [one for one in whole_journal(made) if one.action == "canary:found"]
    assert {one.detail["where"] for one in told} == {
        f"logs/{log.name}",
        "data/exits/left.zip",
        "hygie_env_2.notes",
        "index hygie_env_2",
    }
    assert {(one.kind, one.environment_id) for one in told} == {("security", canary.environment.place.environment_id)}
    assert noticed(made, "canary-found")["level"] == "critical"


def test_a_search_that_did_not_read_all_is_not_green() -> None:
    context = Context(default_settings(), 10)
    facts = {"sought": 1, "lacking": [], "files": 9, "files_left": 0, "tables": 3, "tables_left": 0, "bytes": 9}
    facts |= {"environments": 1, "failed": [], "found": [], "count": 0, "control": True}

    def verdict(**changes: object) -> str:
        measured = {"canaries": Measurement(1, True, facts | changes, 1)}
        return tech_2.canaries(measured, context).verdict.value

    assert verdict() == "satisfied"
    for changes in (
        {"files_left": 2},
        {"tables_left": 1},
        {"failed": ["x: OSError"]},
        {"control": False},
        {"lacking": ["chu/prod"]},
    ):
        assert verdict(**changes) == "unknown", changes
    assert tech_2.canaries({}, context).verdict.value == "unknown"


def test_ports_that_only_root_can_name() -> None:
    """Hygie's own account cannot look into its processes: the declared port alone is enough, one beside it is not."""
    context = Context(default_settings(port=8443), 1)
    for unnamed, verdict in (
        ([("127.0.0.1", 8443)], "satisfied"),
        ([("127.0.0.1", 8443), ("0.0.0.0", 8080)], "unknown"),
        ([], "unknown"),
    ):
        facts = FlowFacts((), ("serve",), tuple(unnamed))
        assert tech_2.network(facts, context).verdict.value == verdict, unnamed


def planted(broken: Broken) -> list[Canary]:
    """The canaries that are planted, their words drawn from the keys."""

    async def main() -> list[Canary]:
        async with open_house(broken.made.data) as house, opened(house.dsns.owner, size=1) as database:
            return [one for one in await canaries_of(house, database) if one.planted_ms is not None]

    return asyncio.run(main())


def token_for(broken: Broken, environment: str) -> str:
    """A token of the application for another environment, in which it may write."""

    async def main() -> str:
        async with open_house(broken.made.data) as house, open_administration(house, "local:test") as acts:
            how = {"reason": "sabotage", "approver": "chief"}
            await acts.grant("app", "chu", environment, role=Role.APPLICATION, days=1, **how)
            return (await acts.create_token("app", "chu", environment, days=1))[1]

    return asyncio.run(main())


@contextmanager
def _sealed_under_the_key_of_another(broken: Broken, environment: str, other: str) -> Iterator[None]:
    """The newest pack of an environment replaced, on every site, by one that another's key seals."""

    async def made() -> tuple[str, bytes]:
        async with open_house(broken.made.data) as house, open_administration(house, "local:test") as acts:
            place = (await acts.environment("chu", environment)).place
            context = await house.context((await acts.environment("chu", other)).place)
            async with opened(house.dsns.owner, size=1) as database, database.transaction() as connection:
                row = await (await connection.execute("SELECT max(number) FROM hygie_env_2.pack")).fetchone()
            assert row is not None
            table = PackTable(row[0], 1, [], [])
            return pack_name(place.environment_id, row[0]), build_pack(place, table, [], pack_key=context.pack_key)[0]

    name, forged = asyncio.run(made())
    copies = [broken.made.data / "sites" / site / name for site in ("paris", "lyon", "lille")]
    kept = copies[0].read_bytes()
    resize = "UPDATE hygie_env_2.pack SET bytes = %s WHERE number = (SELECT max(number) FROM hygie_env_2.pack)"
    broken.sql(resize, len(forged))
    try:
        for copy in copies:
            copy.write_bytes(forged)
        yield
    finally:
        for copy in copies:
            copy.write_bytes(kept)
        broken.sql(resize, len(kept))


@contextmanager
def _stranger(code: str, *words: str) -> Iterator[int]:
    """A program that is none of Hygie's: its process."""
    started = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, cwd="/")
    try:
        assert started.stdout is not None
        assert started.stdout.readline(), "it died at once"
        yield started.pid
    finally:
        started.kill()
        started.communicate()


@contextmanager
def _opened(*paths: Path, mode: int = 0o711) -> Iterator[None]:
    """Folders that anybody may pass through, or a socket that anybody may call."""
    kept = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    for path in paths:
        path.chmod(mode)
    try:
        yield
    finally:
        for path, before in zip(paths, kept, strict=True):
            path.chmod(before)


@contextmanager
def _door(folder: Path, answers: dict[tuple[str | None, str], int], body: bytes = b"{}") -> Iterator[tuple[int, Path]]:
    """A door of ours that answers as told: (``p`` for the probe's token or None, place) → status, else 401 or 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = "/".join(self.path.split("/")[1:3])
            probe = "p" if self.headers.get("Authorization") == "Bearer hyg_probe" else None
            status = 200 if self.path.endswith("metadata") else answers.get((probe, place), 404 if probe else 401)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    files = own_certificate(folder / "tls", ["127.0.0.1"])
    assert files.authority is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1], files.authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
