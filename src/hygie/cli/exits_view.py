"""What ``hygie exit`` says: for a person, and for a machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hygie.base.language import say
from hygie.cli.acts import instant
from hygie.cli.frame import Frame

if TYPE_CHECKING:
    from hygie.exits.certificate import DestructionCertificate
    from hygie.exits.model import ExitManifest
    from hygie.exits.verifying import Verified


def tell_export(frame: Frame, manifest: ExitManifest, to: Path) -> None:
    """An export that ended."""
    frame.out.table(
        [
            say(fr="environnement", en="environment"),
            "type",
            say(fr="actuelles", en="current"),
            say(fr="antérieures", en="superseded"),
            say(fr="suppressions", en="deletions"),
        ],
        [
            [part.name, type_, count.current, count.history, count.deleted]
            for part in manifest.environments
            for type_, count in sorted(part.resources.items())
        ],
    )
    erased = sum(part.erased for part in manifest.environments)
    if erased:
        frame.out.line(
            say(
                fr=f"{erased} versions de patients effacés ne sont plus lisibles par personne : elles n'y sont pas.",
                en=f"{erased} versions of erased patients can be read by nobody any more: they are not in it.",
            )
        )
    frame.out.line(
        say(
            fr=f"Export {manifest.export_id} : {manifest.files} fichiers chiffrés dans {to},"
            f" {manifest.journal.entries} traces. Coût : {manifest.terms.cost}. Au client de vérifier :"
            f" hygie exit verify {to} --identity SA-CLE",
            en=f"Export {manifest.export_id}: {manifest.files} encrypted files in {to},"
            f" {manifest.journal.entries} traces. Cost: {manifest.terms.cost}. The client now verifies:"
            f" hygie exit verify {to} --identity ITS-KEY",
        )
    )


def tell_verified(frame: Frame, found: Verified) -> None:
    """An export that its client found whole."""
    frame.out.line(
        say(
            fr=f"INTÈGRE : {found.files} fichiers, {found.versions} versions, {found.traces} traces ; chaque somme,"
            " chaque compte et la signature sont justes.",
            en=f"WHOLE: {found.files} files, {found.versions} versions, {found.traces} traces; every sum, every count"
            " and the signature are right.",
        ),
        style="green",
    )
    if not found.key_trusted:
        frame.out.warn(
            say(
                fr="La clé de signature vient de l'export lui-même : donnez celle que l'hébergeur publie (--key).",
                en="The signing key comes from the export itself: give the one that the host published (--key).",
            )
        )
    if not found.log_key_trusted:
        frame.out.warn(
            say(
                fr="La clé du journal vient de l'export lui-même : donnez celle que l'hébergeur publie (--log-key).",
                en="The journal's key comes from the export itself: give the published one (--log-key).",
            )
        )
    if not found.manifest.complete:
        frame.out.warn(
            say(
                fr="L'hébergeur dit n'avoir pu tout rendre : ne consentez pas sur cet export.",
                en="The host says that it could not return everything: do not consent on this export.",
            )
        )
    frame.out.line(
        say(
            fr=f"{found.references} références, dont {found.unresolved} vers des ressources absentes de l'export.",
            en=f"{found.references} references; {found.unresolved} resources referred to are not in the export.",
        )
    )
    frame.out.line(say(fr=f"Code de vérification : {found.code}", en=f"Verification code: {found.code}"))


def verified_facts(found: Verified) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "export": found.manifest.export_id,
        "tenant": found.manifest.tenant,
        "complete": found.manifest.complete,
        "code": found.code,
        "files": found.files,
        "bytes": found.bytes,
        "versions": found.versions,
        "resources": found.resources,
        "references": found.references,
        "unresolved": found.unresolved,
        "traces": found.traces,
        "cosigned": found.cosigned,
        "key_trusted": found.key_trusted,
        "log_key_trusted": found.log_key_trusted,
    }


def tell_destruction(frame: Frame, certificate: DestructionCertificate, path: Path) -> None:
    """What was destroyed, and what is waited for."""
    for one in certificate.sites:
        when = instant(one.gone_ms) or say(fr="absent : au retour du site", en="away: when it comes back")
        frame.out.line(say(fr=f"site {one.site} : plus rien, {when}", en=f"site {one.site}: nothing left, {when}"))
    every = certificate.unreadable_in_every_copy_ms
    if every is None:
        due = instant(certificate.unreadable_in_every_copy_due_ms)
        frame.out.line(
            say(
                fr=f"Illisible dans toute copie au plus tard le {due}.",
                en=f"Unreadable in every copy by {due}.",
            )
        )
    else:
        frame.out.line(
            say(
                fr=f"Illisible dans toute copie depuis le {instant(every)}.",
                en=f"Unreadable in every copy since {instant(every)}.",
            )
        )
    for left in certificate.remains:
        until = instant(left.until_ms)
        frame.out.line(
            say(
                fr=f"Reste{f' (jusque vers le {until})' if until else ''} : {left.what_fr}",
                en=f"Remains{f' (until about {until})' if until else ''}: {left.what_en}",
            )
        )
    frame.out.line(say(fr=f"Certificat : {path}", en=f"Certificate: {path}"))


def destruction_facts(certificate: DestructionCertificate) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "destruction": certificate.destruction_id,
        "consent": certificate.consent_id,
        "environments": [one.name for one in certificate.environments],
        "versions": sum(one.versions for one in certificate.environments),
        "unreadable_ms": certificate.unreadable_in_service_ms,
        "sites": {one.site: one.gone_ms for one in certificate.sites},
        "every_site_ms": certificate.every_site_ms,
        "due_ms": certificate.unreadable_in_every_copy_due_ms,
        "every_copy_ms": certificate.unreadable_in_every_copy_ms,
        "final": certificate.final,
    }
