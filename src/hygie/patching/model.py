"""The words of patches: component, inventory, open vulnerability, what is known of both at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from hygie.patching.store import Feed


@dataclass(frozen=True, slots=True)
class Component:
    """Something that runs, or could.

    kind: of CycloneDX (``library``, ``application``, ``platform``, ``operating-system``); package: what
    vulnerabilities are looked for under (``pypi/django``, ``deb/openssl``, ``bitnami/postgresql``), nothing when no
    feed can know it; package_version: the version of that package, where it is not this one's (a Debian source).
    """

    kind: str
    name: str
    version: str
    purl: str
    package: str = ""
    package_version: str = ""
    licences: tuple[str, ...] = ()
    expression: str = ""
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def matched_version(self) -> str:
        """The version that feeds speak of."""
        return self.package_version or self.version


@dataclass(frozen=True, slots=True)
class System:
    """What the system says of itself. id: ``debian``; version: ``12``; codename: ``bookworm``; any may be empty."""

    id: str
    version: str
    codename: str
    title: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What runs. unread: kinds of components that nobody could list here (``system packages``)."""

    components: tuple[Component, ...]
    system: System
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One vulnerability of one component that is installed.

    name: its CVE, else another name that it has; fixed_in: the first version without it, nothing when none is told;
    published_ms: None when no feed tells; first_ms: when it was first seen here, 0 before it was kept.
    """

    name: str
    component: str
    version: str
    fixed_in: str
    severity: str
    score: float | None
    published_ms: int | None
    first_ms: int = 0


@dataclass(frozen=True, slots=True)
class PatchFacts:
    """What is known of patches.

    looked_ms: when what runs was last compared with the feeds, None: never; unread, uncovered: kinds of components that
    could not be listed, that no feed speaks of; code: of what stopped the last look, or nothing.
    """

    looked_ms: int | None
    components: int
    sbom: str
    unread: tuple[str, ...]
    uncovered: tuple[str, ...]
    code: str
    feeds: tuple[Feed, ...]
    vulnerabilities: tuple[Vulnerability, ...]
