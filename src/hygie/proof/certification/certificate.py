"""Certificates: who is certified, for which activities, by whom, from when to when; and what one is worth on a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from hygie.proof.certification.civil import add_months
from hygie.proof.certification.delays import Delays, Scheme, own_delays
from hygie.proof.certification.errors import RecordRefusedError
from hygie.proof.certification.reading import TEXT_CHARS_MAX, Reader
from hygie.proof.model import Text

# One certificate may last longer than three years from its issue when it renews another before its expiry: the new
# expiry then counts from the old one (ISO/IEC 17021-1, 9.6.3). No body decides more than a year ahead.
RENEWED_AHEAD_MONTHS_MAX = 12


class CertificateState(StrEnum):
    """What its body decided about a certificate. That it has expired is read from its date, never recorded."""

    VALID = "valid"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of one holder (an actor's identifier).

    accreditation_body, accreditation_country, accreditation_reference: who accredited the body (COFRAC, or its peer
    in another country of the Union), where, under which number. activities: 1 to 6 (CSP R.1111-9), none for ISO 27001.
    issued_on, expires_on: first and last day of validity. state_on: first day of a suspension or withdrawal.
    depends_on: the ISO 27001 certificate that an HDS one hangs on. renews: the certificate it continues.
    """

    id: str
    scheme: Scheme
    edition: str
    holder: str
    body: str
    accreditation_body: str
    accreditation_country: str
    accreditation_reference: str
    number: str
    activities: tuple[int, ...]
    scope: str
    decided_on: date
    issued_on: date
    expires_on: date
    state: CertificateState
    state_on: date | None = None
    depends_on: str | None = None
    renews: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a certificate is worth on a day: valid, or not and why (every reason, not the first)."""

    valid: bool
    reasons: tuple[Text, ...]


def parse_certificate(body: object, record: str = "certificate", *, delays: Delays | None = None) -> Certificate:
    """A certificate from a plain dict, refused whole if one field is wrong. delays: those of this version if none.

    Raises: RecordRefusedError: unknown, missing or malformed field; decision after issue; expiry not after issue, or
    past the validity (a year more for a renewal); ISO 27001 with activities or a dependency, HDS without.
    """
    read = Reader(record, body)
    scheme = read.choice("scheme", Scheme)
    certificate = Certificate(
        id=read.identifier("id"),
        scheme=scheme,
        edition=read.text("edition"),
        holder=read.identifier("holder"),
        body=read.text("body"),
        accreditation_body=read.text("accreditation_body"),
        accreditation_country=read.country("accreditation_country"),
        accreditation_reference=read.text("accreditation_reference"),
        number=read.text("number"),
        activities=read.activities("activities", required=scheme is Scheme.HDS),
        scope=read.text("scope", chars_max=TEXT_CHARS_MAX),
        decided_on=read.day("decided_on"),
        issued_on=read.day("issued_on"),
        expires_on=read.day("expires_on"),
        state=read.choice("state", CertificateState),
        state_on=read.optional(read.day, "state_on"),
        depends_on=read.optional(read.identifier, "depends_on"),
        renews=read.optional(read.identifier, "renews"),
    )
    read.done()
    _check(certificate, read, delays or own_delays())
    return certificate


def check_term(read: Reader, issued_on: date, expires_on: date, delays: Delays, *, renewal: bool) -> None:
    """Refuse a validity that is empty or longer than any rule allows. Raises: RecordRefusedError."""
    if expires_on <= issued_on:
        reason = Text("l'expiration ne suit pas la délivrance", "expiry is not after issue")
        raise read.refused("expires_on", reason)
    latest = add_months(delays.due("validity", issued_on), RENEWED_AHEAD_MONTHS_MAX if renewal else 0)
    if expires_on > latest:
        reason = Text("plus que la durée de validité", "longer than the validity")
        raise read.refused("expires_on", reason)


def _check(certificate: Certificate, read: Reader, delays: Delays) -> None:
    read.after("issued_on", certificate.issued_on, "decided_on", certificate.decided_on)
    check_term(read, certificate.issued_on, certificate.expires_on, delays, renewal=certificate.renews is not None)
    if certificate.scheme is Scheme.HDS and certificate.depends_on is None:
        reason = Text("un certificat HDS repose sur un certificat ISO 27001", "HDS hangs on an ISO 27001 certificate")
        raise read.refused("depends_on", reason)
    if certificate.scheme is Scheme.ISO27001 and (certificate.activities or certificate.depends_on):
        field = "activities" if certificate.activities else "depends_on"
        raise read.refused(field, Text("réservé aux certificats HDS", "for HDS certificates only"))
    if certificate.id in {certificate.depends_on, certificate.renews}:
        raise read.refused("id", Text("il renvoie à lui-même", "it refers to itself"))
    if (certificate.state is CertificateState.VALID) != (certificate.state_on is None):
        reason = Text(
            "date de suspension ou de retrait, et alors seulement", "day of suspension or withdrawal, only then"
        )
        raise read.refused("state_on", reason)
    read.after("state_on", certificate.state_on, "issued_on", certificate.issued_on)
    if certificate.state_on is not None and certificate.state_on > certificate.expires_on:
        raise read.refused("state_on", Text("date postérieure à l'expiration", "date later than expiry"))


def check_chain(certificates: Iterable[Certificate], delays: Delays) -> None:
    """Refuse certificates that cannot stand together.

    Raises: RecordRefusedError, naming the certificate by its id: the same id twice; a reference to one that is not
    there, of another scheme or holder, or that turns in a circle; a renewal not issued after what it renews or longer
    than the rule from the old expiry; an HDS certificate issued without a valid ISO 27001 one, or outliving it and
    its renewals.
    """
    known: dict[str, Certificate] = {}
    for each in certificates:
        if each.id in known:
            raise _refused(each, "id", Text("le même identifiant deux fois", "the same identifier twice"))
        known[each.id] = each
    for each in known.values():
        _check_renewal(each, known, delays)
    for each in known.values():
        if each.depends_on is not None:
            _check_dependency(each, known, delays)


def _check_renewal(certificate: Certificate, known: Mapping[str, Certificate], delays: Delays) -> None:
    seen, at = {certificate.id}, certificate
    while at.renews is not None:
        before = known.get(at.renews)
        if before is None:
            raise _refused(at, "renews", Text("certificat inconnu", "unknown certificate"))
        if before.id in seen:
            raise _refused(at, "renews", Text("renouvellements en boucle", "renewals in a circle"))
        seen.add(before.id)
        at = before
    if certificate.renews is None:
        return
    before = known[certificate.renews]
    if (before.scheme, before.holder) != (certificate.scheme, certificate.holder):
        raise _refused(certificate, "renews", Text("autre référentiel ou titulaire", "another scheme or holder"))
    if certificate.issued_on <= before.issued_on:
        raise _refused(certificate, "issued_on", Text("antérieur au certificat renouvelé", "before the renewed one"))
    latest = delays.due("validity", max(before.expires_on, certificate.issued_on))
    if certificate.expires_on > latest:
        raise _refused(certificate, "expires_on", Text("plus que la durée de validité", "longer than the validity"))


def _check_dependency(certificate: Certificate, known: Mapping[str, Certificate], delays: Delays) -> None:
    base = known.get(certificate.depends_on or "")
    if base is None or base.scheme is not Scheme.ISO27001:
        raise _refused(
            certificate, "depends_on", Text("aucun tel certificat ISO 27001", "no such ISO 27001 certificate")
        )
    if base.holder != certificate.holder:
        raise _refused(certificate, "depends_on", Text("autre titulaire", "another holder"))
    line = _line(base, known.values())
    if not any(standing(each, certificate.issued_on, (), delays).valid for each in line):
        reason = Text("aucun certificat ISO 27001 valide à la délivrance", "no valid ISO 27001 certificate at issue")
        raise _refused(certificate, "depends_on", reason)
    if certificate.expires_on > max(each.expires_on for each in line):
        reason = Text("il survivrait au certificat ISO 27001", "it would outlive the ISO 27001 certificate")
        raise _refused(certificate, "expires_on", reason)


def _line(base: Certificate, among: Iterable[Certificate]) -> list[Certificate]:
    """A certificate and those that renew it, directly or not."""
    line, others = [base], [each for each in among if each.renews is not None]
    for each in line:  # grows while it is read: a renewal's own renewals follow
        line.extend(later for later in others if later.renews == each.id and later not in line)
    return line


def _refused(certificate: Certificate, field: str, reason: Text) -> RecordRefusedError:
    return RecordRefusedError(record=f"certificate {certificate.id}", field=field, reason=reason)


def standing(certificate: Certificate, at: date, others: Iterable[Certificate], delays: Delays) -> Standing:
    """What a certificate is worth on a day, the ISO 27001 one it hangs on included.

    others: the certificates among which depends_on and renewals are looked for. An edition that the delays do not know,
    or that has ended, is worth nothing; nor does a certificate outlive, by its own date, the suspension or withdrawal
    of one that renews it.
    """
    known = {each.id: each for each in others}

    def against(each: Certificate) -> list[Text]:
        return _own_reasons(each, at, delays) + _renewal_reasons(each, at, known.values())

    reasons = against(certificate)
    if certificate.scheme is Scheme.HDS:
        base = known.get(certificate.depends_on or "")
        line = _line(base, known.values()) if base is not None and base.scheme is Scheme.ISO27001 else []
        if not any(each.holder == certificate.holder and not against(each) for each in line):
            reasons.append(
                Text(
                    "aucun certificat ISO 27001 valide ne porte ce certificat HDS",
                    "no valid ISO 27001 certificate carries this HDS certificate",
                )
            )
    return Standing(not reasons, tuple(reasons))


def _own_reasons(certificate: Certificate, at: date, delays: Delays) -> list[Text]:
    found: list[Text] = []
    if at < certificate.issued_on:
        day = certificate.issued_on.isoformat()
        found.append(Text(f"délivré seulement le {day}", f"issued only on {day}"))
    if at > certificate.expires_on:
        day = certificate.expires_on.isoformat()
        found.append(Text(f"expiré le {day} au soir", f"expired at the end of {day}"))
    if certificate.state_on is not None and at >= certificate.state_on:
        day = certificate.state_on.isoformat()
        word = _STATE_WORDS[certificate.state]
        found.append(Text(f"{word.fr} depuis le {day}", f"{word.en} since {day}"))
    edition = delays.edition(certificate.scheme, certificate.edition)
    if edition is None:
        found.append(Text("édition du référentiel inconnue", "unknown edition of the référentiel"))
    elif edition.valid_until is not None and at > edition.valid_until:
        day = (edition.valid_until + timedelta(days=1)).isoformat()
        found.append(Text(f"édition sans valeur depuis le {day}", f"edition worth nothing since {day}"))
    return found


def _renewal_reasons(certificate: Certificate, at: date, among: Iterable[Certificate]) -> list[Text]:
    """What the body decided since about the certificates that renew it."""
    found: list[Text] = []
    for later in _line(certificate, among)[1:]:
        if later.state_on is not None and at >= later.state_on:
            word, day = _STATE_WORDS[later.state], later.state_on.isoformat()
            fr = f"son renouvellement {later.id} est {word.fr} depuis le {day}"
            found.append(Text(fr, f"its renewal {later.id} is {word.en} since {day}"))
    return found


_STATE_WORDS = {
    CertificateState.SUSPENDED: Text("suspendu", "suspended"),
    CertificateState.WITHDRAWN: Text("retiré", "withdrawn"),
}
