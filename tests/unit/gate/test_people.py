"""People prove who they are by password and code, by security key, by an identity elsewhere; and stop at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hygie.app import opened
from hygie.base.actions import Action
from hygie.base.errors import RefusedError
from hygie.database.pool import Database
from hygie.gate.authenticators import new_code, plain_code
from hygie.gate.enrolment import Chosen
from hygie.gate.errors import (
    AlreadyEnrolledError,
    AuthenticatorRefusedError,
    PasswordRefusedError,
    SignInRefusedError,
)
from hygie.gate.gate import Whence
from hygie.gate.lockout import DAY_MS, KNOWN_MS
from hygie.gate.platform_ledger import apply_revocations, import_platform, read_platform
from hygie.gate.sessions import Session, new_id
from hygie.gate.webauthn import WebAuthn
from hygie.journal.entry import Entry
from hygie.trimming import run_trim
from tests.unit.gate.peoples_stage import BY_HAND, ORIGIN, PASSWORD, WARD, Key, Stage, Telephone, journaled, staged


def run(open_house: Any, main: Callable[[Stage], Awaitable[None]], **how: Any) -> None:
    async def on_stage() -> None:
        async with open_house() as house, staged(house, **how) as stage:
            await main(stage)

    asyncio.run(on_stage())


async def refused(call: Awaitable[Any], reason: str) -> None:
    with pytest.raises(SignInRefusedError) as caught:
        await call
    assert caught.value.facts["reason"] == reason


async def refused_by_any(call: Awaitable[Any]) -> None:
    with pytest.raises(SignInRefusedError):
        await call


def test_a_password_with_its_code_signs_in_and_neither_alone(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        proven = await stage.door.by_password("marie", PASSWORD, telephone.code(), WARD)
        assert (proven.account, proven.method, proven.acr) == ("marie", "password+totp", "mfa")
        await refused(stage.door.by_password("marie", PASSWORD, "", WARD), "code")
        await refused(stage.door.by_password("marie", "not " + PASSWORD, telephone.code(), WARD), "password")
        await refused(stage.door.by_password("nobody", PASSWORD, telephone.code(), WARD), "account")

    run(open_house, main)


def test_a_session_ends_with_what_proved_it_and_with_its_account(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        async def bearer(session: Session) -> Any:
            await stage.gates[0].refresh()
            return stage.gates[0].snapshot.bearer_of(session, stage.clock.now_ms())

        place = (await stage.acts.environment("chu", "prod")).place
        for which in ("password", "totp", "account"):
            name = f"for-{which}"
            telephone = await stage.enrolled(name)
            proven = await stage.door.by_password(name, PASSWORD, telephone.code(), WARD)
            far = stage.clock.now_ms() + 10**12
            session = Session(
                new_id(), name, proven.authenticator, place.tenant_id, place.environment_id, 1, far, proven.method, ()
            )
            found = await bearer(session)
            assert found is not None
            assert found.account == name
            if which == "account":
                await stage.acts.disable_account(name)
            else:
                rows = await stage.rows(
                    "SELECT id FROM hygie.authenticator WHERE account = %s AND kind = %s", name, which
                )
                await stage.acts.revoke_authenticator(rows[0][0])
            assert await bearer(session) is None
            reason = "account" if which == "account" else "no password"
            await refused(stage.door.by_password(name, PASSWORD, telephone.code(), WARD), reason)

    run(open_house, main)


def test_a_security_key_signs_in_without_a_name(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        key = await stage.with_key("paul", counter=5)
        for account in ("", "paul"):
            options = await stage.door.webauthn_options(account, WARD)
            assert not options.get("allowCredentials")
            proven = await stage.door.by_webauthn(key.sign(options), WARD)
            assert (proven.account, proven.method, proven.acr) == ("paul", "webauthn", "phr")

    run(open_house, main)


def test_a_name_is_typed_as_people_type_it(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        key = await stage.with_key("marie")
        options = await stage.door.webauthn_options(" Marie ", WARD)
        assert (await stage.door.by_webauthn(key.sign(options), WARD)).account == "marie"

    run(open_house, main)


def test_two_who_enrol_a_person_at_once_are_one_first(open_house: Any) -> None:
    """The second one would be there beside the first, without the person's word."""

    async def main(stage: Stage) -> None:
        await stage.person("marie")
        links = [stage.acts.link("marie", "https://psc.example", f"s{n}", BY_HAND) for n in range(2)]
        found = await asyncio.gather(*links, return_exceptions=True)
        assert sum(isinstance(one, AlreadyEnrolledError) for one in found) == 1
        assert len(await stage.rows("SELECT id FROM hygie.authenticator WHERE account = 'marie'")) == 1
        with pytest.raises(AlreadyEnrolledError):
            await stage.acts.enrol("marie", BY_HAND, hours=1)

    run(open_house, main)


def test_no_code_is_given_to_who_uses_his_at_that_moment(open_house: Any) -> None:
    """It would let an operator in beside a person who is enrolled by then."""

    async def main(stage: Stage) -> None:
        await stage.person("marie")
        code = await stage.acts.enrol("marie", BY_HAND, hours=1)
        ((id_,),) = await stage.rows("SELECT id FROM hygie.authenticator")
        now_ms = stage.clock.ms
        values = (id_, plain_code(code), now_ms, now_ms + 10**9, ["new"], ["webauthn"], [b"x"], [""], [bytes(32)])
        async with await psycopg.AsyncConnection.connect(stage.house.dsns.owner) as using:
            await using.execute(f"SELECT hygie.activate({', '.join(['%s'] * 9)})".encode(), values)
            enrolling = asyncio.create_task(stage.acts.enrol("marie", BY_HAND, hours=1))
            await asyncio.sleep(0.3)
        with pytest.raises(AlreadyEnrolledError):
            await enrolling

    run(open_house, main)


def test_an_identity_elsewhere_is_one_persons(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        for name in ("anne", "luc"):
            await stage.person(name)
        issuer = "https://auth.example/realms/chu"
        link = await stage.acts.link("anne", issuer, "f:1:anne", BY_HAND)
        proven = await stage.door.by_identity(issuer, "f:1:anne", acr="eidas2", method="oidc", where=WARD)
        assert (proven.account, proven.authenticator, proven.acr) == ("anne", link, "eidas2")
        wrong = [(issuer, "f:1:Anne"), (issuer + "/", "f:1:anne"), ("https://other.example", "f:1:anne")]
        for other, subject in wrong:
            call = stage.door.by_identity(other, subject, acr="", method="oidc", where=WARD)
            await refused(call, "identity")
        await stage.acts.revoke_authenticator(link)
        await refused(stage.door.by_identity(issuer, "f:1:anne", acr="", method="oidc", where=WARD), "identity")

    run(open_house, main)


def test_every_sign_in_is_in_the_journal_before_it_is_answered(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        count = "SELECT count(*) FROM hygie.journal_pending"
        before = (await stage.rows(count))[0][0]
        await stage.door.by_password("marie", PASSWORD, telephone.code(), Whence("10.1.1.1", ""))
        assert (await stage.rows(count))[0][0] == before + 1
        await refused(stage.door.by_password("marie", PASSWORD, "000000", WARD), "code")
        assert (await stage.rows(count))[0][0] == before + 2

    run(open_house, main)


def test_entries_of_sign_ins_and_enrolments_say_from_which_country(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        await stage.door.by_password("marie", PASSWORD, telephone.code(), WARD)
        await stage.with_key("rita")
        for _ in range(4):  # the last one finds a lock
            await refused_by_any(stage.door.by_password("marie", PASSWORD, "000000", WARD))
        said = [one for one in await journaled(stage.house) if one.address == WARD.address]
        assert {Action.PERSON_PROVE, Action.PERSON_LOCK, Action.AUTHENTICATOR_CREATE, Action.AUTHENTICATOR_REVOKE} <= {
            one.action for one in said
        }
        assert {one.country for one in said} == {"FR assumed"}

    run(open_house, main)


def test_authenticators_come_back_with_the_platforms_ledger(open_house: Any, new_database: Any) -> None:
    """A ledger from before the last withdrawal: the journal's entries take it back again."""

    async def main(stage: Stage) -> None:
        await stage.enrolled("marie")
        async with stage.owner.transaction() as connection:
            platform = await read_platform(connection, stage.clock.ms)
        everything = "SELECT * FROM hygie.authenticator ORDER BY id"
        before = await stage.rows(everything)
        assert len(before) == 3
        empty = Database(new_database().owner, size=1)
        await empty.open()
        try:
            async with empty.transaction() as connection:
                await import_platform(connection, platform)
            async with empty.transaction() as connection:
                assert await (await connection.execute(everything.encode())).fetchall() == before
            live = next(row[0] for row in before if row[2] == "password")
            said = Entry(Action.AUTHENTICATOR_REVOKE, "done", "administration", 7, detail={"authenticator": live})
            async with empty.transaction() as connection:
                assert await apply_revocations(connection, [said]) == 1
                cursor = await connection.execute(
                    "SELECT revoked_ms, mac FROM hygie.authenticator WHERE id = %s", (live,)
                )
                assert await cursor.fetchone() == (7, None)
        finally:
            await empty.close()

    run(open_house, main)


def test_what_a_provider_says_and_does_not_hold_is_in_the_journal(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        for error in (RefusedError(reason="aud"), RefusedError(reason_fr="pas de code", reason_en="no code")):
            with pytest.raises(RefusedError):
                await stage.door.refuse_identity(error, WARD)
        said = [one for one in await journaled(stage.house) if one.action is Action.SESSION_REFUSED]
        assert [(one.outcome, one.address, one.detail["reason"]) for one in said] == [
            ("refused", WARD.address, "aud"),
            ("refused", WARD.address, "no code"),
        ]

    run(open_house, main)


def test_a_credential_is_one_persons_whatever_key_stands_beside_it(open_house: Any) -> None:
    """A sign-in names the credential alone: who copies its id would be asked for in place of its owner."""

    async def main(stage: Stage) -> None:
        owner = await stage.with_key("marie")
        thief = Key(credential=owner.credential)
        await stage.person("luc")
        code = await stage.acts.enrol("luc", BY_HAND, hours=1)
        answer = thief.register(await stage.door.registration_options("luc", code, WARD))
        with pytest.raises(AuthenticatorRefusedError) as caught:
            await stage.door.activate_key("luc", code, answer, "", WARD)
        assert "déjà enregistré" in caught.value.sentence("fr")
        options = await stage.door.webauthn_options("", WARD)
        assert (await stage.door.by_webauthn(owner.sign(options), WARD)).account == "marie"
        rows = await stage.rows("SELECT id FROM hygie.authenticator WHERE account = 'marie' AND kind = 'webauthn'")
        await stage.acts.revoke_authenticator(rows[0][0])
        answer = thief.register(await stage.door.registration_options("luc", code, WARD))
        await stage.door.activate_key("luc", code, answer, "", WARD)  # it is free again, and his code still his

    run(open_house, main)


def test_nobody_takes_his_own_name_for_a_password(open_house: Any) -> None:
    async def main(stage: Stage) -> None:
        await stage.acts.create_account(
            "m.d7", kind="person", label="Marguerite Duras-Yourcenar", professional_id="", days=30
        )
        code = await stage.acts.enrol("m.d7", BY_HAND, hours=1)
        telephone = Telephone(stage.clock)
        chosen = Chosen("marguerite.yourcenar.7", telephone.secret, telephone.code())
        with pytest.raises(PasswordRefusedError):
            await stage.door.activate_password("m.d7", code, chosen, WARD)

    run(open_house, main)


def test_tries_under_invented_names_are_forgotten_after_two_days(open_house: Any) -> None:
    """Else whoever invents names fills the table for a month."""

    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        await stage.door.by_password("marie", PASSWORD, telephone.code(), WARD)
        for rank in range(3):
            await refused(stage.door.by_password(f"invented{rank}", "x", "000000", WARD), "account")
        assert await stage.rows("SELECT count(*) FROM hygie.sign_in") == [(8,)]
        async with opened(stage.house.dsns.sealer, size=1) as records:
            await run_trim(records, stage.clock.ms + DAY_MS)
            assert await stage.rows("SELECT count(*) FROM hygie.sign_in") == [(8,)]
            await run_trim(records, stage.clock.ms + 2 * DAY_MS + 1)
            assert await stage.rows("SELECT count(*) FROM hygie.sign_in") == [(1,)]  # where marie signed in
            await run_trim(records, stage.clock.ms + KNOWN_MS + 1)
            assert await stage.rows("SELECT count(*) FROM hygie.sign_in") == [(0,)]

    run(open_house, main)


def test_codes_are_read_as_people_write_them() -> None:
    code = new_code()
    assert len(plain_code(code)) == 25
    assert plain_code(f" {code.lower().replace('-', ' ')} ") == plain_code(code)
    assert plain_code("OIL00-" * 5) == "01100" * 5
    for wrong in ("", code[:-1], code + "A", code[:-1] + "é", code[:-1] + "U"):
        assert plain_code(wrong) == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_MEMBERS = st.sampled_from(["id", "rawId", "type", "response", "clientExtensionResults"])
_INSIDE = st.sampled_from(["clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject"])


@settings(max_examples=300, deadline=None)
@example({"id": "x", "rawId": "x", "type": "public-key", "response": {"clientDataJSON": 1 << 40}})  # 1 TiB of zeros
@example({"id": 1 << 40, "rawId": "x", "type": "public-key", "response": {}})
@given(st.dictionaries(_MEMBERS, _JSON | st.dictionaries(_INSIDE, _JSON), max_size=5))
def test_a_response_that_is_none_is_refused_whatever_it_is(response: dict[str, Any]) -> None:
    keys = WebAuthn([ORIGIN], bytes(32))
    with pytest.raises(SignInRefusedError):
        keys.signed(response, [], 1)
    with pytest.raises(SignInRefusedError):
        keys.registered(response, "marie", 1)
