"""How the perimeter and a questionnaire's result are shown to people, and given to machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hygie.base.language import say
from hygie.cli.console import Console
from hygie.proof.certification.reading import ACTIVITIES
from hygie.proof.certification.scoping import Applies, Held, Scope

if TYPE_CHECKING:
    from hygie.perimeter import Perimeter
    from hygie.proof.perimeter.services import LayerRow, ServiceRow

_NAMES = {
    1: ("sites physiques", "physical sites"), 2: ("infrastructure matérielle", "hardware infrastructure"),
    3: ("infrastructure virtuelle", "virtual infrastructure"), 4: ("plateforme d'hébergement", "hosting platform"),
    5: ("administration et exploitation", "administration and operation"), 6: ("sauvegarde", "backup"),
}  # fmt: skip


def activity(number: int) -> str:
    """An activity of R.1111-9 CSP as people read it."""
    fr, en = _NAMES[number]
    return say(fr=f"{number}° {fr}", en=f"{number}° {en}")


def show(out: Console, found: Perimeter) -> None:
    """Services and their layers, roles on top; then what runs beside what is declared."""
    out.line(say(fr=f"Périmètre au {found.on}", en=f"Perimeter on {found.on}"), style="bold")
    if not found.services:
        out.line(
            say(
                fr="Aucun service au registre : rien n'est couvert, toutes les exigences s'appliquent.",
                en="No service in the register: nothing is covered, every requirement applies.",
            )
        )
    for service in found.services:
        _service(out, service)
    out.line()
    out.table(
        [say(fr="observé", en="observed"), say(fr="où", en="where"), say(fr="déclaré", en="declared"), ""],
        [
            [one.name if one.observed else "-", one.where, f"{one.declared} {one.title}".strip() or "-", _state(one)]
            for one in found.beside
        ],
        title=say(fr="Ce qui tourne et ce qui est déclaré", en="What runs and what is declared"),
    )
    stores = found.stores.value
    if stores is None:
        out.warn(say(fr=f"Rien observé ({found.stores.failure}).", en=f"Nothing observed ({found.stores.failure})."))
    elif not stores.whole:
        out.warn(say(fr="La recherche s'est arrêtée à ses bornes.", en="The scan stopped at its bounds."))
    elif stores.closed:
        out.line(
            say(
                fr=f"{stores.looked} systèmes de fichiers parcourus ; {stores.closed} dossiers fermés à ce compte.",
                en=f"{stores.looked} file systems looked into; {stores.closed} folders closed to this account.",
            ),
            style="dim",
        )


def plain(found: Perimeter) -> dict[str, Any]:
    """The perimeter for machines."""
    return {
        "on": found.on.isoformat(),
        "services": [
            {
                "key": one.key,
                "name": one.name,
                "state": one.state,
                "production": one.production,
                "environments": list(one.environments),
                "covered": one.covered,
                "reasons": pairs(one.reasons),
                "roles": {role.id: held.value for role, held in one.roles},
                "activities": [_layer(layer) for layer in one.layers],
            }
            for one in found.services
        ],
        "stores": [
            {
                "name": one.name,
                "kind": one.kind,
                "where": one.where,
                "health_data": one.health,
                "observed": one.observed,
                "declared": one.declared,
                "unlisted": one.unlisted,
                "unconnected": one.unconnected,
            }
            for one in found.beside
        ],
        "scanned": found.stores.value is not None and found.stores.value.whole,
    }


def show_scope(out: Console, tenant: str, key: str, found: Scope) -> None:
    """What follows from a questionnaire, with its reasons."""
    word = {
        Applies.YES: say(fr="soumis à la certification HDS", en="HDS certification is needed"),
        Applies.NO: say(fr="pas soumis à la certification HDS", en="HDS certification is not needed"),
        Applies.UNKNOWN: say(fr="inconnu : il manque des réponses", en="unknown: answers are lacking"),
    }[found.concerned]
    out.line(say(fr=f"{tenant} ({key}) : {word}", en=f"{tenant} ({key}): {word}"), style="bold")
    for reason in found.reasons:
        out.line(f"  {reason.said()}")
    if found.to_certify:
        names = ", ".join(map(activity, found.to_certify))
        out.line(say(fr=f"À certifier chez l'hébergeur : {names}", en=f"To be certified for the host: {names}"))
    for layer in found.relied_on:
        name = activity(layer.activity)
        out.line(say(fr=f"{name} : {layer.actor}, certifié pour elle", en=f"{name}: {layer.actor}, certified for it"))
    out.table(
        [say(fr="exigence", en="requirement"), say(fr="s'applique", en="applies"), say(fr="pourquoi", en="why")],
        [
            [one.id, say(fr="non", en="no") if one.applies is Applies.NO else "?", one.reason.said()]
            for one in found.requirements
            if one.applies is not Applies.YES
        ],
    )


def plain_scope(tenant: str, key: str, found: Scope) -> dict[str, Any]:
    """The same for machines."""
    return {
        "tenant": tenant,
        "record": key,
        "concerned": found.concerned.value,
        "reasons": pairs(found.reasons),
        "to_certify": list(found.to_certify),
        "relied_on": {str(layer.activity): layer.actor for layer in found.relied_on},
        "requirements": [
            {"id": one.id, "applies": one.applies.value, "why": list(one.reason)} for one in found.requirements
        ],
    }


def pairs(texts: Iterable[Sequence[str]]) -> list[list[str]]:
    """Sentences in both languages."""
    return [list(text) for text in texts]


def _service(out: Console, service: ServiceRow) -> None:
    mark = say(fr="couvert", en="covered") if service.covered else say(fr="NON COUVERT", en="NOT COVERED")
    kind = (
        say(fr="production", en="production") if service.production else say(fr="hors production", en="no production")
    )
    out.line()
    title = f"{service.key} {service.name} ({service.state}, {kind})"
    out.line(say(fr=f"{title} : {mark}", en=f"{title}: {mark}"), style="" if service.covered else "red")
    held = [role.title.said() + ("" if how is Held.WHOLE else say(fr=" (en partie)", en=" (partly)"))
            for role, how in service.roles if how is not Held.NONE]  # fmt: skip
    if held:
        out.line("  " + " · ".join(held), style="dim")
    out.table(
        [say(fr="activité", en="activity"), say(fr="assurée par", en="performed by"),
         say(fr="certificat", en="certificate"), say(fr="jusqu'au", en="until"), say(fr="pourquoi non", en="why not")],
        [
            [activity(one.activity), f"{one.actor} {one.actor_name}".strip() or "-", one.certificate or "-",
             one.until or "", "; ".join(reason.said() for reason in one.reasons)]
            for one in service.layers
        ],
        indent=2,
    )  # fmt: skip
    if not service.layers:
        out.line("  " + "; ".join(reason.said() for reason in service.reasons))


def _layer(layer: LayerRow) -> Mapping[str, Any]:
    return {
        "activity": layer.activity,
        "actor": layer.actor,
        "actor_name": layer.actor_name,
        "certificate": layer.certificate,
        "until": layer.until.isoformat() if layer.until else None,
        "covered": layer.covered,
        "reasons": pairs(layer.reasons),
    }


def _state(one: Any) -> str:
    if one.unlisted:
        return say(fr="PERSONNE NE L'A INSCRIT", en="NOBODY LISTED IT")
    if one.unconnected:
        return say(fr="rien ne l'observe : inconnu", en="nothing observes it: unknown")
    return ""


def activities_given(text: str) -> list[int]:
    """``3 4 5`` or ``3,4,5`` as numbers of activities. Raises: ValueError."""
    numbers = sorted({int(word) for word in text.replace(",", " ").replace(";", " ").split()})
    if not set(numbers) <= set(ACTIVITIES):
        raise ValueError(text)
    return numbers
