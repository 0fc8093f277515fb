"""T-60: access from where it is not allowed, by real doors: addresses of 127.0.0.0/8 declared in other countries."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import psycopg
import pytest

from hygie.app import dsns_of
from hygie.base.actions import Action
from hygie.base.layout import DataFolder
from hygie.base.settings import load_settings
from hygie.gate.errors import AdministrationError, ForgedRightsError
from hygie.gate.platform_ledger import REVOKING
from tests.acceptance.conftest import CommandFailedError
from tests.attack.installation import Answer, Installation, ask, attacked, connected, entries, whole_journal

PATIENT = {"resourceType": "Patient", "name": [{"family": "Secretdejeanne"}]}
HOME, BERLIN, BERN, TORONTO = "127.0.0.1", "127.1.0.1", "127.2.0.1", "127.3.0.1"
UNTIL_TOLD = ("--reference", "safeguards 12", "--reason", "support")


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    with attacked() as one:
        for address, country in ((BERLIN, "DE"), (BERN, "CH"), (TORONTO, "CA")):
            one.hygie("network", "add", f"{address}/32", "--country", country, "--label", "attack")
        yield one


def seen(made: Installation, source: str, path: str = "/chu/prod/fhir/Patient/absent") -> Answer:
    return ask(made, path, made.token, source=source)


def told(made: Installation, source: str, **fields: object) -> list[str]:
    """The countries that entries of an address say."""
    return [entry.country for entry in entries(made, address=source, **fields)]


def test_outside_the_list_nothing_is_reached_and_the_refusal_says_from_where(made: Installation) -> None:
    assert (seen(made, HOME).status, seen(made, BERLIN).status) == (404, 404)
    for path in ("/chu/prod/fhir/Patient/absent", "/chu/prod/fhir/Patient?family=x", "/chu/prod/fhir/_history"):
        answer = seen(made, BERN, path)
        assert (answer.status, answer.code) == (403, "HYG-2H0")
    for method, body in (("POST", PATIENT), ("PUT", PATIENT), ("DELETE", None)):
        answer = ask(made, "/chu/prod/fhir/Patient/p1", made.token, method=method, body=body, source=BERN)
        assert answer.status in (403, 405)
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": []}
    assert ask(made, "/chu/prod/fhir", made.token, method="POST", body=bundle, source=BERN).code == "HYG-2H0"
    assert set(told(made, BERN)) == {"CH declared"}
    assert {(e.outcome, e.kind) for e in entries(made, address=BERN)} == {("refused", "security")}
    assert set(told(made, HOME, account="app")) == {"FR assumed"}
    assert set(told(made, BERLIN)) == {"DE declared"}


def test_no_header_moves_anybody(made: Installation) -> None:
    connection: http.client.HTTPSConnection = connected(made, BERN)
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-IPCountry", "True-Client-IP"):
        headers = {"Authorization": f"Bearer {made.token}", name: "for=127.0.0.1" if name == "Forwarded" else HOME}
        connection.request("GET", "/chu/prod/fhir/Patient/absent", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 403, name
    connection.close()


def test_whether_a_place_is_there_is_not_told_by_where_one_asks_from(made: Installation) -> None:
    assert seen(made, BERN, "/nobody/prod/fhir/Patient/absent").status == 404
    assert ask(made, "/chu/prod/fhir/Patient/absent", "hyg_wrong", source=BERN).status == 401


def test_an_exception_opens_for_one_client_with_its_basis_and_its_end_shuts_it(made: Installation) -> None:
    refused = [
        ("chu", "CA", "--basis", "rgpd-46"),  # the client was not told
        ("chu", "CA", "--basis", "rgpd-46", "--told-on", "yesterday"),
        ("chu", "CA", "--basis", "rgpd-45", "--days", "400"),
        ("chu", "Canada", "--basis", "rgpd-45"),
    ]
    for words in refused:
        answer = made.hygie("country", "except", *words, *UNTIL_TOLD, exit_code=10)
        assert answer["error"]["code"] == AdministrationError.code
    assert seen(made, TORONTO).status == 403
    basis = ("--basis", "rgpd-46", "--told-on", "2026-01-02")
    rule = made.hygie("country", "except", "chu/prod", "CA", *basis, *UNTIL_TOLD)["rule"]
    assert (seen(made, TORONTO).status, seen(made, BERN).status) == (404, 403)
    (shown,) = [row for row in made.hygie("country", "list") if row["id"] == rule]
    assert (shown["subject"], shown["basis"], shown["told_on"]) == ("chu/prod", "rgpd-46", "2026-01-02")
    (said,) = entries(made, action=Action.COUNTRY_SET)
    assert (said.detail["countries"], said.detail["basis"]) == ("CA", "rgpd-46")
    made.hygie("country", "remove", rule)
    assert seen(made, TORONTO).status == 403


def test_a_list_narrows_and_cannot_widen(made: Installation) -> None:
    with pytest.raises(CommandFailedError):
        made.hygie("country", "allow", "chu", "FR", "CH", "--reason", "attack")
    made.hygie("country", "allow", "chu", "FR", "DE", "--reason", "attack")
    rule = made.hygie("country", "allow", "chu", "FR", "--reason", "attack")["rule"]  # takes the place of the first
    assert (seen(made, HOME).status, seen(made, BERLIN).status) == (404, 403)
    made.hygie("country", "remove", rule)
    assert seen(made, BERLIN).status == 404


def test_a_network_too_wide_or_twice_is_refused(made: Installation) -> None:
    for cidr in ("0.0.0.0/0", "::/0", "10.0.0.1/8", "elsewhere", f"{BERN}/32"):
        made.hygie("network", "add", cidr, "--country", "FR", "--label", "attack", exit_code=10)


def test_a_list_altered_by_sql_shuts_and_one_taken_away_is_named(made: Installation) -> None:
    """Without it all of Europe would be let in again, and nobody told."""
    folder = DataFolder.at(made.data)
    rule = made.hygie("country", "allow", "chu", "FR", "--reason", "attack")["rule"]
    with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True) as owner:
        owner.execute("UPDATE hygie.country_rule SET countries = 'DE FR' WHERE id = %s", (rule,))
        assert (seen(made, HOME).status, seen(made, BERLIN).status) == (403, 403)
        owner.execute("UPDATE hygie.country_rule SET countries = 'FR' WHERE id = %s", (rule,))
        assert (seen(made, HOME).status, seen(made, BERLIN).status) == (404, 403)
        owner.execute("DELETE FROM hygie.country_rule WHERE id = %s", (rule,))
    assert seen(made, BERLIN).status == 404
    answer = made.hygie("journal", "reconcile", exit_code=50)["error"]
    assert f"country_rule {rule} (absent)" in str(answer)
    again = made.hygie("country", "allow", "chu", "FR", "--reason", "attack")["rule"]
    assert made.hygie("journal", "reconcile")["wrong"] == []
    made.hygie("country", "remove", again)
    assert made.hygie("journal", "reconcile")["wrong"] == []


def test_a_network_written_or_altered_by_sql_moves_nobody_and_is_named(made: Installation) -> None:
    folder = DataFolder.at(made.data)
    with psycopg.connect(dsns_of(load_settings(folder.path), folder).owner, autocommit=True) as owner:
        owner.execute("UPDATE hygie.network SET country = 'FR' WHERE country = 'CH'")
        owner.execute(
            "INSERT INTO hygie.network SELECT 'forged', '127.3.0.0/24', 'FR', whose, label, created_ms, ends_ms, NULL,"
            " mac FROM hygie.network LIMIT 1"
        )
        owner.execute(
            "INSERT INTO hygie.country_rule SELECT 'forged2', 'exception', encode(id, 'hex'), 'CA', 'rgpd-45', 'x', '',"
            " 'attack', 1, 9000000000000, NULL, NULL FROM hygie.tenant LIMIT 1"
        )
    assert seen(made, TORONTO).status == 403
    # a row altered gives nothing: the address is private, so the installation's own country counts again
    assert seen(made, BERN).status == 404
    assert told(made, BERN, outcome="absent") == ["FR assumed"]
    named = " ".join(e.detail.get("rights", "") for e in whole_journal(made) if e.action is Action.RIGHT_REFUSED)
    assert "network forged" in named
    assert "country_rule forged2" in named
    answer = made.hygie("journal", "reconcile", exit_code=50)["error"]
    assert answer["code"] == ForgedRightsError.code


def test_withdrawals_are_applied_again_after_a_rebuild() -> None:
    assert {Action.NETWORK_REMOVE, Action.COUNTRY_REMOVE, Action.LIMIT_REMOVE} <= REVOKING
