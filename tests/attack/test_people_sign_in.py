"""People's sign-in: what a person who proves who she is gets through an application, and what nobody else does."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.jwk import ECKey

from hygie.app import dsns_of
from hygie.base.identifiers import luhn_digit
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from tests.attack.applications import ASSERTION_TYPE, PATIENT, Application, fhir, post
from tests.attack.installation import entries, noticed, trust
from tests.attack.sign_in_ward import HERE, OTHER_RPPS, RPPS, THERE, Ward, honest, is_lost, ward

__all__ = ["honest", "ward"]


def refused(answer: httpx.Response, name: str = "invalid_grant", status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] == name
    assert "access_token" not in answer.text


def read(ward: Ward, token: str) -> int:
    return fhir(ward.made, "GET", "Patient/absent", token).status


# --- the flow, by an independent client and a provider that we did not write


def test_an_independent_client_gets_a_person_in_through_a_real_provider(ward: Ward) -> None:
    with httpx.Client(verify=trust(ward.made)) as client:
        base = f"https://localhost:{ward.made.port}/chu/prod/fhir"
        told = client.get(f"{base}/.well-known/smart-configuration").json()
    assert {"launch-standalone", "client-public", "permission-user"} <= set(told["capabilities"])
    assert told["code_challenge_methods_supported"] == ["S256"]
    with (
        OAuth2Client(
            "mobile",
            token_endpoint_auth_method="none",
            revocation_endpoint_auth_method="none",
            redirect_uri=HERE,
            scope="openid fhirUser user/Patient.cruds launch/patient",
            code_challenge_method="S256",
            verify=trust(ward.made),
        ) as client,
        ward.browser() as browser,
    ):
        verifier = "v" * 64
        address, state = client.create_authorization_url(
            told["authorization_endpoint"], code_verifier=verifier, aud=base
        )
        browser.go("GET", address)
        link = next(one for one in browser.page.links if "provider=psc" in one)
        browser.go("GET", f"https://localhost:{ward.made.port}{link}")
        asked = httpx.post(browser.sent_to, data={"sub": "jeanne"}, follow_redirects=False)
        browser.go("GET", asked.headers["location"])
        assert "L'<i>mobile</i>" in browser.page.text
        assert "jeanne" in browser.page.text
        browser.submit("continue")
        assert browser.sent_to.startswith(HERE + "?")
        assert browser.told["iss"] == told["issuer"]
        token = client.fetch_token(
            told["token_endpoint"], authorization_response=browser.sent_to, state=state, code_verifier=verifier
        )
        assert token["scope"] == "user/Patient.cruds"
        assert 0 < token["expires_in"] <= 900
        made = client.post(f"{base}/Patient", json=PATIENT, headers={"Content-Type": "application/fhir+json"})
        assert made.status_code == 201
        assert client.get(f"{base}/Patient/{made.json()['id']}").status_code == 200
        assert client.get(f"{base}/Observation/absent").status_code == 403
        assert client.revoke_token(told["revocation_endpoint"], token=token["access_token"]).status_code == 200
        assert client.get(f"{base}/Patient/{made.json()['id']}").status_code == 401


def test_the_journal_names_person_number_proof_level_and_application(ward: Ward) -> None:
    token = ward.token()
    made = fhir(ward.made, "POST", "Patient", token, PATIENT)
    assert made.status == 201
    told = entries(ward.made, account="jeanne", on_behalf_of="mobile")
    assert {"session:open", "object:create"} <= {one.action.value for one in told if one.outcome == "done"}
    for one in told:
        assert one.professional_id == RPPS
    wrote = [one for one in told if one.action.value == "object:create"]
    assert wrote[-1].authentication.endswith("acr=eidas1")


def test_an_application_with_a_key_proves_itself_and_looks_at_its_token(ward: Ward) -> None:
    launch = ward.launch(client="dpi", redirect_uri=THERE)
    with ward.browser() as browser:
        ward.proven(browser, launch).submit("continue")
        assert browser.sent_to.startswith(THERE + "&")
        code = browser.told["code"]
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": ward.dpi.assertion()}
    answer = launch.exchange(code, client_id=None, **proof)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    assert read(ward, token) == 404
    form = {"token": token, "client_assertion_type": ASSERTION_TYPE, "client_assertion": ward.dpi.assertion()}
    told = post(ward.made, "introspect", form).json
    assert told["active"]
    assert (told["client_id"], told["sub"]) == ("dpi", "jeanne")


# --- codes


def test_a_code_is_used_once_and_shown_again_it_ends_what_it_gave(ward: Ward) -> None:
    launch = ward.launch()
    code = ward.code(launch)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(launch.exchange(code))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.status_code for one in answers) == [200, *[400] * 5]
    token = next(one.json()["access_token"] for one in answers if one.status_code == 200)
    assert read(ward, token) == 401  # one of those who had the code stole it
    refused(launch.exchange(code))


def test_a_code_is_nothing_to_another_application_address_or_verifier(ward: Ward) -> None:
    launch = ward.launch()
    code = ward.code(launch)
    refused(launch.exchange(code, client_id="dpi"), "invalid_client", 401)
    refused(launch.exchange(code, client_id=None), "invalid_client", 401)
    stolen = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": ward.dpi.assertion()}
    refused(launch.exchange(code, client_id=None, **stolen), "invalid_client", 401)
    refused(launch.exchange(code, redirect_uri=HERE + "/"))
    refused(launch.exchange(code, code_verifier="w" * 64))
    refused(launch.exchange(code, code_verifier=launch.challenge))
    refused(launch.exchange(code, code_verifier="short"))
    refused(launch.exchange(code, code_verifier=None), "invalid_request")
    for junk in ("", "x", code[:-4], code + "AAAA", "A" * 7_000):
        assert launch.exchange(junk).status_code == 400
    assert launch.exchange(code).status_code == 200  # none of them used it up


def test_an_application_with_a_key_is_never_taken_for_one_without(ward: Ward) -> None:
    """The downgrade: its code is stolen, and its key even ended."""
    keyed = Application(ward.made, "keyed", ECKey.generate_key("P-384", private=True))
    ward.application("keyed")
    (ward.folder / "keyed.json").write_text(keyed.jwks())
    key = ward.made.hygie("application", "add-key", "keyed", "--jwks", str(ward.folder / "keyed.json"))["key"]
    ward.made.hygie("application", "add-redirect", "keyed", THERE)
    launch = ward.launch(client="keyed", redirect_uri=THERE)
    code = ward.code(launch)
    refused(launch.exchange(code), "invalid_client", 401)
    ward.made.hygie("application", "revoke-key", str(key))
    refused(launch.exchange(code), "invalid_client", 401)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": keyed.assertion()}
    refused(launch.exchange(code, client_id=None, **proof), "invalid_client", 401)


# --- what an application, or who pretends to be one, asks for


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://attacker.example/"},
        {"redirect_uri": HERE + "/../evil"},
        {"redirect_uri": HERE + "?x=1"},
        {"redirect_uri": HERE.upper()},
        {"redirect_uri": HERE.replace("127.0.0.1", "127.0.0.1@attacker.example")},
        {"redirect_uri": HERE + "\r\nlocation: https://attacker.example"},
        {"redirect_uri": THERE},
        {"redirect_uri": None},
        {"client_id": "dpi"},
        {"client_id": "jeanne"},
        {"client_id": "nobody"},
        {"client_id": None},
    ],
)
def test_nobody_is_sent_to_an_address_that_was_not_registered(ward: Ward, changed: dict[str, str | None]) -> None:
    with ward.browser() as browser:
        browser.go("GET", ward.launch().address(**changed))
        assert "location" not in browser.answer.headers
        assert "HYG-1F1" in browser.page.text
        assert not browser.page.forms
        twice = ward.launch().address() + "&" + urlencode({"redirect_uri": "https://attacker.example/"})
        browser.go("GET", twice)
        assert "location" not in browser.answer.headers
        assert browser.answer.status_code == 400


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"state": "x" * 501}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://attacker.example/fhir"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"prompt": "none"}, "login_required"),
        ({"scope": "system/*.cruds openid"}, "invalid_scope"),
        ({"scope": "user/*.sr"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
    ],
)
def test_a_weak_request_goes_back_without_a_code(ward: Ward, changed: dict[str, str | None], error: str) -> None:
    launch = ward.launch()
    with ward.browser() as browser:
        for method in ("GET", "POST"):
            if method == "GET":
                browser.go("GET", launch.address(**changed))
            else:
                browser.go("POST", f"{launch.base}/oauth2/authorize", data=launch.asked(**changed))
            assert browser.sent_to.startswith(HERE + "?")
            assert browser.told["error"] == error
            assert "code" not in browser.told


def test_an_application_that_was_not_admitted_in_a_place_gets_nobody_in(ward: Ward) -> None:
    """The confused deputy: an application of one client sends people to another client's door."""
    for place in ("other/prod", "chu/none", "nobody/none"):
        with ward.browser() as browser:
            browser.go("GET", ward.launch(place=place).address())
            is_lost(browser, 401)
    launch = ward.launch()
    code = ward.code(launch)
    elsewhere = ward.launch(place="other/prod", state=launch.state, verifier=launch.verifier)
    refused(elsewhere.exchange(code))
    token = ward.token()
    with httpx.Client(verify=trust(ward.made)) as client:
        url = f"https://localhost:{ward.made.port}/other/prod/fhir/Patient/absent"
        answer = client.get(url, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 404
        assert "NotFound" in answer.text or "HYG-300" in answer.text


def test_scopes_are_what_person_and_application_both_may(ward: Ward) -> None:
    ward.application("viewer", "reader")
    ward.made.hygie("application", "add-redirect", "viewer", HERE, "--public")
    launch = ward.launch(client="viewer")
    answer = launch.exchange(ward.code(launch))
    assert answer.json()["scope"] == "user/*.rs"
    token = answer.json()["access_token"]
    assert read(ward, token) == 404
    assert fhir(ward.made, "POST", "Patient", token, PATIENT).status == 403
    ward.person("paul", OTHER_RPPS, "caregiver", "--type", "Observation")
    launch = ward.launch(scope="user/*.rs system/*.cruds patient/*.rs")
    answer = launch.exchange(ward.code(launch, OTHER_RPPS))
    assert answer.json()["scope"] == "user/Observation.rs"
    assert read(ward, answer.json()["access_token"]) == 403
    with ward.browser() as browser:
        ward.proven(browser, ward.launch(scope="user/Patient.rs"), OTHER_RPPS).submit("continue")
        assert browser.told["error"] == "invalid_scope"
        assert "code" not in browser.told


def test_nobody_enters_from_a_country_that_is_not_allowed(ward: Ward) -> None:
    launch = ward.launch()
    code = ward.code(launch)
    network = ward.made.hygie("network", "add", "127.0.0.1/32", "--country", "CH", "--label", "attack")["network"]
    try:
        with ward.browser() as browser:
            ward.proven(browser, ward.launch()).submit("continue")
            assert browser.answer.status_code == 403
            assert "HYG-2H0" in browser.page.text
            assert "location" not in browser.answer.headers
        answer = launch.exchange(code)
        assert answer.status_code == 403
        assert "access_token" not in answer.text
    finally:
        ward.made.hygie("network", "remove", network)
    abroad = [one for one in entries(ward.made, country="CH declared") if one.account == "jeanne"]
    assert {"person:prove", "session:open"} <= {one.action.value for one in abroad}
    assert {one.outcome for one in abroad if one.action.value == "session:open"} == {"refused"}
    assert launch.exchange(code).status_code == 200


# --- the end of sessions


@pytest.mark.parametrize("what", ["person", "habilitation", "application", "its habilitation", "address"])
def test_whatever_a_session_rests_on_ends_it_at_once_on_every_process(ward: Ward, what: str) -> None:
    number = {"person": "10000000041", "habilitation": "10000000058"}.get(what, RPPS)
    name = f"leaver{len(what)}"
    held = ward.person(name, number) if number != RPPS else ""
    app_held = ward.application(f"app{len(what)}")
    address = ward.made.hygie("application", "add-redirect", f"app{len(what)}", HERE, "--public")["key"]
    token = ward.token(ward.launch(client=f"app{len(what)}"), number)
    assert read(ward, token) == 404
    words = {
        "person": ("account", "disable", name),
        "habilitation": ("habilitation", "revoke", held),
        "application": ("account", "disable", f"app{len(what)}"),
        "its habilitation": ("habilitation", "revoke", app_held),
        "address": ("application", "revoke-key", str(address)),
    }[what]
    expected = {403, 429} if what == "habilitation" else {401, 429}
    assert _late(ward, token, lambda: ward.made.hygie(*words)) <= expected
    if what == "person":  # who left and still asks is a finding
        assert noticed(ward.made, "closed-account", account=name)["level"] == "high"
        shown = {"reason": "closed", "code": "HYG-260"}  # a token; a code that nobody could exchange names no account
        named = [one for one in entries(ward.made, action="session:refused") if shown.items() <= one.detail.items()]
        assert {one.account for one in named} == {name}


def test_a_person_ends_all_her_sessions_and_codes_under_way(ward: Ward) -> None:
    first, second = ward.token(), ward.token()
    launch = ward.launch()
    code = ward.code(launch)
    with ward.browser() as browser:
        ward.proven(browser, ward.launch())
        assert browser.page.text.count("chu/prod") >= 3  # where she is, and the sessions that she sees
        assert _late(ward, first, lambda: browser.submit("end")) <= {401, 429}
        assert browser.answer.status_code == 200
        assert any("password" in one.steps for one in browser.page.forms)
        browser.go("GET", f"{launch.base}/oauth2/sign-in")
        is_lost(browser)
    assert read(ward, second) == 401
    refused(launch.exchange(code))
    third = ward.token()
    assert read(ward, third) == 404
    listed = ward.made.hygie("person", "sessions")
    assert [(one["account"], one["application"]) for one in listed if one["account"] == "jeanne"] == [
        ("jeanne", "mobile")
    ]
    ward.made.hygie("person", "end-sessions", "jeanne")
    assert read(ward, third) == 401
    assert not [one for one in ward.made.hygie("person", "sessions") if one["account"] == "jeanne"]


def test_an_address_swapped_in_the_database_gets_nobody(ward: Ward) -> None:
    import psycopg

    folder = DataFolder.at(ward.made.data)
    with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True) as owner:
        change = "UPDATE hygie.client_key SET value = %s WHERE account = 'mobile' AND value = %s"
        owner.execute(change, ("https://attacker.example/", HERE))
        try:
            for uri in ("https://attacker.example/", HERE):
                with ward.browser() as browser:
                    browser.go("GET", ward.launch(redirect_uri=uri).address())
                    is_lost(browser, 401)
        finally:
            owner.execute(change, (HERE, "https://attacker.example/"))
    assert ward.token()


def test_addresses_that_are_no_place_to_come_back_to_are_refused(ward: Ward) -> None:
    for bad in (
        "http://dpi.example/",
        "https://a@b.example/",
        "https://a.example/#x",
        "app:/callback",
        "javascript:alert(1)",
        "http://localhost/",
        "http://[::1]/",
        "https://a.example/;x",
        "https://*.example/",
        "https://a.example/é",
    ):
        answer = ward.made.hygie("application", "add-redirect", "mobile", bad, exit_code=10)
        assert answer["error"]["code"] == "HYG-162", bad
    answer = ward.made.hygie("application", "add-redirect", "jeanne", HERE, exit_code=10)
    assert answer["error"]["code"] == "HYG-160"


def _late(ward: Ward, token: str, act: Callable[[], object]) -> set[int]:
    """What readers under load are told a second after an act has ended, on whichever process.

    They have an address of their own: as many refusals would have other tests' address wait.
    """
    transport = {"verify": trust(ward.made), "local_address": f"127.0.0.{secrets.randbelow(200) + 20}"}
    late: set[int] = set()
    stop = threading.Event()
    acted_at = [float("inf")]

    def readers() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(transport=httpx.HTTPTransport(**transport), headers=headers) as client:
            while not stop.is_set():
                began = time.monotonic()
                status = client.get(f"https://127.0.0.1:{ward.made.port}/chu/prod/fhir/Patient/absent").status_code
                if began > acted_at[0] + 1.0:
                    late.add(status)

    threads = [threading.Thread(target=readers) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    act()
    acted_at[0] = time.monotonic()
    time.sleep(1.6)
    stop.set()
    for thread in threads:
        thread.join()
    assert late
    return late


def test_who_reads_outside_her_care_the_record_of_a_namesake_is_found(ward: Ward) -> None:
    number = "1000000010" + luhn_digit("1000000010")
    ward.person("durand", number)
    token = ward.token(number=number)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "CEL"}
    ids = {}
    for family, more in (("DÜRAND-Petit", {}), ("Secretdejeanne", {"meta": {"security": [label]}})):
        body = {"resourceType": "Patient", "name": [{"family": family}], **more}
        ids[family] = fhir(ward.made, "POST", "Patient", token, body).json["id"]
        assert fhir(ward.made, "GET", f"Patient/{ids[family]}", token).status == 200
    found = fhir(ward.made, "GET", f"Patient?_id={','.join(ids.values())}&_total=accurate", token).json
    assert found["total"] == 2
    words = ({"same_name": "yes"}, {"vip": "yes"})
    for action, more in (("object:read", {}), ("object:search", {"total": "2"})):
        made = [one.detail for one in entries(ward.made, action=action, outcome="done") if one.account == "durand"]
        assert sorted(made, key=str) == sorted([more | one for one in words], key=str)
    noticed(ward.made, "same-name")


def test_rights_are_decided_through_an_application_of_rights_only(ward: Ward) -> None:
    """Last: from here on the ward's rights are her officer's. A person's own rights are not enough: the application
    through which she comes must be one of rights."""
    made, number = ward.made, "1000000009" + luhn_digit("1000000009")
    ward.application("droits", "rights-application")
    made.hygie("application", "add-redirect", "droits", HERE + "/droits", "--public")
    ward.person("rita", number, "rights-officer")

    def ask(token: str, what: str) -> int:
        with httpx.Client(verify=trust(made)) as client:
            url = f"https://localhost:{made.port}/chu/prod/rights/{what}"
            return client.get(url, headers={"Authorization": f"Bearer {token}"}).status_code

    launch = ward.launch(client="droits", redirect_uri=HERE + "/droits", scope="hygie/rights user/*.rs")
    token = ward.token(launch, number)
    assert (ask(token, "requests"), ask(token, "habilitations"), read(ward, token)) == (200, 200, 403)
    launch = ward.launch(client="droits", redirect_uri=HERE + "/droits", scope="hygie/rights")
    nurse = ward.token(launch)  # of jeanne, a caregiver: her own requests, nothing more
    assert (ask(nurse, "requests"), ask(nurse, "habilitations")) == (200, 403)
    plain = ward.token(ward.launch(scope="user/*.rs hygie/rights"))
    assert (ask(plain, "requests"), read(ward, plain)) == (403, 404)  # mobile is no application of rights
    for role in ("reader", "caregiver"):  # roles of people, which may ask: the application that holds one may not
        ward.application(f"show-{role}", role)
        made.hygie("application", "add-redirect", f"show-{role}", HERE, "--public")
        with ward.browser() as browser:
            ward.proven(browser, ward.launch(client=f"show-{role}", scope="hygie/rights"), number).submit("continue")
            assert browser.told["error"] == "invalid_scope"
