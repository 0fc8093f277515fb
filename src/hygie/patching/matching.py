"""What is known against what runs: one line a vulnerability and component, whatever number of feeds names it. Pure.

Source of the order of events: ossf.github.io/osv-schema, "Evaluation". A bound that cannot be read never clears.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hygie.patching.advisories import SLOTS, Advisory, gravest, package_key
from hygie.patching.model import Component, Inventory, System, Vulnerability
from hygie.patching.store import Feed
from hygie.patching.versions import Key, debian_key, python_key

CVE = "CVE-"
_BEFORE_ALL = "0"
UNRATED = {"deb": "medium"}  # of what no feed rates: Debian leaves most so; elsewhere it is not taken lightly
UNRATED_ELSEWHERE = "high"
_OF_KIND = {  # kind of package → slots that speak of it
    "pypi": ("PyPI",),
    "deb": ("Debian", "tracker"),
    "bitnami": ("Bitnami",),
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """An advisory that affects an installed version. fixed_in: nothing when it tells none."""

    advisory: Advisory
    fixed_in: str


def keys_of(inventory: Inventory) -> dict[bytes, list[Component]]:
    """What lines of feeds begin with → the components that they concern, one a package and version."""
    found: dict[bytes, dict[tuple[str, str], Component]] = defaultdict(dict)
    system = inventory.system
    for one in inventory.components:
        kind, _, name = one.package.partition("/")
        if kind == "deb":
            keys = [package_key("Debian", release, name) for release in sorted(_releases(kind, system))]
        elif kind in _OF_KIND:
            keys = [package_key("PyPI" if kind == "pypi" else "Bitnami", "", name)]
        else:
            keys = []
        for key in keys:
            found[key.encode()].setdefault((one.package, one.matched_version), one)
    return {key: list(components.values()) for key, components in found.items()}


def uncovered(inventory: Inventory, feeds: Iterable[Feed]) -> tuple[str, ...]:
    """Kinds of components that no feed in place speaks of: packages of another system than Debian, or of a release that
    no feed knows, are of such a kind."""
    told = {(one.slot, release) for one in feeds for release in one.releases}
    kinds = {one.package.partition("/")[0] for one in inventory.components if one.package}
    lacking = {
        kind
        for kind in kinds
        if not told & {(slot, release) for slot in _OF_KIND[kind] for release in _releases(kind, inventory.system)}
    }
    return tuple(sorted(lacking))


def _releases(kind: str, system: System) -> set[str]:
    """How feeds name the release of what is installed."""
    if kind != "deb":
        return {""}
    return {system.version, system.codename} - {""} if system.id == "debian" else set()


def match(wanted: Mapping[bytes, Sequence[Component]], told: Iterable[tuple[bytes, Advisory]]) -> list[Vulnerability]:
    """The vulnerabilities of these components, by name and component. Args: wanted: of :func:`keys_of`."""
    seen: dict[tuple[str, str], list[_Seen]] = defaultdict(list)
    for key, advisory in told:
        for one in wanted.get(key, ()):
            order = debian_key if one.package.startswith("deb/") else python_key
            fixed_in = affected(advisory, one.matched_version, order)
            if fixed_in is not None:
                seen[one.package, one.matched_version].append(_Seen(advisory, fixed_in))
    found = [line for (package, version), each in seen.items() for line in _lines(package, version, each)]
    return sorted(found, key=lambda one: (one.name, one.component, one.version))


def affected(advisory: Advisory, version: str, order: Key) -> str | None:
    """None when a version is not affected; else the first version without the fault, nothing when none is told."""
    try:
        present = order(version)
    except ValueError:
        return ""  # nobody can tell: it counts
    listed = any(_equals(one, version, present, order) for one in advisory.versions)
    for events in advisory.ranges:
        fixed_in = _in_range(events, present, order)
        if fixed_in is not None:
            return fixed_in
    return _first_fix(advisory, present, order) if listed else None


def _equals(one: str, version: str, present: Any, order: Key) -> bool:
    if one == version:
        return True
    try:
        return bool(order(one) == present)
    except ValueError:
        return False


def _in_range(events: Sequence[tuple[str, str]], present: Any, order: Key) -> str | None:
    """As :func:`affected`, of one range."""
    sorted_events = sorted(((_bound(kind, at, order), kind, at) for kind, at in events), key=lambda one: one[0])
    inside, fixed_in = False, ""
    for (rank, bound), kind, at in sorted_events:
        reached = rank == 0 or (rank == 1 and present >= bound)
        if kind == "introduced":
            inside, fixed_in = (True, "") if reached else (inside, fixed_in)
        elif reached:
            inside = inside and kind == "last_affected" and present == bound
        elif kind == "fixed" and inside and not fixed_in and rank == 1:
            fixed_in = at
    return fixed_in if inside else None


class _Least:
    """A bound that nothing is compared with: of the first rank, or of the last."""

    def __lt__(self, _: object) -> bool:
        return False


def _bound(kind: str, at: str, order: Key) -> tuple[int, Any]:
    """Rank and place: 0 before all versions, 1 among them, 2 never reached (a bound that cannot be read)."""
    if kind == "introduced" and at == _BEFORE_ALL:
        return 0, _Least()
    try:
        return 1, order(at)
    except ValueError:
        return (0 if kind == "introduced" else 2), _Least()


def _first_fix(advisory: Advisory, present: Any, order: Key) -> str:
    """The lowest fix above a version that is listed by name."""
    fixes: list[tuple[Any, str]] = []
    for kind, at in (event for events in advisory.ranges for event in events):
        rank, bound = _bound(kind, at, order)
        if kind == "fixed" and rank == 1 and present < bound:
            fixes.append((bound, at))
    return min(fixes, key=lambda one: one[0], default=(None, ""))[1]


def _lines(package: str, version: str, seen: Sequence[_Seen]) -> list[Vulnerability]:
    """One line a vulnerability: by CVE where any of its names is one; those that share a name are one."""
    groups: dict[str, list[_Seen]] = defaultdict(list)
    for name, one in _grouped(seen):
        groups[name].append(one)
    return [_line(name, package, version, each) for name, each in groups.items()]


def _grouped(seen: Sequence[_Seen]) -> list[tuple[str, _Seen]]:
    own = [frozenset(name for name in one.advisory.names if name.startswith(CVE)) for one in seen]
    sharing: dict[str, set[int]] = defaultdict(set)
    for number, one in enumerate(seen):
        for name in one.advisory.names:
            sharing[name].add(number)
    found: list[tuple[str, _Seen]] = []
    for number, one in enumerate(seen):
        near = {other for name in one.advisory.names for other in sharing[name]}
        names = own[number] or frozenset(name for other in near for name in own[other])
        names = names or frozenset({min(name for other in near for name in seen[other].advisory.names)})
        found += [(name, one) for name in names]
    return found


def _line(name: str, package: str, version: str, seen: Sequence[_Seen]) -> Vulnerability:
    """The gravest that a score says, else that words say; the furthest fix; the earliest date."""
    order = debian_key if package.startswith("deb/") else python_key
    scored = [one for one in seen if one.advisory.score is not None]
    rating = scored or list(seen)
    fixes = {one.fixed_in for one in seen if one.fixed_in}
    dates = [one.advisory.published_ms for one in seen if one.advisory.published_ms is not None]
    return Vulnerability(
        name=name,
        component=package,
        version=version,
        fixed_in=max(fixes, key=order, default=""),
        severity=gravest([one.advisory.severity for one in rating if one.advisory.severity])
        or UNRATED.get(package.partition("/")[0], UNRATED_ELSEWHERE),
        score=max((one.advisory.score for one in scored if one.advisory.score is not None), default=None),
        published_ms=min(dates, default=None),
    )


assert {slot for slots in _OF_KIND.values() for slot in slots} == set(SLOTS)
