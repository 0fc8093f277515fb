"""Codes and sessions of people, at the instants where they end; tokens of before people signed in still read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from hygie.base.actions import Action
from hygie.base.errors import RefusedError
from hygie.base.roles import Role
from hygie.gate.clients import REDIRECT, REDIRECT_PUBLIC
from hygie.gate.desk import Opened, Proof, SessionDesk
from hygie.gate.errors import (
    AdministrationError,
    ClientRefusedError,
    CodeRefusedError,
    ElsewhereError,
    ScopeError,
    SignInRefusedError,
)
from hygie.gate.everywhere import HOST_PLACE, HOST_TENANT
from hygie.gate.gate import Whence
from hygie.gate.jwks_source import JwksSource
from hygie.gate.narrowing import WHOLE, Limits
from hygie.gate.people_administration import Shown
from hygie.gate.person_desk import PersonDesk, Registered, challenge_of, is_challenge, person_scopes
from hygie.gate.proofs import Proven
from hygie.gate.scopes import RIGHTS
from hygie.gate.sessions import Session, open_session, seal_session
from hygie.gate.snapshot import proof_by_number
from tests.unit.gate.peoples_stage import BY_HAND, PASSWORD, WARD, Stage, journaled, staged

HERE = ("chu", "prod")
BACK = "https://dpi.example/callback"
VERIFIER = "v" * 64
LIFE_MS = 15 * 60_000


class Ward:
    """A desk on the stage, with an application and a person who has a number."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        gate, house = stage.gates[0], stage.house
        keys = self.keys = SessionDesk(
            gate,
            house.database,
            house.journal,
            stage.clock,
            source=JwksSource(),
            life_ms=300_000,  # type: ignore[arg-type]
        )
        self.desk = PersonDesk(
            gate, house.database, house.journal, stage.clock, kms=house.kms, applications=keys, life_ms=LIFE_MS
        )
        self.gate = gate

    async def set_up(self) -> None:
        acts = self.stage.acts
        for name, kind, number in (("dpi", "application", ""), ("jeanne", "person", "810000000017")):
            await acts.create_account(name, kind=kind, label=name, professional_id=number, days=300)
            role = Role.APPLICATION if kind == "application" else Role.CAREGIVER
            await acts.grant(name, *HERE, role=role, reason="stage", approver="chief", days=30)
        await acts.add_client_key("dpi", kind=REDIRECT_PUBLIC, value=BACK, days=30)

    async def proven(self) -> Proven:
        found = await self.stage.door.by_identity(
            "https://psc.example", "f:1", acr="eidas1", method="oidc:psc", where=WARD, professional_id="10000000017"
        )
        assert found.authenticator == proof_by_number("10000000017")
        return found

    async def code(
        self,
        proven: Proven | None = None,
        registered: Registered | None = None,
        scopes: tuple[str, ...] = ("user/*.cruds",),
    ) -> str:
        proven = proven or await self.proven()
        registered = registered or await self.desk.registered(HERE, "dpi", BACK, WARD)
        how = {"challenge": challenge_of(VERIFIER), "scopes": scopes}
        return await self.desk.code(registered, proven, where=WARD, **how)  # type: ignore[arg-type]

    async def exchange(self, code: str, client: str = "dpi") -> Any:
        proof = Proof(client, "", WARD, frozenset())
        return await self.desk.exchange(HERE, proof, code=code, verifier=VERIFIER, redirect_uri=BACK)

    async def application(self, name: str, *roles: Role, days: int = 30, limits: Limits = WHOLE) -> None:
        """One more application, which may get people back."""
        await self.stage.acts.create_account(name, kind="application", label=name, professional_id="", days=300)
        for role in roles:
            how = {"reason": "stage", "approver": "chief", "days": days, "limits": limits}
            await self.stage.acts.grant(name, *HERE, role=role, **how)  # type: ignore[arg-type]
        await self.stage.acts.add_client_key(name, kind=REDIRECT_PUBLIC, value=BACK, days=30)

    async def entered(self, client: str, *scopes: str) -> Opened:
        """A session of the person through an application."""
        registered = await self.desk.registered(HERE, client, BACK, WARD)
        opened: Opened = await self.exchange(await self.code(registered=registered, scopes=scopes), client)
        return opened

    async def admits(self, token: str, action: Action) -> bool:
        try:
            await self.gate.admit(token, tenant=HERE[0], environment=HERE[1], action=action)
        except RefusedError:
            return False
        return True


def run(open_house: Any, main: Callable[[Ward], Awaitable[None]]) -> None:
    async def on_stage() -> None:
        async with open_house() as house, staged(house) as stage:
            ward = Ward(stage)
            await ward.set_up()
            await main(ward)

    asyncio.run(on_stage())


async def refused(call: Awaitable[Any], reason: str) -> None:
    with pytest.raises(CodeRefusedError) as caught:
        await call
    assert caught.value.facts["reason"] == reason


def test_a_code_lives_a_minute_and_a_session_a_quarter_of_an_hour(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        late = await ward.code()
        ward.stage.clock.ms += 60_000
        await refused(ward.exchange(late), "expired")
        code = await ward.code()
        ward.stage.clock.ms += 59_999
        opened = await ward.exchange(code)
        assert opened.session.expires_ms - opened.session.issued_ms == LIFE_MS
        bearer = ward.gate.bearer(opened.token)
        assert bearer is not None
        assert (bearer.account, bearer.application, bearer.authentication) == ("jeanne", "dpi", "oidc:psc acr=eidas1")
        ward.stage.clock.ms += LIFE_MS
        assert ward.gate.bearer(opened.token) is None

    run(open_house, main)


def test_whoever_was_closed_before_the_exchange_gets_nothing(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        code = await ward.code()
        registered = await ward.desk.registered(HERE, "dpi", BACK, WARD)
        await ward.stage.acts.revoke_client_key(registered.redirect.id)
        await refused(ward.exchange(code), "closed")
        with pytest.raises(ClientRefusedError):
            await ward.desk.registered(HERE, "dpi", BACK, WARD)
        await ward.stage.acts.add_client_key("dpi", kind=REDIRECT_PUBLIC, value=BACK, days=30)
        code, proven = await ward.code(), await ward.proven()
        await ward.stage.acts.disable_account("jeanne")
        await refused(ward.exchange(code), "closed")
        with pytest.raises(ScopeError):
            await ward.code(proven)

    run(open_house, main)


def test_the_end_of_all_sessions_is_an_instant(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        registered = await ward.desk.registered(HERE, "dpi", BACK, WARD)
        before = await ward.exchange(await ward.code())
        under_way = await ward.code()
        ward.stage.clock.ms += 1
        assert len(await ward.desk.sessions("jeanne")) == 1
        await ward.desk.end_all(await ward.proven(), registered, WARD)
        assert await ward.desk.sessions("jeanne") == []
        await ward.gate.refresh()
        assert ward.gate.bearer(before.token) is None
        await refused(ward.exchange(under_way), "closed")
        ward.stage.clock.ms += 1
        after = await ward.exchange(await ward.code())
        assert ward.gate.bearer(after.token) is not None

    run(open_house, main)


def test_a_number_that_two_accounts_have_names_neither(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        await ward.proven()
        await ward.stage.acts.create_account(
            "twin", kind="person", label="twin", professional_id="10000000017", days=300
        )
        with pytest.raises(SignInRefusedError):
            await ward.proven()

    run(open_house, main)


def test_a_code_shown_again_after_its_minute_ends_what_it_gave(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        code, unused = await ward.code(), await ward.code()
        opened = await ward.exchange(code)
        ward.stage.clock.ms += 60_000
        assert ward.gate.bearer(opened.token) is not None
        for late in (unused, code, code):
            await refused(ward.exchange(late), "expired")
        await ward.gate.refresh()
        assert ward.gate.bearer(opened.token) is None  # one of those who had the code stole it
        assert await ward.stage.rows("SELECT count(*) FROM hygie.session_end") == [(1,)]

    run(open_house, main)


def test_a_recovery_ends_sessions_that_a_number_opened(open_house: Any) -> None:
    """No authenticator stands behind them, whose end would be theirs."""

    async def main(ward: Ward) -> None:
        stage = ward.stage
        phones = [(name, await stage.enrolled(name, Role.RIGHTS_OFFICER)) for name in ("ada", "bob")]
        opened = await ward.exchange(await ward.code())
        stage.clock.ms += 1
        shown = [Shown(name, PASSWORD, phone.code()) for name, phone in phones]
        await stage.acts.recover("jeanne", "telephone perdu", shown, BY_HAND, hours=1)
        await ward.gate.refresh()
        assert ward.gate.bearer(opened.token) is None

    run(open_house, main)


ABROAD = Whence("8.8.8.8", "browser")


async def countries(ward: Ward, action: Action, account: str = "jeanne") -> list[str]:
    """Where somebody was, as her entries say it."""
    said = await journaled(ward.stage.house)
    return [one.country for one in said if one.action is action and one.account == account]


def test_nobody_enters_from_where_data_may_not_be_reached(open_house: Any) -> None:
    """The sign-in is done, the application is hers: the code and the session each look at where they are asked from."""

    async def main(ward: Ward) -> None:
        registered = await ward.desk.registered(HERE, "dpi", BACK, WARD)
        how = {"challenge": challenge_of(VERIFIER), "scopes": ("user/*.rs",)}
        with pytest.raises(ElsewhereError):
            await ward.desk.code(registered, await ward.proven(), where=ABROAD, **how)  # type: ignore[arg-type]
        code, proof = await ward.code(), Proof("dpi", "", ABROAD, frozenset())
        with pytest.raises(ElsewhereError):
            await ward.desk.exchange(HERE, proof, code=code, verifier=VERIFIER, redirect_uri=BACK)
        await ward.exchange(code)  # it was not used up
        await ward.desk.end_all(await ward.proven(), registered, WARD)
        assert await countries(ward, Action.SESSION_OPEN) == ["US inferred", "US inferred", "FR assumed"]
        assert await countries(ward, Action.SESSION_CLOSE) == ["FR assumed"]

    run(open_house, main)


ASKED = ("user/*.cruds", RIGHTS)


@pytest.mark.parametrize("role", [Role.READER, Role.CAREGIVER, Role.APPLICATION])
def test_an_application_that_shows_records_decides_on_nobodys_rights(open_house: Any, role: Role) -> None:
    """Whoever signs in: roles of people hold approval:ask, and an application may hold them."""

    async def main(ward: Ward) -> None:
        how = {"reason": "stage", "approver": "chief", "days": 30}
        await ward.stage.acts.grant("jeanne", *HERE, role=Role.RIGHTS_OFFICER, **how)  # type: ignore[arg-type]
        await ward.application("viewer", role)
        opened = await ward.entered("viewer", *ASKED)
        assert opened.session.scopes == (("user/*.rs",) if role is Role.READER else ("user/*.cruds",))
        for action in (Action.APPROVAL_ASK, Action.HABILITATION_APPROVE, Action.HABILITATION_REVOKE):
            assert not await ward.admits(opened.token, action)
        registered = await ward.desk.registered(HERE, "viewer", BACK, WARD)
        with pytest.raises(ScopeError):
            await ward.code(registered=registered, scopes=(RIGHTS,))

    run(open_house, main)


def test_an_application_of_rights_opens_what_its_role_says_and_no_more(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        how = {"reason": "stage", "approver": "chief", "days": 30}
        await ward.stage.acts.grant("jeanne", *HERE, role=Role.RIGHTS_OFFICER, **how)  # type: ignore[arg-type]
        await ward.stage.acts.grant("jeanne", *HERE, role=Role.PRIVACY_OFFICER, **how)  # type: ignore[arg-type]
        await ward.application("droits", Role.RIGHTS_APPLICATION)
        opened = await ward.entered("droits", *ASKED)
        assert opened.session.scopes == (RIGHTS,)
        assert await ward.admits(opened.token, Action.HABILITATION_APPROVE)
        for action in (Action.ACCOUNT_RECOVER, Action.PATIENT_ERASE, Action.JOURNAL_READ, Action.OBJECT_READ):
            assert not await ward.admits(opened.token, action)

    run(open_house, main)


def test_the_hosts_own_people_decide_through_an_application_of_theirs(open_house: Any) -> None:
    """On the platform, where no token is made for them in production: their officers sign in too."""
    platform = (HOST_TENANT, HOST_PLACE)

    async def main(ward: Ward) -> None:
        how: dict[str, Any] = {"reason": "stage", "approver": "chief", "days": 30}
        await ward.stage.acts.create_account("droits", kind="application", label="", professional_id="", days=300)
        await ward.stage.acts.grant("droits", *platform, role=Role.HOST_RIGHTS_APPLICATION, **how)
        await ward.stage.acts.add_client_key("droits", kind=REDIRECT_PUBLIC, value=BACK, days=30)
        await ward.stage.acts.grant("jeanne", *platform, role=Role.SECURITY_OFFICER, **how)
        with pytest.raises(AdministrationError):
            await ward.stage.acts.grant("jeanne", *platform, role=Role.HOST_RIGHTS_APPLICATION, **how)
        registered = await ward.desk.registered(platform, "droits", BACK, WARD)
        code, proof = await ward.code(registered=registered, scopes=(RIGHTS,)), Proof("droits", "", WARD, frozenset())
        opened = await ward.desk.exchange(platform, proof, code=code, verifier=VERIFIER, redirect_uri=BACK)

        async def admits(action: Action) -> bool:
            try:
                await ward.gate.admit(opened.token, tenant=platform[0], environment=platform[1], action=action)
            except RefusedError:
                return False
            return True

        for action in (Action.RIGHT_RAISE_APPROVE, Action.HABILITATION_REVIEW, Action.APPROVAL_ASK):
            assert await admits(action)
        for action in (Action.JOURNAL_READ, Action.ACCOUNT_RECOVER, Action.OBJECT_READ):
            assert not await admits(action)

    run(open_house, main)


def test_no_person_holds_the_role_of_an_application_of_rights(open_house: Any) -> None:
    """One other person would have made her an officer of rights, where it takes two."""

    async def main(ward: Ward) -> None:
        how = {"reason": "stage", "approver": "chief", "days": 30}
        with pytest.raises(AdministrationError):
            await ward.stage.acts.grant("jeanne", *HERE, role=Role.RIGHTS_APPLICATION, **how)  # type: ignore[arg-type]

    run(open_house, main)


@pytest.mark.parametrize("limits", [Limits(patients=frozenset({"Group/a"})), Limits(purposes=frozenset({"TREAT"}))])
def test_an_application_limited_to_patients_or_purposes_lends_nothing(open_house: Any, limits: Limits) -> None:
    """Its limits would be forgotten in the permit of a person who has none."""

    async def main(ward: Ward) -> None:
        await ward.application("study", Role.APPLICATION, limits=limits)
        with pytest.raises(ClientRefusedError):
            await ward.desk.registered(HERE, "study", BACK, WARD)
        how = {"reason": "stage", "approver": "chief", "days": 30}
        await ward.stage.acts.grant("study", *HERE, role=Role.READER, **how)  # type: ignore[arg-type]
        opened = await ward.entered("study", *ASKED)
        assert opened.session.scopes == ("user/*.rs",)
        assert not await ward.admits(opened.token, Action.OBJECT_CREATE)

    run(open_house, main)


def test_what_an_application_held_until_a_moment_ago_gives_nothing_any_more(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        await ward.application("dpi2", Role.READER)
        how = {"reason": "stage", "approver": "chief", "days": 1}
        await ward.stage.acts.grant("dpi2", *HERE, role=Role.APPLICATION, **how)  # type: ignore[arg-type]
        ends_ms = ward.stage.clock.ms + 86_400_000
        ward.stage.clock.ms = ends_ms - 60_000
        opened = await ward.entered("dpi2", *ASKED)
        assert await ward.admits(opened.token, Action.OBJECT_CREATE)
        closed = await ward.entered("dpi2", *ASKED)
        await ward.keys.close(Proof("dpi2", "", WARD, frozenset()), closed.token)
        ward.stage.clock.ms = ends_ms
        assert not await ward.admits(opened.token, Action.OBJECT_CREATE)  # no right changed: the clock alone says it
        assert await ward.admits(opened.token, Action.OBJECT_READ)
        await ward.stage.acts.create_account("new", kind="person", label="", professional_id="", days=1)
        await ward.gate.refresh()  # rights read anew, after the end
        assert ward.gate.bearer(closed.token) is None  # what was ended does not come back with less
        assert (await ward.entered("dpi2", *ASKED)).session.scopes == ("user/*.rs",)

    run(open_house, main)


def test_an_address_of_an_application_with_a_key_asks_for_the_key(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        await ward.stage.acts.add_client_key("dpi", kind=REDIRECT, value=BACK + "/keyed", days=30)
        registered = await ward.desk.registered(HERE, "dpi", BACK + "/keyed", WARD)
        assert not registered.public
        with pytest.raises(ClientRefusedError):
            await ward.exchange(await ward.code(registered=registered))

    run(open_house, main)


def test_a_token_of_before_people_signed_in_still_reads() -> None:
    key = bytes(32)
    session = Session(bytes(16), "lab", "k", bytes(16), bytes(16), 1, 2, "private_key_jwt", ("system/*.rs",))
    fields = [getattr(session, name) for name in Session.__struct_fields__[:10]]
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=Session)
    assert old == session
    assert open_session(seal_session(session, key), key) == session
    assert old.authentication == "private_key_jwt"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("user/Patient.rs openid launch/patient", ("user/Patient.rs",)),
        ("user/*.read system/*.cruds", ("user/*.rs",)),
        ("openid", None),
        ("", None),
        ("user/Patient.sr", None),
        ("user/Patient.rs?category=x", None),
    ],
)
def test_what_is_no_scope_of_a_person_is_left_out(text: str, kept: tuple[str, ...] | None) -> None:
    if kept is None:
        with pytest.raises(ScopeError):
            person_scopes(text)
    else:
        assert person_scopes(text) == kept


def test_challenges_are_those_of_s256() -> None:
    # RFC 7636, appendix B
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert is_challenge(challenge_of(VERIFIER))
    assert not is_challenge("short")


def test_what_is_over_is_revoked_without_a_word(open_house: Any) -> None:
    """RFC 7009, 2.2: a token that gives nothing any more is no error, to who may have it."""

    async def main(ward: Ward) -> None:
        proof = Proof("dpi", "", WARD, frozenset())
        opened = await ward.entered("dpi", "user/*.rs")
        for _ in range(2):
            assert await ward.keys.close(proof, opened.token)
        assert await ward.stage.rows("SELECT count(*) FROM hygie.session_end") == [(1,)]
        late = await ward.entered("dpi", "user/*.rs")
        ward.stage.clock.ms += LIFE_MS
        assert await ward.keys.close(proof, late.token)
        with pytest.raises(ClientRefusedError):
            await ward.keys.close(Proof("another", "", WARD, frozenset()), late.token)

    run(open_house, main)


def test_what_gives_nothing_today_is_revoked_for_its_whole_life(open_house: Any) -> None:
    async def main(ward: Ward) -> None:
        await ward.application("dpi2", Role.APPLICATION)
        opened = await ward.entered("dpi2", "user/*.rs")
        ((held,),) = await ward.stage.rows("SELECT id FROM hygie.habilitation WHERE account = 'dpi2'")
        await ward.stage.acts.suspend_habilitation(held)
        assert await ward.keys.close(Proof("dpi2", "", WARD, frozenset()), opened.token)
        await ward.stage.acts.resume_habilitation(held)
        await ward.gate.refresh()
        assert ward.gate.bearer(opened.token) is None

    run(open_house, main)


def test_a_stored_token_is_not_said_to_be_revoked(open_house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(ward: Ward) -> None:
        _, mine = await ward.stage.acts.create_token("dpi", *HERE, days=1)
        _, theirs = await ward.stage.acts.create_token("jeanne", *HERE, days=1)

        async def proved(*_: object) -> Any:
            return SimpleNamespace(account=SimpleNamespace(id="dpi"))

        monkeypatch.setattr(ward.keys, "prove", proved)
        proof = Proof("dpi", "signed", WARD, frozenset())
        assert not await ward.keys.close(proof, mine)
        assert await ward.keys.close(proof, theirs)  # whose it is, or whether it is one, is not told
        assert await ward.keys.close(proof, "hyg_nothing")
        assert ward.gate.bearer(mine) is not None

    run(open_house, main)
