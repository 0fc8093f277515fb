"""The token door: what an application that proves itself gets, and what nobody else does."""

from __future__ import annotations

import base64
import hmac
import json
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, RSAKey

from hygie.app import dsns_of
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.acceptance.conftest import Installation, new_installation
from tests.attack.applications import (
    ASSERTION_TYPE,
    PATIENT,
    Application,
    Authority,
    door,
    fhir,
    let_certificates_in,
    post,
    register,
)
from tests.attack.installation import entries, populate, trust


@dataclass
class Town:
    """An installation, an application that proves itself with a key, and who signs certificates."""

    made: Installation
    lab: Application
    authority: Authority
    folder: Path


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    folder = Path(tempfile.mkdtemp(prefix="hygie-x-"))
    made = new_installation(folder)
    authority = Authority(folder)
    let_certificates_in(made, authority)
    path = made.data / "hygie.toml"
    path.write_text(path.read_text().replace("processes = 1", "processes = 2"))
    try:
        made.up()
        populate(made)
        made.hygie("tenant", "create", "other")
        made.hygie("environment", "create", "other", "prod", "--kind", "production")
        lab = Application(made, "lab", ECKey.generate_key("P-384", private=True))
        register(made, lab, folder)
        yield Town(made, lab, authority, folder)
    finally:
        with suppress(OSError):
            made.down()
        shutil.rmtree(folder, ignore_errors=True)


class _FiveMinutes(PrivateKeyJWT):
    """The library's assertions live for an hour: SMART allows five minutes."""

    def sign(self, auth: object, token_endpoint: str) -> str:
        self.claims = {"exp": int(time.time()) + 300}
        return str(super().sign(auth, token_endpoint))


def refused(answer: object, name: str = "invalid_client", status: int = 401) -> None:
    assert answer.status == status, answer.body  # type: ignore[attr-defined]
    assert answer.json["error"] == name  # type: ignore[attr-defined]
    assert "access_token" not in answer.json  # type: ignore[attr-defined]


def test_an_independent_client_finds_the_door_and_reads_with_its_token(town: Town) -> None:
    """The configuration, the token, FHIR, introspection and revocation, by a library that we did not write."""
    with httpx.Client(verify=trust(town.made)) as client:
        base = f"https://localhost:{town.made.port}/chu/prod/fhir"
        found = client.get(f"{base}/.well-known/smart-configuration").json()
    assert "private_key_jwt" in found["token_endpoint_auth_methods_supported"]
    proof = _FiveMinutes(found["token_endpoint"], alg="ES384", headers={"kid": town.lab.kid})
    with OAuth2Client(
        "lab",
        town.lab.key,
        token_endpoint_auth_method=proof,
        revocation_endpoint_auth_method=proof,
        scope="system/Patient.cruds",
        verify=trust(town.made),
    ) as client:
        token = client.fetch_token(found["token_endpoint"], grant_type="client_credentials")
        assert token["scope"] == "system/Patient.cruds"
        assert 0 < token["expires_in"] <= 300
        made = client.post(f"{base}/Patient", json=PATIENT, headers={"Content-Type": "application/fhir+json"})
        assert made.status_code == 201
        assert client.get(f"{base}/Patient/{made.json()['id']}").status_code == 200
        told = client.introspect_token(found["introspection_endpoint"], token=token["access_token"]).json()
        assert told["active"]
        assert told["client_id"] == "lab"
        assert client.revoke_token(found["revocation_endpoint"], token=token["access_token"]).status_code == 200
        assert client.get(f"{base}/Patient/{made.json()['id']}").status_code == 401


def test_every_opening_and_refusal_is_in_the_journal(town: Town) -> None:
    town.lab.token("system/Patient.rs")
    refused(town.lab.ask(assertion=town.lab.assertion(aud="https://elsewhere.example/token")))
    told = entries(town.made)
    opened = [one for one in told if one.action.value == "session:open" and one.outcome == "done"]
    assert opened[-1].account == "lab"
    assert opened[-1].detail["scope"] == "system/Patient.rs"
    assert [one for one in told if one.detail.get("reason") == "aud"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://localhost:1/chu/prod/oauth2/token"},
        {"aud": ["x"]},
        {"iss": "app"},
        {"sub": "app"},
        {"exp": 1},
        {"exp": 99_999_999_999},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": 99_999_999_999},
        {"iat": 99_999_999_999},
        {"jti": ""},
        {"jti": "x" * 300},
        {"jti": 7},
        {"sub": None},
    ],
)
def test_an_assertion_whose_claims_do_not_hold_is_refused(town: Town, claims: dict[str, object]) -> None:
    refused(town.lab.ask(assertion=town.lab.assertion(**claims)))


def test_an_assertion_of_another_environment_or_tenant_is_refused(town: Town) -> None:
    """The confused deputy: what was made for one door is shown at another."""
    for place in ("other/prod", "chu/none"):
        form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion_type": ASSERTION_TYPE}
        refused(post(town.made, "token", {**form, "client_assertion": town.lab.assertion()}, place=place))
        mine = town.lab.assertion(aud=door(town.made, place=place))
        refused(post(town.made, "token", {**form, "client_assertion": mine}, place=place))


def test_an_assertion_is_taken_once_whichever_process_gets_it(town: Town) -> None:
    shown = town.lab.assertion()
    answers: list[int] = []

    def show() -> None:
        answers.append(town.lab.ask(assertion=shown).status)

    threads = [threading.Thread(target=show) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, *[401] * 7]


def test_algorithms_and_keys_are_not_confused(town: Town) -> None:
    stranger = ECKey.generate_key("P-384", private=True)
    refused(town.lab.ask(assertion=town.lab.assertion(key=stranger)))  # its own key under our kid
    refused(town.lab.ask(assertion=town.lab.assertion(header={"kid": "unknown"})))
    refused(town.lab.ask(assertion=_by_hmac(town.lab)))
    head, body, _ = town.lab.assertion().split(".")
    bare = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": town.lab.kid}).encode()).decode().rstrip("=")
    refused(town.lab.ask(assertion=f"{bare}.{body}."))
    refused(town.lab.ask(assertion=f"{head}.{body}."))
    refused(town.lab.ask(assertion=town.lab.assertion(header={"jku": "https://attacker.example/keys"})))
    for junk in ("a.b.c", "x" * 9_000, "..", "é.é.é"):
        refused(town.lab.ask(assertion=junk))


def test_an_unknown_application_and_a_person_get_the_same_answer(town: Town) -> None:
    told = set()
    for name in ("nobody", "app"):
        other = Application(town.made, name, town.lab.key, kid=town.lab.kid)
        answer = other.ask()
        refused(answer)
        told.add(answer.body)
    assert len(told) == 1


def test_scopes_narrow_and_never_widen(town: Town) -> None:
    patient = fhir(town.made, "POST", "Patient", town.lab.token(), PATIENT).json["id"]
    about = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    about |= {"subject": {"reference": f"Patient/{patient}"}}
    seen = fhir(town.made, "POST", "Observation", town.lab.token(), about).json["id"]
    reader = town.lab.token("system/Observation.rs")
    assert fhir(town.made, "GET", f"Observation/{seen}", reader).status == 200
    assert fhir(town.made, "GET", f"Patient/{patient}", reader).status == 403
    assert fhir(town.made, "GET", f"Patient/{patient}/$everything", reader).status == 403
    assert fhir(town.made, "POST", "Observation", reader, about).status == 403
    page = fhir(town.made, "GET", f"Observation?subject=Patient/{patient}&_include=Observation:subject", reader).json
    assert {one["resource"]["resourceType"] for one in page["entry"]} == {"Observation"}
    history = fhir(town.made, "GET", "_history", reader).json
    assert {one["resource"]["resourceType"] for one in history["entry"]} == {"Observation"}
    both = town.lab.token("system/Patient.rs system/Observation.r")
    whole = fhir(town.made, "GET", f"Patient/{patient}/$everything", both).json
    assert {one["resource"]["resourceType"] for one in whole["entry"]} == {"Patient"}  # .r is not .s
    writer = town.lab.token("system/Patient.u")
    body = {**PATIENT, "id": patient, "gender": "female"}
    assert fhir(town.made, "PUT", f"Patient/{patient}", writer, body).status == 200
    assert fhir(town.made, "PUT", "Patient/newone", writer, {**PATIENT, "id": "newone"}).status == 403
    creator = town.lab.token("system/Observation.c")
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}
    bundle["entry"] = [{"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT}]
    assert fhir(town.made, "POST", "", creator, bundle).status == 403
    about["subject"] = {"reference": "Patient?family=Secretdejeanne"}
    bundle["entry"] = [{"request": {"method": "POST", "url": "Observation"}, "resource": about}]
    assert fhir(town.made, "POST", "", creator, bundle).status == 403  # a condition would tell of patients


@pytest.mark.parametrize(
    "scope",
    ["", "openid", "system/Patient", "system/*.x", "system/Patient.sr", "patient/*.rs", "system/P.rs?a=b", "a" * 5000],
)
def test_scopes_that_are_none_are_refused(town: Town, scope: str) -> None:
    refused(town.lab.ask(scope), "invalid_scope", 400)


def test_a_habilitation_limited_to_types_limits_tokens_of_both_kinds(town: Town) -> None:
    app = Application(town.made, "imaging", RSAKey.generate_key(2048, private=True), algorithm="RS384")
    town.made.hygie("account", "create", app.name, "--kind", "application")
    words = ("--role", "application", "--reason", "attack", "--approver", "chief", "--type", "ImagingStudy")
    given = town.made.hygie("habilitation", "grant", app.name, "chu", "prod", *words)["habilitation"]
    path = town.folder / "imaging.json"
    path.write_text(app.jwks())
    town.made.hygie("application", "add-key", app.name, "--jwks", str(path))
    answer = app.ask("system/*.rs")
    assert answer.json["scope"] == "system/ImagingStudy.rs"
    refused(app.ask("system/Patient.rs"), "invalid_scope", 400)
    static = town.made.hygie("token", "create", app.name, "chu", "prod")["token"]
    for token in (answer.json["access_token"], static):
        assert fhir(town.made, "GET", "ImagingStudy/absent", token).status == 404
        assert fhir(town.made, "GET", "Patient/absent", token).status == 403
    with _owner(town.made) as owner:  # a limit taken away by SQL takes the right away
        owner.execute("UPDATE hygie.habilitation SET types = '' WHERE id = %s", (given,))
    assert fhir(town.made, "GET", "Patient/absent", static).status == 403
    assert fhir(town.made, "GET", "ImagingStudy/absent", static).status == 403
    with _owner(town.made) as owner:
        owner.execute("UPDATE hygie.habilitation SET types = 'ImagingStudy' WHERE id = %s", (given,))
    assert fhir(town.made, "GET", "ImagingStudy/absent", static).status == 404


def test_keys_swapped_in_the_database_open_nothing(town: Town) -> None:
    thief = Application(town.made, "lab", ECKey.generate_key("P-384", private=True))
    with _owner(town.made) as owner:
        held = owner.execute("SELECT id, value FROM hygie.client_key WHERE account = 'lab'").fetchall()
        owner.execute("UPDATE hygie.client_key SET value = %s WHERE account = 'lab'", (thief.jwks(),))
    try:
        refused(thief.ask())
        refused(town.lab.ask())
    finally:
        with _owner(town.made) as owner:
            for id_, value in held:
                owner.execute("UPDATE hygie.client_key SET value = %s WHERE id = %s", (value, id_))
    assert town.lab.ask().status == 200


def test_keys_rotate_with_an_overlap_and_a_withdrawn_one_ends_its_sessions(town: Town) -> None:
    old = Application(town.made, "rotating", ECKey.generate_key("P-256", private=True), algorithm="ES256")
    first = register(town.made, old, town.folder)
    new = Application(town.made, "rotating", ECKey.generate_key("P-384", private=True))
    path = town.folder / "rotating-new.json"
    path.write_text(new.jwks())
    town.made.hygie("application", "add-key", "rotating", "--jwks", str(path))
    before, after = old.token(), new.token()
    town.made.hygie("application", "revoke-key", first)
    refused(old.ask())
    assert fhir(town.made, "GET", "Patient/absent", before).status == 401
    assert fhir(town.made, "GET", "Patient/absent", after).status == 404


def test_only_the_application_itself_looks_at_its_token_or_ends_it(town: Town) -> None:
    thief = Application(town.made, "curious", ECKey.generate_key("P-384", private=True))
    register(town.made, thief, town.folder)
    token = town.lab.token()
    form = {"token": token, "client_assertion_type": ASSERTION_TYPE}
    assert post(town.made, "introspect", {**form, "client_assertion": thief.assertion()}).json == {"active": False}
    assert post(town.made, "revoke", {**form, "client_assertion": thief.assertion()}).status == 200
    assert fhir(town.made, "GET", "Patient/absent", token).status == 404
    refused(post(town.made, "introspect", {"token": token}))


def test_a_token_bound_to_a_certificate_is_nothing_to_another_client(town: Town) -> None:
    path, mine = town.authority.issue("dpi", town.made)
    _, theirs = town.authority.issue("thief", town.made)
    town.made.hygie("account", "create", "dpi", "--kind", "application")
    words = ("--role", "application", "--reason", "attack", "--approver", "chief")
    town.made.hygie("habilitation", "grant", "dpi", "chu", "prod", *words)
    town.made.hygie("application", "add-key", "dpi", "--certificate", str(path))
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_id": "dpi"}
    for tls in (theirs, None):
        refused(post(town.made, "token", form, tls=tls))
    answer = post(town.made, "token", form, tls=mine)
    assert answer.status == 200, answer.body
    token = answer.json["access_token"]
    assert fhir(town.made, "GET", "Patient/absent", token, tls=mine).status == 404
    for tls in (theirs, None):
        assert fhir(town.made, "GET", "Patient/absent", token, tls=tls).status == 401
    told = post(town.made, "introspect", {"token": token, "client_id": "dpi"}, tls=mine).json
    assert told["cnf"]["x5t#S256"]
    alien = Authority(_made(town.folder / "alien"))
    _, stranger = alien.issue("dpi", town.made)
    with pytest.raises((httpx.HTTPError, ssl.SSLError)):
        post(town.made, "token", form, tls=stranger)


def test_a_token_that_was_edited_is_nobodys(town: Town) -> None:
    token = town.lab.token()
    head, body = token[:6], token[6:]
    for at in (0, 10, 43, 60, len(body) - 2):
        changed = body[:at] + ("A" if body[at] != "A" else "B") + body[at + 1 :]
        assert fhir(town.made, "GET", "Patient/absent", head + changed).status == 401
    for junk in ("hyg_a_", "hyg_a_!!!!", token + "A" * 3000, "hyg_a_" + "A" * 60):
        assert fhir(town.made, "GET", "Patient/absent", junk).status == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_door_takes_posts_of_small_forms_only(town: Town, method: str) -> None:
    with httpx.Client(verify=trust(town.made)) as client:
        assert client.request(method, door(town.made)).status_code == 405
        assert client.post(door(town.made), json={"grant_type": "client_credentials"}).status_code == 400
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post(door(town.made), content=b"a=" + b"x" * 40_000, headers=form).status_code == 400
        assert client.post(door(town.made), content=b"a=1&a=2", headers=form).status_code == 400
        assert client.post(door(town.made), content=b"grant_type=password", headers=form).status_code == 400
        assert client.post(door(town.made, "elsewhere"), data={"a": "b"}).status_code == 404


def test_a_key_that_is_weak_private_or_none_is_refused_whole(town: Town) -> None:
    weak = rsa.generate_private_key(65_537, 1024).public_key().public_numbers()
    strong = ECKey.generate_key("P-256", private=True)
    bad = {
        "weak": {"keys": [{"kty": "RSA", "kid": "a", "n": _number(weak.n), "e": "AQAB"}]},
        "private": {"keys": [{**strong.as_dict(private=True), "kid": "a"}]},
        "secret": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]},
        "no-kid": {"keys": [strong.as_dict(private=False)]},
        "twice": {"keys": [{**strong.as_dict(private=False), "kid": "a"}] * 2},
        "empty": {"keys": []},
        "other": ["keys"],
    }
    before = len(town.made.hygie("application", "list-keys"))
    for name, set_ in bad.items():
        path = town.folder / f"bad-{name}.json"
        path.write_text(json.dumps(set_))
        answer = town.made.hygie("application", "add-key", "lab", "--jwks", str(path), exit_code=10)
        assert answer["error"]["code"] == "HYG-162", name
    for url in ("http://a.example/k", "https://user@a.example/k", "https://a.example/#x", "https:///k", "ftp://a"):
        answer = town.made.hygie("application", "add-key", "lab", "--jwks-url", url, exit_code=10)
        assert answer["error"]["code"] == "HYG-162", url
    assert len(town.made.hygie("application", "list-keys")) == before


def test_revocation_counts_within_a_second_on_every_process_under_load(town: Town) -> None:
    token = town.lab.token()
    late: list[tuple[float, int]] = []
    stop = threading.Event()
    revoked_at = [float("inf")]

    def read() -> None:
        with httpx.Client(verify=trust(town.made), headers={"Authorization": f"Bearer {token}"}) as client:
            while not stop.is_set():
                began = time.monotonic()
                status = client.get(f"https://localhost:{town.made.port}/chu/prod/fhir/Patient/absent").status_code
                if began > revoked_at[0] + 1.0:
                    late.append((began - revoked_at[0], status))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    form = {"token": token, "client_assertion_type": ASSERTION_TYPE, "client_assertion": town.lab.assertion()}
    assert post(town.made, "revoke", form).status == 200
    revoked_at[0] = time.monotonic()
    time.sleep(2.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert late
    assert {status for _, status in late} <= {401, 429}


def _by_hmac(app: Application) -> str:
    """An assertion "signed" with the public key as an HMAC secret (RFC 8725, 2.1): libraries refuse to make one."""
    _, body, _ = app.assertion().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": app.kid}).encode()).decode().rstrip("=")
    mac = hmac.digest(app.key.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(128, "big")).decode().rstrip("=")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _owner(made: Installation) -> psycopg.Connection[tuple[object, ...]]:
    folder = DataFolder.at(made.data)
    return psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True)
