"""What makes a référentiel acceptable, whatever file it comes from: its tree, its links, its dates. Pure.

Everything refused here is refused whole, with the place and the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hygie.proof.errors import ReferentialRefusedError
from hygie.proof.model import Text, same
from hygie.proof.referentials.model import NODE_MARK, Link, Referential, Relation, Requirement

NODES_MAX = 20_000  # requirements, controls, threats: the largest catalogue published has some 6,000
LINKS_MAX = 200_000  # NIST's own crosswalks have a few thousand
TREE_DEPTH_MAX = 32  # levels of headings: people read four or five
SHOWN_CHARS_MAX = 120  # of a file's own text in an error: enough to find it
YEAR_MIN, YEAR_MAX = 1900, 2199  # a text outside was mistyped

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,39}")
_ONE_WAY = {Relation.SUBSET: False, Relation.SUPERSET: True, Relation.REQUIRED: False, Relation.REPLACED: False}

Lines = Mapping[str, int]
NO_LINES: Lines = {}


@dataclass(frozen=True, slots=True)
class Placed:
    """A node as it was read. line: in the file, 0 when not known."""

    node: Requirement
    line: int = 0


def slug(text: str, *, chars_max: int = 80) -> str:
    """A name made of a publisher's own: ``a-z 0-9 . _ -``; empty when nothing of it can be kept."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")[:chars_max].rstrip("-._")


def place(name: str, line: int = 0) -> Text:
    """Where something is wrong: the line if it is known, and what stands there."""
    clean = "".join(char for char in name if char.isprintable())
    shown = clean if len(clean) <= SHOWN_CHARS_MAX else f"{clean[:SHOWN_CHARS_MAX]}…"
    return Text(f"ligne {line}, {shown}", f"line {line}, {shown}") if line else same(shown)


def refused(where: Text, *, fr: str, en: str) -> ReferentialRefusedError:
    """The error to raise."""
    return ReferentialRefusedError.at(where, Text(fr, en))


def ordered(placed: Sequence[Placed]) -> tuple[Requirement, ...]:
    """The nodes, each after its parent, sisters in the order of the file. Time: linear.

    Raises: ReferentialRefusedError: too many, an id twice, a parent that is missing, a cycle, too deep.
    """
    if len(placed) > NODES_MAX:
        raise refused(
            place("nodes"),
            fr=f"{len(placed)} éléments, au plus {NODES_MAX}",
            en=f"{len(placed)} nodes, at most {NODES_MAX}",
        )
    known: dict[str, Placed] = {}
    for one in placed:
        first = known.setdefault(one.node.id, one)
        if first is not one:
            twice = Text("identifiant en double", "the same id twice")
            if first.line:
                twice = Text(f"{twice.fr}, déjà ligne {first.line}", f"{twice.en}, first on line {first.line}")
            raise ReferentialRefusedError.at(place(one.node.id, one.line), twice)
    below: dict[str, list[Placed]] = {}
    for one in placed:
        parent = one.node.parent
        if parent and parent not in known:
            shown = place(parent).en
            raise refused(place(one.node.id, one.line), fr=f"parent absent : {shown}", en=f"missing parent: {shown}")
        below.setdefault(parent, []).append(one)
    found = _preorder(below)
    if len(found) < len(placed):
        reached = {node.id for node in found}
        lost = next(one for one in placed if one.node.id not in reached)
        raise refused(place(lost.node.id, lost.line), fr="parents en cercle", en="cyclic parents")
    return tuple(found)


def _preorder(below: Mapping[str, Sequence[Placed]]) -> list[Requirement]:
    """Raises: ReferentialRefusedError: too deep."""
    found: list[Requirement] = []
    waiting = [(0, one) for one in reversed(below.get("", ()))]
    while waiting:
        depth, one = waiting.pop()
        if depth >= TREE_DEPTH_MAX:
            raise refused(
                place(one.node.id, one.line),
                fr=f"plus de {TREE_DEPTH_MAX} niveaux",
                en=f"more than {TREE_DEPTH_MAX} levels",
            )
        found.append(one.node)
        waiting += [(depth + 1, child) for child in reversed(below.get(one.node.id, ()))]
    return found


def accept(referential: Referential, lines: Lines = NO_LINES) -> Referential:
    """The référentiel itself, once its name, dates, groups, evidence and links were looked at.

    Args: lines: of nodes and crosswalks in the file, by id.
    Raises: ReferentialRefusedError.
    """
    _check_identity(referential)
    _check_dates(referential)
    _check_groups(referential, lines)
    for one in referential.nodes:
        for expected in one.evidence:
            for node in expected.nodes:
                if node not in referential:
                    raise refused(
                        place(one.id, lines.get(one.id, 0)),
                        fr=f"preuve d'un élément absent : {place(node).en}",
                        en=f"evidence of a missing node: {place(node).en}",
                    )
        if any(not 1 <= number <= 6 for number in one.activities):
            raise refused(
                place(one.id, lines.get(one.id, 0)), fr="une activité va de 1 à 6", en="an activity is 1 to 6"
            )
    _check_links(referential, lines)
    return referential


def _check_identity(referential: Referential) -> None:
    if not _NAME.fullmatch(referential.name):
        raise refused(
            place(referential.name),
            fr="nom refusé (a-z 0-9 . _ -, 80 au plus)",
            en="name refused (a-z 0-9 . _ -, at most 80)",
        )
    if not _VERSION.fullmatch(referential.version):
        raise refused(place(referential.version), fr="version absente ou inconnue", en="missing or unknown version")


def _check_dates(referential: Referential) -> None:
    dates = (referential.published_on, referential.effective_from, referential.effective_until)
    for one in dates:
        if one is not None and not YEAR_MIN <= one.year <= YEAR_MAX:
            raise refused(place(one.isoformat()), fr="date impossible", en="impossible date")
    starts = referential.effective_from or referential.published_on
    if starts is not None and referential.effective_until is not None and referential.effective_until < starts:
        span = f"{starts.isoformat()} > {referential.effective_until.isoformat()}"
        raise refused(
            place(span), fr="dates impossibles : fin avant le début", en="impossible dates: it ends before it starts"
        )


def _check_groups(referential: Referential, lines: Lines) -> None:
    known: set[str] = set()
    for group in referential.groups:
        if group.id in known:
            raise refused(place(group.id), fr="groupe en double", en="the same group twice")
        known.add(group.id)
    for one in referential.nodes:
        for name in one.groups:
            if name not in known:
                raise refused(
                    place(one.id, lines.get(one.id, 0)),
                    fr=f"groupe inconnu : {place(name).en}",
                    en=f"unknown group: {place(name).en}",
                )


def _check_links(referential: Referential, lines: Lines) -> None:
    arrows: dict[str, list[str]] = {}
    for count, (holder, link) in enumerate(_all_links(referential), 1):
        where = place(holder, lines.get(holder, 0))
        if count > LINKS_MAX:
            raise refused(where, fr=f"plus de {LINKS_MAX} liens", en=f"more than {LINKS_MAX} links")
        source, target = _whole(referential, link.source or NODE_MARK + holder), _whole(referential, link.target)
        for end in (source, target):
            name, mark, node = end.partition(NODE_MARK)
            if mark and name == referential.id and node not in referential:
                raise refused(
                    where,
                    fr=f"lien vers un élément absent : {place(node).en}",
                    en=f"link to a missing node: {place(node).en}",
                )
        if source == target:
            raise refused(where, fr="lien vers soi-même", en="a link to itself")
        if link.relation in _ONE_WAY:
            low, high = (target, source) if _ONE_WAY[link.relation] else (source, target)
            arrows.setdefault(low, []).append(high)
    turning = _on_a_cycle(arrows)
    if turning is not None:
        node = turning.partition(NODE_MARK)[2] or turning
        raise refused(place(node, lines.get(node, 0)), fr="correspondances en cercle", en="cyclic mapping")


def _all_links(referential: Referential) -> Iterable[tuple[str, Link]]:
    for one in referential.nodes:
        yield from ((one.id, link) for link in one.links)
    for crosswalk in referential.crosswalks:
        yield from ((crosswalk.id, link) for link in crosswalk.links)


def _whole(referential: Referential, address: str) -> str:
    """An address that says its référentiel. A node's own URN, in a crosswalk, is its address here."""
    if address.startswith(NODE_MARK):
        return referential.id + address
    return referential.id + NODE_MARK + address if address in referential else address


def _on_a_cycle(arrows: Mapping[str, Sequence[str]]) -> str | None:
    """A node from which the arrows lead back to it, or nothing. Time: linear in the arrows."""
    done: set[str] = set()
    for start in arrows:
        path: list[str] = []
        under_way: set[str] = set()
        waiting: list[tuple[str, bool]] = [(start, False)]
        while waiting:
            node, leaving = waiting.pop()
            if leaving:
                under_way.discard(path.pop())
                done.add(node)
            elif node in under_way:
                return node
            elif node not in done:
                path.append(node)
                under_way.add(node)
                waiting.append((node, True))
                waiting += [(following, False) for following in arrows.get(node, ())]
    return None
