"""People prove who they are by password and code, by security key, by an identity elsewhere; and stop at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hygie.gate.errors import SignInRefusedError
from hygie.gate.gate import Whence
from hygie.gate.sessions import Session, new_id
from tests.unit.gate.peoples_stage import BY_HAND, PASSWORD, WARD, Stage, staged


def run(open_house: Any, main: Callable[[Stage], Awaitable[None]], **how: Any) -> None:
    async def on_stage() -> None:
        async with open_house() as house, staged(house, **how) as stage:
            await main(stage)

    asyncio.run(on_stage())


async def refused(call: Awaitable[Any], reason: str) -> None:
    with pytest.raises(SignInRefusedError) as caught:
        await call
    assert caught.value.facts["reason"] == reason


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
            return stage.gates[0].snapshot.bearer_of(session)

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
