"""Somebody who is not the person tries to be: guesses, replays, copies, plants rows, and recovers accounts alone.

Real database, KMS and journal; each door is that of a hosting process, with its role and a gate of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from hygie.base.actions import Action
from hygie.base.roles import Role
from hygie.gate.enrolment import Chosen
from hygie.gate.errors import (
    AlreadyEnrolledError,
    AuthenticatorRefusedError,
    EnrolmentRefusedError,
    PasswordRefusedError,
    RecoveryRefusedError,
    SignInRefusedError,
)
from hygie.gate.gate import Whence
from hygie.gate.lockout import ALERT_AT, LATER_LOCK_MS, LOCK_MS, THIRD_LOCK_MS, TRIES, TRIES_EVERYWHERE
from hygie.gate.people_administration import Shown
from hygie.gate.webauthn import CHALLENGE_MS
from hygie.journal.entry import Entry, open_entry
from hygie.journal.leaf import read_head
from tests.unit.gate.conftest import open_house  # noqa: F401 (a fixture)
from tests.unit.gate.peoples_stage import BY_HAND, PASSWORD, WARD, Key, Stage, Telephone, staged

HOME = Whence("192.0.2.9", "thief")


def run(open_house: Any, main: Callable[[Stage], Awaitable[None]], processes: int = 2) -> None:  # noqa: F811
    async def on_stage() -> None:
        async with open_house() as house, staged(house, processes=processes) as stage:
            await main(stage)

    asyncio.run(on_stage())


async def outcome(call: Awaitable[Any]) -> str:
    """The reason that the journal gets, or ``in``."""
    try:
        await call
    except SignInRefusedError as error:
        return str(error.facts["reason"])
    return "in"


async def told(stage: Stage, action: Action) -> list[Entry]:
    """Entries of one action that wait to be sealed, in order."""
    found = []
    for (leaf,) in await stage.rows("SELECT leaf FROM hygie.journal_pending ORDER BY id"):
        head = read_head(leaf)
        entry = open_entry(leaf, month_key=await stage.house.kms.month_key(head.tenant_id, head.kind, head.month))
        if entry.action is action:
            found.append(entry)
    return found


def test_guesses_made_at_once_on_two_processes_are_no_more_than_three(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        guesses = [stage.doors[n % 2].by_password("marie", f"guess number {n}", "000000", HOME) for n in range(8)]
        reasons = Counter([*await asyncio.gather(*map(outcome, guesses[:4])), *[await outcome(g) for g in guesses[4:]]])
        assert reasons == {"password": TRIES, "locked": 8 - TRIES}
        for door in stage.doors:  # the right one does not pass a lock, anywhere
            assert await outcome(door.by_password("marie", PASSWORD, telephone.code(), HOME)) == "locked"
        assert await outcome(stage.door.by_password("marie", PASSWORD, telephone.code(), WARD)) == "in"
        (lock,) = await told(stage, Action.PERSON_LOCK)
        assert (lock.account, lock.address, lock.detail["locks"]) == ("marie", HOME.address, "1")
        stage.clock.ms += LOCK_MS
        assert await outcome(stage.door.by_password("marie", PASSWORD, telephone.code(), HOME)) == "in"

    run(open_house, main)


def test_the_third_lock_of_a_day_is_an_alert_and_locks_grow(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        assert await outcome(stage.door.by_password("marie", PASSWORD, telephone.code(), HOME)) == "in"
        stage.clock.ms += 86_400_000 - stage.clock.ms % 86_400_000  # a day begins
        for rank, lasts_ms in enumerate((LOCK_MS, LOCK_MS, THIRD_LOCK_MS, LATER_LOCK_MS), start=1):
            for _ in range(TRIES):
                assert (
                    await outcome(stage.doors[rank % 2].by_password("marie", "a wrong guess", "1", HOME)) == "password"
                )
            assert len(await told(stage, Action.PERSON_ALERT)) == max(rank - ALERT_AT + 1, 0)
            stage.clock.ms += lasts_ms - 1
            assert await outcome(stage.door.by_password("marie", "a wrong guess", "1", HOME)) == "locked"
            stage.clock.ms += 1
        assert [one.detail["locks"] for one in await told(stage, Action.PERSON_LOCK)] == ["1", "2", "3", "4"]

    run(open_house, main)


def test_a_stranger_everywhere_is_slowed_and_the_person_enters_from_his_place(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        assert await outcome(stage.door.by_password("marie", PASSWORD, telephone.code(), WARD)) == "in"
        reasons = []
        for n in range(TRIES_EVERYWHERE + 3):
            where = Whence(f"198.51.100.{n}", "botnet")
            reasons.append(await outcome(stage.doors[n % 2].by_password("marie", "a wrong guess", "1", where)))
        assert reasons == ["password"] * TRIES_EVERYWHERE + ["locked"] * 3
        assert await outcome(stage.door.by_password("marie", PASSWORD, telephone.code(), HOME)) == "locked"
        for door in stage.doors:
            assert await outcome(door.by_password("marie", PASSWORD, telephone.code(), WARD)) == "in"

    run(open_house, main)


def test_a_code_is_taken_once_by_whichever_process(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        before, code = telephone.code(), telephone.code()
        both = [door.by_password("marie", PASSWORD, code, WARD) for door in stage.doors]
        assert sorted(await asyncio.gather(*map(outcome, both))) == ["in", "replayed"]
        assert await outcome(stage.door.by_password("marie", PASSWORD, before, WARD)) == "replayed"
        stage.clock.ms += 90_000
        assert await outcome(stage.door.by_password("marie", PASSWORD, code, WARD)) == "code"

    run(open_house, main)


def test_an_unknown_account_gets_the_same_sentence_in_the_same_time(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        await stage.enrolled("marie")
        await stage.person("luc")  # without authenticators
        await stage.acts.create_account("robot", kind="application", label="", professional_id="", days=9)
        sentences: set[tuple[object, ...]] = set()
        seconds: dict[str, list[float]] = {}
        for n in range(9):  # the work done, of all threads: what else the machine does is not counted
            for name in ("marie", "luc", "robot", "nobody"):
                began = time.process_time()
                with pytest.raises(SignInRefusedError) as caught:
                    await stage.door.by_password(name, "a wrong guess", "123456", Whence(f"203.0.113.{n}", ""))
                seconds.setdefault(name, []).append(time.process_time() - began)
                error = caught.value
                sentences.add((error.code, error.http_status, error.sentence("fr"), error.sentence("en")))
        least = {name: min(took) for name, took in seconds.items()}
        assert len(sentences) == 1
        assert max(least.values()) < 1.6 * min(least.values()), least
        assert await told(stage, Action.PERSON_LOCK) == []
        refusals = await told(stage, Action.SESSION_REFUSED)
        assert all(entry.account == "" for entry in refusals)  # a name that is nobody's may be a password
        for _ in range(TRIES):
            await outcome(stage.door.by_password("nobody", "a wrong guess", "1", HOME))
        assert await outcome(stage.door.by_password("nobody", "a wrong guess", "1", HOME)) == "locked"

    run(open_house, main, processes=1)


def test_rows_that_somebody_planted_or_swapped_prove_nothing(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        await stage.enrolled("marie")
        thief = await stage.enrolled("thief")
        await stage.person("luc")
        columns = "kind, value, label, delivered_how, delivered_by, created_ms, ends_ms"
        await stage.rows(  # his own password and secret, under another name
            f"INSERT INTO hygie.authenticator (id, account, {columns}, mac)"
            f" SELECT id || 'x', 'luc', {columns}, mac FROM hygie.authenticator"
            " WHERE account = 'thief' AND kind IN ('password', 'totp') AND revoked_ms IS NULL"
        )
        await stage.rows(
            "UPDATE hygie.authenticator a SET value = b.value FROM hygie.authenticator b WHERE a.account = 'marie'"
            " AND b.account = 'thief' AND a.kind = b.kind AND a.revoked_ms IS NULL AND b.revoked_ms IS NULL"
        )
        for name in ("luc", "marie"):
            assert await outcome(stage.door.by_password(name, PASSWORD, thief.code(), HOME)) == "no password"
        (forged, *_) = await told(stage, Action.RIGHT_REFUSED)
        assert forged.count == 4
        await stage.rows(
            "INSERT INTO hygie.authenticator (id, account, kind, value, label, delivered_how, delivered_by, created_ms,"
            " ends_ms, mac) VALUES ('planted', 'luc', 'enrolment', sha256('0123456789ABCDEFGHJKMNPQR'), '', 'sql', 'x',"
            " 1, 9999999999999, sha256('x'))"
        )
        with pytest.raises(EnrolmentRefusedError):
            await stage.door.registration_options("luc", "01234-56789-ABCDE-FGHJK-MNPQR", HOME)

    run(open_house, main, processes=1)


def test_an_authenticator_brought_back_after_its_withdrawal_proves_nothing(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        rows = await stage.rows("SELECT id FROM hygie.authenticator WHERE account = 'marie' AND kind = 'password'")
        await stage.acts.revoke_authenticator(rows[0][0])
        await stage.rows("UPDATE hygie.authenticator SET revoked_ms = NULL WHERE id = %s", rows[0][0])
        assert await outcome(stage.door.by_password("marie", PASSWORD, telephone.code(), HOME)) == "no password"
        await stage.person("thief")
        code = await stage.acts.enrol("thief", BY_HAND, hours=1)
        chosen = Telephone(stage.clock)
        await stage.door.activate_password("thief", code, Chosen(PASSWORD, chosen.secret, chosen.code()), HOME)
        await stage.rows(
            "UPDATE hygie.authenticator SET revoked_ms = NULL WHERE account = 'thief' AND kind = 'enrolment'"
        )
        again = Telephone(stage.clock)
        with pytest.raises(EnrolmentRefusedError):  # a code is used once
            await stage.door.activate_password("thief", code, Chosen(PASSWORD, again.secret, again.code()), HOME)

    run(open_house, main, processes=1)


def test_a_dump_of_the_database_holds_nothing_to_guess_against(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        telephone = await stage.enrolled("marie")
        code = await stage.acts.enrol("marie", BY_HAND, hours=1, proof=Shown("marie", PASSWORD, telephone.code()))
        for table in ("authenticator", "authenticator_use", "sign_in", "assertion"):
            for (row,) in await stage.rows(f"SELECT t::text FROM hygie.{table} t"):
                for word in (b"$argon2", telephone.secret, PASSWORD.encode(), code.encode(), b"10.0.0.7"):
                    assert word not in row.encode()
                    assert word.hex() not in row

    run(open_house, main, processes=1)


async def signed(stage: Stage, key: Key, *, options: dict[str, Any] | None = None, **how: Any) -> str:
    options = options or await stage.door.webauthn_options("", WARD)
    return await outcome(stage.doors[-1].by_webauthn(key.sign(options, **how), WARD))


def test_a_security_keys_answer_holds_here_now_once_and_for_its_person_only(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        key = await stage.with_key("paul", counter=1)
        other = await stage.with_key("anne", counter=1)
        assert await signed(stage, key) == "in"
        for origin in ("https://hygie.example.evil.test", "https://hygie.example", "http://hygie.example:8443", ""):
            assert await signed(stage, key, origin=origin) == "origin"
        assert await signed(stage, key, crossOrigin=True) == "cross origin"
        assert await signed(stage, key, flags=0x01) == "verif"  # a finger on the key, not the person's
        assert await signed(stage, key, flags=0x04) == "present"
        assert await signed(stage, key, kind="webauthn.create") != "in"
        stranger = Key(rp_id="evil.test", credential=key.credential, private=key.private, counter=50, handle=key.handle)
        assert await signed(stage, stranger) == "rp id"
        forger = Key(credential=key.credential, counter=50, handle=key.handle)
        assert await signed(stage, forger) == "signature"
        unknown = Key(counter=50)
        assert await signed(stage, unknown) != "in"
        confused = Key(credential=key.credential, private=key.private, counter=50, handle=other.handle)
        assert await signed(stage, confused) == "handle"
        # challenges
        options = await stage.door.webauthn_options("anne", WARD)
        assert await signed(stage, key, options=options) == "challenge"
        options = await stage.door.webauthn_options("", WARD)
        answer = key.sign(options)
        both = [door.by_webauthn(answer, WARD) for door in stage.doors]
        assert sorted(await asyncio.gather(*map(outcome, both))) == ["in", "replayed"]
        options = await stage.door.webauthn_options("", WARD)
        stage.clock.ms += CHALLENGE_MS
        assert await signed(stage, key, options=options) == "challenge"
        await stage.person("luc")
        code = await stage.acts.enrol("luc", BY_HAND, hours=1)
        registering = await stage.door.registration_options("luc", code, WARD)
        assert await signed(stage, key, options=registering) == "challenge"
        assert await signed(stage, key, options={"challenge": "AAAA"}) == "challenge"
        for junk in ({}, {"id": 1}, {"rawId": "é", "response": []}, {"response": {"clientDataJSON": "AA"}}):
            assert await outcome(stage.door.by_webauthn(junk, WARD)) == "response"  # type: ignore[arg-type]

    run(open_house, main)


def test_a_copied_security_key_is_found_by_its_count(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        key = await stage.with_key("paul", counter=7)
        copy = Key(credential=key.credential, private=key.private, counter=7, handle=key.handle)
        assert await signed(stage, key) == "in"
        assert await signed(stage, key) == "in"
        assert await signed(stage, copy) == "sign count"
        (refusal,) = [one for one in await told(stage, Action.PERSON_PROVE) if one.outcome == "refused"]
        assert (refusal.account, refusal.detail["reason"]) == ("paul", "sign count")
        copy.counter = 0
        assert await signed(stage, copy) == "sign count"  # one that counted does not stop counting

    run(open_house, main, processes=1)


def test_a_key_of_another_page_is_not_registered(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        await stage.person("paul")
        await stage.person("luc")
        codes = {name: await stage.acts.enrol(name, BY_HAND, hours=1) for name in ("paul", "luc")}
        key = Key()
        options = await stage.door.registration_options("paul", codes["paul"], WARD)

        async def registered(name: str, **how: Any) -> str:
            return await outcome(stage.door.activate_key(name, codes[name], key.register(options, **how), "k", WARD))

        assert await registered("luc") == "challenge"
        assert await registered("paul", origin="https://evil.test") == "origin"
        assert await registered("paul", flags=0x41) == "verif"
        assert await registered("paul") == "in"
        codes["paul"] = codes["luc"]
        with pytest.raises(EnrolmentRefusedError):
            await registered("paul")
        options = await stage.door.registration_options("luc", codes["luc"], WARD)
        with pytest.raises(AuthenticatorRefusedError):  # it is somebody's already
            await registered("luc")

    run(open_house, main, processes=1)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO hygie.authenticator SELECT * FROM hygie.authenticator",
        "UPDATE hygie.authenticator SET account = 'thief'",
        "UPDATE hygie.authenticator SET revoked_ms = NULL",
        "DELETE FROM hygie.authenticator",
        "DELETE FROM hygie.authenticator_use",
        "DELETE FROM hygie.sign_in",
    ],
)
def test_a_hosting_process_alters_no_authenticator(open_house: Any, statement: str) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with stage.house.database.transaction() as connection:
                await connection.execute(statement.encode())

    run(open_house, main, processes=1)


def test_a_hosting_process_adds_only_to_the_account_of_a_code_that_was_typed(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        await stage.person("marie")
        code = (await stage.acts.enrol("marie", BY_HAND, hours=1)).replace("-", "")
        id_ = (await stage.rows("SELECT id FROM hygie.authenticator"))[0][0]
        call = (
            "SELECT hygie.activate(%s, %s, %s, 9999999999999, '{n1}', %s::text[], '{x}'::bytea[], '{l}', '{}'::bytea[])"
        )

        async def added(code_id: str, typed: str, kind: str) -> Any:
            async with stage.house.database.transaction() as connection:
                cursor = await connection.execute(call.encode(), (code_id, typed, stage.clock.ms, [kind]))
                return (await cursor.fetchone())[0]

        digest = (await stage.rows("SELECT encode(value, 'hex') FROM hygie.authenticator"))[0][0]
        assert await added(id_, digest, "password") is None
        assert await added("", code, "password") is None
        for kind in ("oidc", "enrolment"):
            assert await added(id_, code, kind) is None
        assert await added(id_, code, "password") == [id_]
        assert await added(id_, code, "password") is None
        rows = await stage.rows("SELECT account FROM hygie.authenticator WHERE id = 'n1'")
        assert rows == [("marie",)]
        assert await outcome(stage.door.by_password("marie", "x" * 12, "1", WARD)) == "no password"  # it has no MAC

    run(open_house, main, processes=1)


def test_one_person_alone_recovers_nobody(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        phones = {name: await stage.enrolled(name, Role.CAREGIVER) for name in ("marie", "nurse")}
        phones |= {name: await stage.enrolled(name, Role.RIGHTS_OFFICER) for name in ("ada", "bob")}

        def shown(name: str, password: str = PASSWORD) -> Shown:
            return Shown(name, password, phones[name].code())

        async def recovers(*administrators: Shown) -> str:
            return await stage.acts.recover("marie", "telephone perdu", administrators, BY_HAND, hours=1)

        for pair in (("ada",), ("ada", "ada"), ("ada", "marie"), ("ada", "nurse"), ("ada", "bob", "nurse")):
            with pytest.raises(RecoveryRefusedError):
                await recovers(*map(shown, pair))
        with pytest.raises(SignInRefusedError):
            await recovers(shown("ada"), shown("bob", "not the password"))
        with pytest.raises(SignInRefusedError):
            await recovers(shown("ada"), Shown("bob", PASSWORD, "000000"))
        with pytest.raises(AlreadyEnrolledError):  # nor by a new code, by whoever holds the terminal
            await stage.acts.enrol("marie", BY_HAND, hours=1)
        with pytest.raises(AlreadyEnrolledError):
            await stage.acts.enrol("marie", BY_HAND, hours=1, proof=shown("ada"))
        with pytest.raises(AlreadyEnrolledError):
            await stage.acts.link("marie", "https://auth.example", "thief", BY_HAND)
        assert await outcome(stage.door.by_password("marie", PASSWORD, phones["marie"].code(), WARD)) == "in"
        refused = [one for one in await told(stage, Action.ACCOUNT_RECOVER) if one.outcome == "refused"]
        assert len(refused) == 5

        code = await recovers(shown("ada"), shown("bob"))
        assert await outcome(stage.door.by_password("marie", PASSWORD, phones["marie"].code(), WARD)) == "no password"
        again = Telephone(stage.clock)
        await stage.door.activate_password("marie", code, Chosen(PASSWORD, again.secret, again.code()), WARD)
        assert await outcome(stage.door.by_password("marie", PASSWORD, again.code(), WARD)) == "in"
        done = [one for one in await told(stage, Action.ACCOUNT_RECOVER) if one.outcome == "done"]
        assert [(one.detail["asked_by"], one.detail["confirmed_by"]) for one in done] == [("ada", "bob")]

    run(open_house, main, processes=1)


def test_weak_passwords_and_codes_that_are_over_enrol_nobody(open_house: Any) -> None:  # noqa: F811
    async def main(stage: Stage) -> None:
        await stage.person("marie.durand")
        code = await stage.acts.enrol("marie.durand", BY_HAND, hours=1)
        telephone = Telephone(stage.clock)

        async def take(password: str, typed: str = code, shown: str = "") -> None:
            chosen = Chosen(password, telephone.secret, shown or telephone.code())
            await stage.door.activate_password("marie.durand", typed, chosen, WARD)

        for weak in (
            "short",
            "marie.durand2026",
            "Motdepasse2026!",
            "azertyuiop123",
            "aaaaaaaaaaaaaaaa",
            "P@ssw0rd1234",
        ):
            with pytest.raises(PasswordRefusedError):
                await take(weak)
        with pytest.raises(AuthenticatorRefusedError):
            await take(PASSWORD, shown="000000")
        with pytest.raises(EnrolmentRefusedError):
            await take(PASSWORD, "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA")
        newer = await stage.acts.enrol("marie.durand", BY_HAND, hours=1)
        with pytest.raises(EnrolmentRefusedError):  # a newer code ends the one of before
            await take(PASSWORD)
        stage.clock.ms += 3_600_000
        with pytest.raises(EnrolmentRefusedError):
            await take(PASSWORD, newer)

    run(open_house, main, processes=1)
