"""What is installed on this machine: Python distributions, Python, packages of dpkg, the system, its kernel.

Sources: Debian policy 5 (control files), os-release(5), the core metadata of Python packages, purl-spec. Names and
versions; nothing of what they hold. A machine without dpkg tells its system and kernel only, and says so.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

from hygie.patching.advisories import python_name
from hygie.patching.errors import SystemUnreadableError
from hygie.patching.model import Component, Inventory, System

STATUS_BYTES_MAX = 256 << 20  # of dpkg; ten thousand packages take some ten million bytes
DISTRIBUTIONS_MAX = 20_000
LICENCE_CHARACTERS_MAX = 200
UNREAD = "system packages"
_INSTALLED = "install ok installed"
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")
_SIGNED_KERNEL = re.compile(r"linux-signed-\w+")  # built from the source that the tracker knows as linux
_RELEASE = re.compile(r"""([A-Z_]+)=(["']?)(.*)\2""")
_LICENCE = "License :: "


def take_inventory(postgres: str, *, root: Path = Path("/")) -> Inventory:
    """Everything found here, in order. Args: postgres: version of the database server; root: of the system's files.

    Raises: SystemUnreadableError: something that is there cannot be read.
    """
    system = read_system(root)
    status = root / "var/lib/dpkg/status"
    found = [*python_components(), _server(postgres), _system(system), _kernel()]
    unread: tuple[str, ...] = ()
    try:
        if status.is_file():
            found += dpkg_components(status, system)
        else:
            unread = (UNREAD,)
    except OSError as error:
        raise SystemUnreadableError(part="dpkg") from error
    by_purl = {one.purl: one for one in reversed(found)}  # of a distribution that is there twice, the first one runs
    return Inventory(tuple(by_purl[purl] for purl in sorted(by_purl)), system, unread)


def read_system(root: Path) -> System:
    """What os-release(5) says; empty where there is none."""
    told: dict[str, str] = {}
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / name).read_text("utf-8", errors="replace")[:65_536]
        except OSError:
            continue
        told = {found[1]: found[3] for line in text.splitlines() if (found := _RELEASE.fullmatch(line.strip()))}
        break
    return System(
        told.get("ID", ""), told.get("VERSION_ID", ""), told.get("VERSION_CODENAME", ""), told.get("PRETTY_NAME", "")
    )


def python_components() -> Iterator[Component]:
    """The distributions that this Python can import, and Python itself. Raises: SystemUnreadableError: too many."""
    version = platform.python_version()
    purl = f"pkg:generic/python@{version}"
    yield Component("platform", "python", version, purl, "bitnami/python", expression="PSF-2.0")
    for number, one in enumerate(distributions()):
        if number >= DISTRIBUTIONS_MAX:
            raise SystemUnreadableError(part="python")
        if (name := one.metadata["Name"]) and one.version:
            yield _distribution(one, python_name(name))


def _distribution(one: Distribution, name: str) -> Component:
    record = one.read_text("RECORD")
    digest = hashlib.sha256(record.encode()).hexdigest() if record else ""
    expression, licences = _licences(one)
    return Component(
        kind="application" if name == "hygie" else "library",
        name=name,
        version=one.version,
        purl=f"pkg:pypi/{quote(name)}@{_escaped(one.version)}",
        package=f"pypi/{name}",
        licences=licences,
        expression=expression,
        properties=(("hygie:record:sha256", digest),) if digest else (),
    )


def _licences(one: Distribution) -> tuple[str, tuple[str, ...]]:
    """An SPDX expression where the metadata have one; else the names that they give."""
    told = {name: str((one.metadata.get_all(name) or [""])[0]).strip() for name in ("License-Expression", "License")}
    if expression := told["License-Expression"]:
        return expression[:LICENCE_CHARACTERS_MAX], ()
    classes = [str(each) for each in one.metadata.get_all("Classifier") or () if str(each).startswith(_LICENCE)]
    names = [each.rpartition(" :: ")[2] for each in classes]
    text = told["License"]
    if not names and text and "\n" not in text and len(text) <= LICENCE_CHARACTERS_MAX:
        names = [text]
    return "", tuple(dict.fromkeys(names))


def _server(version: str) -> Component:
    """The database server: upstream's version, whoever built it."""
    return Component(
        *("application", "postgresql", version, f"pkg:generic/postgresql@{_escaped(version)}", "bitnami/postgresql"),
        expression="PostgreSQL",
    )


def _system(system: System) -> Component:
    name, version = system.id or platform.system().lower(), system.version or system.codename
    return Component("operating-system", name, version, f"pkg:generic/{quote(name)}@{_escaped(version)}")


def _kernel() -> Component:
    """The kernel that runs, which is the host's in a container; vulnerabilities are those of an installed package."""
    kernel = os.uname()
    name = kernel.sysname.lower()
    return Component("platform", name, kernel.release, f"pkg:generic/{quote(name)}@{_escaped(kernel.release)}")


def dpkg_components(status: Path, system: System) -> Iterator[Component]:
    """Installed packages, with the source that each was built from. Raises: OSError; SystemUnreadableError."""
    if status.stat().st_size > STATUS_BYTES_MAX:
        raise SystemUnreadableError(part="dpkg")
    for block in status.read_text("utf-8", errors="replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] not in " \t")
        if fields.get("Status") != _INSTALLED or not {"Package", "Version"} <= fields.keys():
            continue
        name, version, arch = fields["Package"], fields["Version"], fields.get("Architecture", "")
        told = _SOURCE.fullmatch(fields.get("Source", name))
        source, source_version = (told[1], told[2] or version) if told else (name, version)
        source = "linux" if _SIGNED_KERNEL.fullmatch(source) else source
        vendor = system.id or "debian"
        distro = f"&distro={quote(f'{vendor}-{system.version or system.codename}')}"
        yield Component(
            kind="library",
            name=name,
            version=version,
            purl=f"pkg:deb/{quote(vendor)}/{quote(name)}@{_escaped(version)}?arch={quote(arch)}{distro}",
            package=f"deb/{source}",
            package_version=source_version,
        )


def _escaped(version: str) -> str:
    return quote(version, safe="~")
