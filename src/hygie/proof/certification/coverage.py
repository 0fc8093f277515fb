"""Which services valid certificates cover: service × activity × the certificates of whoever performs the activity.

A service is covered when, for each activity it rests on, a named actor holds on that day a valid HDS certificate that
lists the activity, itself hanging on a valid ISO 27001 one. Nothing else is ever shown as covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from hygie.proof.certification.certificate import Certificate, standing
from hygie.proof.certification.delays import Delays, Scheme
from hygie.proof.certification.reading import Reader
from hygie.proof.model import Text


@dataclass(frozen=True, slots=True)
class Layer:
    """Who performs one activity under a service."""

    activity: int
    actor: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service. activities: 1 to 6 it rests on, whoever performs them."""

    id: str
    name: str
    activities: tuple[int, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class LayerCoverage:
    """One activity of a service on a day: covered by a certificate, or not and why."""

    activity: int
    actor: str | None
    certificate: str | None
    covered: bool
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """A service on a day. covered: every activity is; reasons: of what is not, each with its activity."""

    service: str
    at: date
    covered: bool
    layers: tuple[LayerCoverage, ...]
    reasons: tuple[Text, ...]


def parse_service(body: object, record: str = "service") -> Service:
    """A service from a plain dict. It may have no activity yet, or an activity no layer: it is then not covered.

    Raises: RecordRefusedError: unknown, missing or malformed field; an activity with two actors, or an actor for an
    activity that the service does not rest on.
    """
    read = Reader(record, body)
    service = Service(
        id=read.identifier("id"),
        name=read.text("name"),
        activities=read.activities("activities", empty=True),
        layers=tuple(_layer(each) for each in read.parts("layers")),
    )
    read.done()
    performed = [layer.activity for layer in service.layers]
    if len(set(performed)) < len(performed):
        raise read.refused("layers", Text("deux acteurs pour une activité", "two actors for one activity"))
    if not set(performed) <= set(service.activities):
        reason = Text("activité que le service ne déclare pas", "an activity that the service does not declare")
        raise read.refused("layers", reason)
    return service


def _layer(read: Reader) -> Layer:
    layer = Layer(read.activity("activity"), read.identifier("actor"))
    read.done()
    return layer


def covered(service: Service, certificates: Sequence[Certificate], delays: Delays, *, at: date) -> Coverage:
    """Whether valid certificates cover a service on a day, activity by activity, with every reason why not."""
    actors = {layer.activity: layer.actor for layer in service.layers}
    layers = tuple(
        _layer_covered(activity, actors.get(activity), certificates, delays, at) for activity in service.activities
    )
    reasons = tuple(
        Text(f"activité {layer.activity} : {reason.fr}", f"activity {layer.activity}: {reason.en}")
        for layer in layers
        for reason in layer.reasons
    )
    if not layers:
        reasons = (Text("aucune activité déclarée", "no activity declared"),)
    return Coverage(service.id, at, bool(layers) and all(each.covered for each in layers), layers, reasons)


def _layer_covered(
    activity: int, actor: str | None, certificates: Sequence[Certificate], delays: Delays, at: date
) -> LayerCoverage:
    if actor is None:
        reason = Text("personne n'est nommé pour l'assurer", "nobody is named to perform it")
        return LayerCoverage(activity, None, None, covered=False, reasons=(reason,))
    own = [each for each in certificates if each.holder == actor and each.scheme is Scheme.HDS]
    listing = [each for each in own if activity in each.activities]
    reasons: list[Text] = []
    for each in sorted(listing, key=lambda certificate: (certificate.expires_on, certificate.id), reverse=True):
        worth = standing(each, at, certificates, delays)
        if worth.valid:
            return LayerCoverage(activity, actor, each.id, covered=True, reasons=())
        reasons += [
            Text(f"certificat {each.id} : {reason.fr}", f"certificate {each.id}: {reason.en}")
            for reason in worth.reasons
        ]
    if not listing:
        reasons.append(
            Text(f"aucun certificat HDS de {actor} ne la cite", f"no HDS certificate of {actor} lists it")
            if own
            else Text(f"{actor} n'a aucun certificat HDS", f"{actor} holds no HDS certificate")
        )
    return LayerCoverage(activity, actor, None, covered=False, reasons=tuple(reasons))
