"""Each cross-check is green on a host and a platform that agree, and red once they disagree on what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hygie.base.errors import HygieError
from hygie.database.cluster import Dsns
from hygie.patching.model import Vulnerability
from hygie.probes.door import untranslated
from hygie.proof.cross.model import SABOTAGE, Found, judge_cross, outcome_of
from hygie.proof.facts import ActFacts, StoreFacts
from hygie.proof.model import Observed
from tests.sabotage.cross_world import CHECKS, PATCHING, Scene, at, ms, scene
from tests.unit.proof.host import CERTIFICATE, change, day

Break = Callable[[Scene], object]
INSERT_RIGHT = (
    "INSERT INTO hygie.habilitation (id, account, environment, role, reason, approver, starts_ms, ends_ms)"
    " VALUES ('hx', %s, decode(repeat('65', 16), 'hex'), %s, 'soins', %s, %s, %s)"
)


def amend(register: str, key: str, state: str = "", **fields: Any) -> Break:
    return lambda scene: scene.world.amend(register, key, state, **fields)


def add(register: str, key: str, state: str = "", **fields: Any) -> Break:
    return lambda scene: scene.world.write(change(register, key, state, **fields))


def sql(statement: str, *parameters: object) -> Break:
    return lambda scene: scene.sql(statement, *parameters)


def site(**fields: Any) -> Break:
    """The first site of the settings, otherwise."""

    def act(scene: Scene) -> None:
        first, *others = scene.settings.sites
        changed = msgspec.structs.replace(first, **fields)
        scene.settings = msgspec.structs.replace(scene.settings, sites=(changed, *others))

    return act


def backups(**fields: Any) -> Break:
    """What the platform promises, otherwise."""

    def act(scene: Scene) -> None:
        changed = msgspec.structs.replace(scene.settings.backups, **fields)
        scene.settings = msgspec.structs.replace(scene.settings, backups=changed)

    return act


def acts(action: str, days: float) -> Break:
    """One more act of a person in the journal."""

    def act(scene: Scene) -> None:
        known: Any = scene.made["acts"]
        scene.made["acts"] = replace(known, acts=(*known.acts, ActFacts(action, ms(days), "local:paul", "done")))

    return act


def store(name: str) -> Break:
    """One more store seen by the scan."""

    def act(scene: Scene) -> None:
        known: Any = scene.made["stores"]
        scene.made["stores"] = replace(known, stores=(*known.stores, StoreFacts(name, "folder", name, True)))

    return act


def newer(scene: Scene) -> None:
    scene.version = "99.0"


def suspended(scene: Scene) -> None:
    """The certificate of the record stays as it is, the body's decision is in the cycle alone."""
    scene.world.write(
        change("certification-event", "2026.suspension", cycle="2026", kind="suspension", on=day(-5),
               certificate="HDS-host", reason="essai")
    )  # fmt: skip


def left(scene: Scene) -> None:
    scene.world.amend("person", "PER-paul", "left", ends_on=day(0))


def known(*found: Vulnerability, **facts: Any) -> Break:
    """One more open vulnerability, or other facts of patches."""

    def act(scene: Scene) -> None:
        scene.change_fact("patching", vulnerabilities=(*PATCHING.vulnerabilities, *found), **facts)

    return act


LATE = Vulnerability("CVE-2027-9", "pypi/other", "1", "2", "critical", 9.8, ms(-8), ms(-1))
# check → what breaks it → a word of what it then names
SABOTAGES: Mapping[str, tuple[Break, str]] = {
    "cross.leaver-account": (left, "paul"),
    "cross.leaver-rights": (left, "paul"),
    "cross.account-known": (amend("person", "PER-paul", account=None), "paul"),
    "cross.approver-known": (sql(INSERT_RIGHT, "paul", "reader", "nobody", ms(-1), ms(9)), "paul (chu/prod, reader)"),
    "cross.training-live": (amend("training-record", "TRR-PER-paul", valid_until=day(-1)), "PER-paul"),
    "cross.undertaking-live": (amend("undertaking", "UND-PER-paul", "ended", ends_on=day(-1)), "PER-paul"),
    "cross.right-reviewed": (amend("habilitation-review", "HRV-paul", reviewed_on=day(-366)), "paul"),
    "cross.review-executed": (
        sql(INSERT_RIGHT, "old", "reader", "anne", ms(-300), ms(9)), "HRV-old"
    ),
    "cross.privileged-justified": (sql(INSERT_RIGHT, "paul", "privacy-officer", "anne", ms(-1), ms(9)), "paul"),
    "cross.ending-account": (
        add("intervention", "INT-9", "done", kind="pentest", operator="PER-paul", ending_accounts=["guest"],
            started_at=at(-2), ended_at=at(-1)), "guest (INT-9)"
    ),
    "cross.session-matched": (
        add("recorded-session", "SES-9", "unmatched", kind="ssh", account="paul", wrong="no-login",
            started_at=at(-1), ended_at=at(-1)), "SES-9"
    ),
    "cross.sessions-read": (
        lambda scene: scene.measured("sessions", 0, passed=False, code="HYG-4J0"), "HYG-4J0"
    ),
    "cross.rota-covered": (amend("duty", "DUT-1", to_at=at(10)), day(12)),
    "cross.duty-held": (amend("person", "PER-anne", duties=["rssi"]), "dpo"),
    "cross.owner-present": (left, "action ACT-2"),
    "cross.policy-acknowledged": (add("person", "PER-new", starts_on=day(-1)), "POL-1 PER-new"),
    "cross.tenant-contract": (amend("contract", "CTR-1", "terminated", terminated_on=day(-1)), "chu"),
    "cross.tenant-contact": (amend("client-contact", "CON-1", roles=["incident"]), "chu"),
    "cross.tenant-matrix": (amend("responsibility-matrix", "RAC-1", "replaced"), "chu"),
    "cross.tenant-processing": (amend("processing", "PRO-1", "ended", ends_on=day(-1)), "chu"),
    "cross.tenant-scoping": (amend("scoping", "SCO-1", care_context=None, concerned="unknown"), "chu"),
    "cross.contract-hosted": (sql("UPDATE hygie.tenant SET name = 'other'"), "CTR-1"),
    "cross.contract-certificate": (amend("contract", "CTR-1", certificate_renewal_on="2028-01-14"), "CTR-1"),
    "cross.contract-sites": (amend("contract", "CTR-1", sites=["SIT-paris", "SIT-lyon"]), "CTR-1"),
    "cross.contract-suppliers": (amend("contract", "CTR-1", suppliers=None), "CTR-1"),
    "cross.contract-availability": (sql("DELETE FROM hygie.availability_run"), "CTR-1"),  # nobody measured a day
    "cross.contract-recovery": (
        lambda scene: scene.measured("drill-restore", -1, passed=True, drill="d-3", rto_s=15_000.0, rpo_s=1.0), "CTR-1"
    ),
    "cross.contract-loss": (backups(rpo_minutes=180), "CTR-1"),
    "cross.production-served": (amend("service", "SVC", environments=["chu/other"]), "chu/prod"),
    "cross.site-declared": (amend("site", "SIT-paris", "closed", closed_on=day(-1)), "paris"),
    "cross.site-used": (amend("site", "SIT-paris", platform_site="nantes"), "SIT-paris"),
    "cross.site-place": (site(country="BE", city="Gand"), "SIT-paris"),
    "cross.actor-country": (amend("supplier", "DC", country="US"), "DC (US)"),
    "cross.service-assets": (add("service", "SVC-2", "open", activities=[5], actor_5="HOST", production=True,
                                 certificates=["HDS-host"], sites=["SIT-paris"]), "SVC-2"),
    "cross.stores-listed": (store("folder:/srv/old"), "folder:/srv/old"),
    "cross.version-recorded": (newer, "99.0"),
    "cross.version-newest": (newer, "CHG-1"),
    "cross.patch-due": (known(LATE), "CVE-2027-9 pypi/other"),
    "cross.patch-feed": (known(feeds=tuple(replace(one, brought_ms=ms(-15)) for one in PATCHING.feeds[:1])), "Bitnami"),
    "cross.patch-effective": (known(replace(LATE, name="CVE-2027-2", component="deb/openssl")), "CHG-2"),
    "cross.upgrade-recorded": (acts("platform:upgrade", -3), "platform:upgrade"),
    "cross.drill-recorded": (
        lambda scene: scene.measured("drill-key-loss", -9, passed=True, drill="d-9", rto_s=1.0, rpo_s=0.0), "d-9"
    ),
    "cross.drill-measured": (amend("drill", "DRL-1", platform_report="d-0"), "DRL-1"),
    "cross.drill-gaps": (amend("action", "ACT-2", due_on=day(-1)), "d-2"),
    "cross.backup-within-plan": (sql("UPDATE hygie.measurement SET at_ms = %s WHERE kind = 'backup'", ms(-1)), "BCP-1"),
    "cross.plan-promised": (amend("continuity-plan", "BCP-1", pdma_min=90), "BCP-1"),
    "cross.incident-led": (amend("incident", "INC-1", declared_at=at(-1), detected_at=at(-1)), "INC-1"),
    "cross.evidence-kept": (lambda scene: scene.made.update(archives=frozenset({"cd" * 32})), "INC-1"),
    "cross.violation-clocks": (amend("violation", "VIO-1", aware_at=at(-2)), "VIO-1"),
    "cross.request-clocks": (amend("rights-request", "RRQ-2", received_on=day(-40)), "RRQ-2"),
    "cross.erasure-asked": (amend("rights-request", "RRQ-1", certificate="autre"), "er-1"),
    "cross.erasure-done": (sql("DELETE FROM hygie.erasure"), "RRQ-1"),
    "cross.act-justified": (acts("key:rotate", -3), "key:rotate"),
    "cross.tls-renewal": (lambda scene: scene.change_fact("tls", ends_ms=ms(20)), "127.0.0.1:8443"),
    "cross.key-age": (lambda scene: scene.change_fact("keys", root_at_ms=ms(-500)), "POL-1"),
    "cross.key-copies": (amend("policy", "POL-1", backup_key_days_max=7), "POL-1"),
    "cross.objective-measured": (amend("indicator-value", "IVA-1", measured_on=day(-100)), "OBJ-1"),
    "cross.action-owned": (amend("action", "ACT-1", owner=None), "ACT-1"),
    "cross.service-covered": (suspended, "SVC"),
    "cross.certificate-ends": (
        add("certificate", "ISO-x", "valid", **(CERTIFICATE | {"scheme": "iso27001", "edition": "2022",
            "activities": None, "depends_on": None, "expires_on": day(60)})), "ISO-x"
    ),
    "cross.cycle-on-time": (amend("certification-event", "2026.surveillance1", "void"), "2026/surveillance-1"),
    "cross.certificate-state": (suspended, "HDS-host"),
    "cross.mark-valid": (suspended, "MRK-1"),
    "cross.page-current": (amend("supplier", "DC", name="Autre centre"), "PUB-1 (supplier)"),
    "cross.guarantees-current": (amend("supplier", "DC", name="Autre centre"), "PUB-2 (supplier)"),
    "cross.traces-read": (amend("document-delivery", "DDL-1", asked_at=at(-100), delivered_at=at(-93)), "chu"),
    "cross.french-served": (lambda scene: scene.change_fact("door", french=False), "SVC"),
    "cross.documents-kept": (amend("policy", "POL-1", document="cd" * 32), "policy POL-1"),
}  # fmt: skip
# Never red: what nothing observes is unknown, and its sabotage turns it so.
UNKNOWN: Mapping[str, tuple[Break, str]] = {
    "cross.assets-connected": (amend("asset", "AST-kms", source=None, name="KMS"), "asset AST-kms"),
}


def test_every_cross_check_has_its_sabotage() -> None:
    assert set(SABOTAGES) | set(UNKNOWN) == set(CHECKS)
    assert len(SABOTAGES) >= 30
    assert {one.card.sabotage for one in CHECKS.values()} == {SABOTAGE}


def test_everything_is_green_on_a_sound_host(database: Dsns) -> None:
    with scene(database) as sound:
        found = {name: sound.verdict(name) for name in CHECKS}
    assert {name: one.why.en for name, one in found.items() if one.verdict.value != "satisfied"} == {}


@pytest.mark.parametrize("check", sorted(SABOTAGES | UNKNOWN))
def test_each_cross_check_is_seen_red(database: Dsns, check: str) -> None:
    act, word = (SABOTAGES | UNKNOWN)[check]
    with scene(database) as broken:
        act(broken)
        if check == "cross.action-owned":  # a week passes before an action lacks its owner
            broken.world.clock.ms = ms(9)
        found = broken.verdict(check)
    assert found.verdict.value == ("unknown" if check in UNKNOWN else "unsatisfied"), found
    for said in (found.why, found.observed):
        assert word in said.fr
        assert word in said.en
    assert found.remedy is not None


PAGES: Mapping[str, tuple[Break, str]] = {
    "no edition": (amend("publication", "PUB-1", "replaced"), "publication transfers"),
    "stale": (amend("publication", "PUB-1", as_of=at(-93)), "PUB-1 (as_of)"),
    "page altered": (lambda scene: scene.change_page("transfers", page="cd" * 32), "PUB-1 (page)"),
    "data altered": (lambda scene: scene.change_page("transfers", data="cd" * 32), "PUB-1 (data)"),
    "not in the journal": (lambda scene: scene.change_page("transfers", journaled_ms=None), "PUB-1 (journal)"),
    "not on the disk": (
        lambda scene: scene.change_page("transfers", page="", data="", said="", journaled_ms=None), "PUB-1 (supplier)"
    ),
    "a form without its sentence": (
        lambda scene: [scene.world.write(change("foreign-law-note", f"FLN-{one}", "approved", supplier=one,
                       conclusion="none", review_on=day(100), approved_on=day(-5))) for one in ("HOST", "DC")],
        "PUB-1 (regulatory-wording B)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_that_is_not_what_the_registers_say_is_red(database: Dsns, name: str) -> None:
    act, words = PAGES[name]
    with scene(database) as broken:
        act(broken)
        found = broken.verdict("cross.page-current")
        others = broken.verdict("cross.guarantees-current")
    assert found.verdict.value == "unsatisfied", found
    assert words in found.observed.fr
    assert name == "a form without its sentence" or others.verdict.value == "satisfied", others


def test_patches_are_judged_by_what_runs_and_exceptions_by_their_end_and_approver(database: Dsns) -> None:
    def due(*found: Vulnerability, **facts: Any) -> str:
        known(*found, **facts)(sound)
        return sound.verdict("cross.patch-due").verdict.value

    with scene(database) as sound:
        assert due() == "satisfied"
        assert due(replace(LATE, published_ms=ms(-7))) == "satisfied", "seven days, whole"
        assert due(replace(LATE, published_ms=None, first_ms=ms(-8))) == "unsatisfied", "first seen here"
        assert due(replace(LATE, published_ms=ms(-500), severity="low", fixed_in="")) == "satisfied", "nothing to apply"
        assert due(replace(LATE, fixed_in="")) == "unsatisfied", "a decision is asked for"
        assert due(replace(LATE, name="CVE-2027-3", component="deb/other")) == "unsatisfied", "another component"
        assert due(feeds=()) == due(looked_ms=None) == "unknown"
        assert due(looked_ms=ms(0), feeds=PATCHING.feeds, uncovered=("deb",)) == "unknown"
        assert due(uncovered=()) == "satisfied"
        for fields in ({"exception_until": day(-1)}, {"exception_until": day(91)}, {"components": []}):
            sound.world.amend("change", "CHG-3", **fields)
            assert due() == "unsatisfied", fields
            sound.world.amend("change", "CHG-3", exception_until=day(20), components=["pypi/lib"])
            assert due() == "satisfied"
        for facts in ({"looked_ms": ms(-3)}, {"code": "HYG-5M0"}, {"looked_ms": None}):
            known(**facts)(sound)
            assert sound.verdict("cross.patch-feed").verdict.value == "unsatisfied", facts
            sound.made["patching"] = PATCHING
        known(looked_ms=ms(-6))(sound)
        assert sound.verdict("cross.patch-effective").verdict.value == "unknown", "nobody looked since"


def test_an_error_without_its_french_sentence_is_red(database: Dsns) -> None:
    class RootError(HygieError):
        fr, en = "Une phrase.", "A sentence."

    class CopiedError(RootError):
        code, fr, en = "HYG-998", "Not found.", "Not found."

    class SilentError(RootError):
        code, fr = "HYG-999", " "

    assert untranslated(RootError) == (CopiedError.code, SilentError.code)
    assert not set(untranslated()) - {CopiedError.code, SilentError.code}, "every other error has its sentence"
    with scene(database) as broken:
        broken.change_fact("door", untranslated=untranslated(RootError))
        found = broken.verdict("cross.french-served")
    assert found.verdict.value == "unsatisfied"
    assert "HYG-998, HYG-999" in found.why.fr


def test_an_edition_under_way_is_not_judged_yet(database: Dsns) -> None:
    with scene(database) as sound:
        sound.world.amend("publication", "PUB-1", page="cd" * 32)
        assert sound.verdict("cross.page-current").verdict.value == "unknown"
        sound.world.clock.ms += 61_000
        assert sound.verdict("cross.page-current").verdict.value == "unsatisfied"


def test_traces_count_when_the_journal_bears_them_out(database: Dsns) -> None:
    def traces(*found: ActFacts, whole: bool = True) -> str:
        sound.change_fact("acts", traces=found, whole=whole)
        return sound.verdict("cross.traces-read").verdict.value

    export = ActFacts("journal:export", ms(-11), "local:paul", "done", "chu", "yes")
    with scene(database) as sound:
        assert traces(export) == "satisfied"
        assert traces(replace(export, disclosed="no")) == "unsatisfied", "nothing can be read in it"
        assert traces(replace(export, disclosed="patient")) == "unsatisfied", "one patient's can"
        assert traces(replace(export, disclosed="")) == "unsatisfied"
        assert traces(replace(export, action="journal:read")) == "unsatisfied", "somebody looked at them, here"
        assert traces(replace(export, outcome="unknown")) == "unsatisfied", "the export did not end"
        assert traces(replace(export, at_ms=ms(-9))) == "unsatisfied", "it was handed over before it was made"
        assert traces(replace(export, tenant="other")) == "unsatisfied"
        assert traces(whole=False) == "unknown", "the journal is not read whole"
        sound.sql("UPDATE hygie.environment SET created_ms = %s", ms(-20))
        assert traces() == "unknown", "hosted for less than a quarter"
        sound.sql("UPDATE hygie.environment SET state = 'destroyed'")
        assert traces() == "not_applicable", "nothing is hosted"


def test_what_was_not_observed_or_has_nothing_to_compare_is_never_green(database: Dsns) -> None:
    with scene(database) as sound:
        look = sound.look()
        look.facts.keys = Observed(failure="HYG-430")
        outcome, _ = judge_cross(CHECKS["cross.key-age"], look)
    assert (outcome.verdict.value, "HYG-430" in outcome.why.en) == ("unknown", True)
    for one in CHECKS.values():
        nothing = outcome_of(one.card, Found())
        assert nothing.verdict.value == one.card.empty


def test_an_intervention_at_night_covers_what_was_done_in_it(database: Dsns) -> None:
    """Between midnight in Paris and midnight of UTC, the instants of a record are still of the day before."""
    with scene(database) as sound:
        night = {"started_at": "2027-03-10T23:05:00Z", "ended_at": "2027-03-10T23:50:00Z"}
        sound.world.amend("intervention", "INT-1", **night)
        granted_ms = int(datetime(2027, 3, 10, 23, 20, tzinfo=UTC).timestamp() * 1000)
        sound.sql(INSERT_RIGHT, "paul", "privacy-officer", "anne", granted_ms, ms(9))
        sound.change_fact("acts", acts=(ActFacts("key:rotate", granted_ms, "local:paul", "done"),))
        found = {name: sound.verdict(f"cross.{name}") for name in ("privileged-justified", "act-justified")}
    assert {name: one.verdict.value for name, one in found.items()} == dict.fromkeys(found, "satisfied")


def test_the_certificate_of_an_actor_who_has_gone_may_end(database: Dsns) -> None:
    """Nobody renews it: without this it would be red until the end of time."""
    ending = CERTIFICATE | {"scheme": "iso27001", "edition": "2022", "activities": None, "depends_on": None,
                            "holder": "OLD", "expires_on": day(60)}  # fmt: skip
    actor = {"name": "Ancien", "role": "processor", "critical": False, "starts_on": day(-400)}
    with scene(database) as sound:
        sound.world.write(change("supplier", "OLD", "approved", country="FR", activities=[1], **actor),
                          change("certificate", "ISO-x", "valid", **ending))  # fmt: skip
        assert sound.verdict("cross.certificate-ends").verdict.value == "unsatisfied"
        sound.world.amend("supplier", "OLD", "ended", ends_on=day(-1))
        assert sound.verdict("cross.certificate-ends").verdict.value == "satisfied"


def test_a_backup_that_failed_does_not_undo_the_good_one_just_before(database: Dsns) -> None:
    """What a plan allows to be lost is counted from the newest good backup, whatever was tried since."""
    with scene(database) as sound:
        sound.measured("backup", 0, passed=False, code="HYG-420")
        assert sound.verdict("cross.backup-within-plan").verdict.value == "satisfied"
        sound.sql("DELETE FROM hygie.measurement WHERE kind = 'backup' AND passed")
        assert sound.verdict("cross.backup-within-plan").verdict.value == "unsatisfied"


def test_the_week_of_an_action_without_owner_begins_when_it_is_opened(database: Dsns) -> None:
    """An action that somebody touches every few days would else never lack its owner."""
    with scene(database) as sound:
        sound.world.write(change("action", "ACT-9", title="Sans personne", owner=None, due_on=day(30), origin="other"))
        sound.world.clock.ms = ms(6)
        sound.world.amend("action", "ACT-9", due_on=day(40))
        assert sound.verdict("cross.action-owned").verdict.value == "satisfied"
        sound.world.clock.ms = ms(8)
        found = sound.verdict("cross.action-owned")
    assert (found.verdict.value, "ACT-9" in found.why.en) == ("unsatisfied", True)


@pytest.mark.parametrize(
    ("certificate", "verdict"),
    [
        ("erasures/er-1.json", "satisfied"),
        ("Certificat n° er-1, remis le 3 mars", "satisfied"),
        ("er-10", "unsatisfied"),
        ("autre-er-1", "unsatisfied"),
    ],
)
def test_a_certificate_of_erasure_is_quoted_by_its_whole_reference(
    database: Dsns, certificate: str, verdict: str
) -> None:
    with scene(database) as sound:
        sound.world.amend("rights-request", "RRQ-1", certificate=certificate)
        found = {name: sound.verdict(f"cross.erasure-{name}").verdict.value for name in ("asked", "done")}
    assert found == dict.fromkeys(found, verdict)


def test_a_right_that_was_given_back_counts_from_its_first_grant(database: Dsns) -> None:
    """Else nobody whose right lapses for a day each year would ever be reviewed."""
    with scene(database) as sound:
        sound.world.amend("habilitation-review", "HRV-paul", reviewed_on=day(-366))
        sound.sql("UPDATE hygie.habilitation SET revoked_ms = %s WHERE account = 'paul'", ms(-30))
        assert "paul" not in sound.verdict("cross.right-reviewed").why.en
        sound.sql(INSERT_RIGHT, "paul", "reader", "anne", ms(-1), ms(9))
        found = sound.verdict("cross.right-reviewed")
    assert (found.verdict.value, "paul (chu/prod, reader)" in found.why.en) == ("unsatisfied", True)
