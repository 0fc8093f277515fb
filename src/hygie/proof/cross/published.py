"""What was last published, and what clients read of their traces, against the registers and the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from hygie.base.actions import Action
from hygie.base.civil import day_of
from hygie.proof.cross.model import Found, Judge, Look
from hygie.proof.documents.model import Batches, Inputs, Installation, SitePlace
from hygie.proof.documents.pages import GUARANTEES, TRANSFERS, make_page, said_by
from hygie.proof.errors import RegulatorySentenceAbsentError
from hygie.proof.facts import ActFacts, PageFacts
from hygie.registers.chain import RecordVersion

TRANSFERS_DAYS = 92  # of the page online: it says "as of", and a quarter is the most a reader should have to trust
GUARANTEES_DAYS = 366  # of the table handed to clients, who receive it each year
TRACES_DAYS = 92  # a client is handed the traces of each quarter
EXPORT_DAYS = 31  # of the export that is handed over
SETTLES_MS = 60_000  # of an edition under way: its record is written, then its files, then its entry is published
DAY_MS = 86_400_000


def page_current(look: Look) -> Found:
    """The transfers page is online, young, as it was published, and says what the registers say now (EXI 31)."""
    return _current(look, TRANSFERS, ("online",), TRANSFERS_DAYS)


def guarantees_current(look: Look) -> Found:
    """The guarantees table was made within the year, is as it was made, and says what the registers say now."""
    return _current(look, GUARANTEES, ("made", "online"), GUARANTEES_DAYS)


def inputs_of(look: Look) -> Inputs:
    """What a page would be made from now."""
    settings = look.context.settings
    return Inputs(
        at_ms=look.context.now_ms,
        language="fr",
        demonstration=not settings.production,
        posture={},
        catalogue={},
        records=look.snapshot.records,
        schemas=look.schemas,
        batches=Batches(0, 0, 0, 0, {}),
        installation=Installation(
            origin="",
            version=look.version,
            production=settings.production,
            sites=[SitePlace(one.name, one.country, one.city, one.operator) for one in settings.sites],
            allowed_countries=settings.allowed_countries,
            rpo_s=settings.backups.rpo_minutes * 60,
            rto_s=settings.backups.rto_minutes * 60,
        ),
    )


def _current(look: Look, kind: str, states: Sequence[str], days: int) -> Found:
    editions = [one for one in look.of("publication", *states) if one.fields["kind"] == kind]
    if not editions:
        return Found([f"publication {kind}"], 1)
    edition = max(editions, key=lambda one: (str(one.fields["as_of"]), one.seq))
    pages = look.facts.pages.value
    assert pages is not None
    on_disk = next((one for one in pages if one.kind == kind), PageFacts(kind, "", "", "", None))
    made_on = day_of(edition.fields["as_of"])
    if made_on is None or made_on < look.today - timedelta(days=days):
        return Found([f"{edition.key} (as_of)"], 1)
    wrong = [f"{edition.key} ({reason})" for reason in _reasons(look, edition, on_disk)]
    if wrong and edition.at_ms > look.facts.pages.at_ms - SETTLES_MS:
        return Found(unclear=[edition.key], checked=1)
    return Found(wrong, 1)


def _reasons(look: Look, edition: RecordVersion, on_disk: PageFacts) -> list[str]:
    """Words of the field at fault: they read alike in both languages."""
    found = []
    for name in ("page", "data"):
        if getattr(on_disk, name) != edition.fields[name]:
            found.append(name)
    if on_disk.journaled_ms is None:
        found.append("journal")
    try:
        if said_by(make_page(on_disk.kind, inputs_of(look)).data) != on_disk.said:
            found.append("supplier")
    except RegulatorySentenceAbsentError as error:
        found.append(f"regulatory-wording {error.facts['form']}")
    return found


def traces_read(look: Look) -> Found:
    """Each client was handed an export of its traces in which they are readable, within a quarter: the journal says so
    (EXI 15).

    A client that has been hosted for less than a quarter is not told yet.
    """
    acts, places = look.facts.acts.value, look.facts.places.value
    assert acts is not None
    assert places is not None
    now_ms = look.context.now_ms
    wrong: list[str] = []
    unclear: list[str] = []
    checked = 0
    for tenant in look.tenants:
        hosted = [one.created_ms for one in places if one.tenant == tenant]
        if not hosted:
            continue  # no environment: nothing is accessed
        checked += 1
        if _received(look, tenant, [one.at_ms for one in acts.traces if one.tenant == tenant and _shows(one)]):
            continue
        young = now_ms - min(hosted) < TRACES_DAYS * DAY_MS
        (unclear if young or not acts.whole else wrong).append(tenant)
    return Found(wrong, checked, unclear)


def _shows(act: ActFacts) -> bool:
    """Whether an act gave a client's entries with what opens each of them."""
    return act.action == Action.JOURNAL_EXPORT and act.outcome == "done" and act.disclosed == "yes"


def _received(look: Look, tenant: str, exports: Sequence[int]) -> bool:
    """Whether one of some exports was handed over. Args: exports: when each was made."""
    now_ms = look.context.now_ms
    since_ms = now_ms - TRACES_DAYS * DAY_MS
    handed = [
        int(datetime.fromisoformat(str(one.fields["delivered_at"])).timestamp() * 1000)
        for one in look.of("document-delivery", "delivered", "acknowledged")
        if one.tenant == tenant and one.fields["kind"] == "traces"
    ]
    return any(
        since_ms <= given_ms <= now_ms
        and any(given_ms - EXPORT_DAYS * DAY_MS <= one < given_ms + 1000 for one in exports)  # a record tells seconds
        for given_ms in handed
    )


def french_served(look: Look) -> Found:
    """Each open service says that its interface is in French; the door refuses in French who asks in French, and has a
    French sentence for each error."""
    door = look.facts.door.value
    assert door is not None
    services = look.of("service", "open")
    wrong = [one.key for one in services if not (one.fields.get("french_interface") and door.french)]
    return Found([*wrong, *door.untranslated] if services else [], len(services))


JUDGES: Mapping[str, Judge] = {
    "cross.page-current": page_current,
    "cross.guarantees-current": guarantees_current,
    "cross.traces-read": traces_read,
    "cross.french-served": french_served,
}
