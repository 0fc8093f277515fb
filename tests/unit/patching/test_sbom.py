"""The inventory: what this machine runs, and a made-up machine; the document holds to CycloneDX 1.6."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from hygie import __version__
from hygie.patching import system
from hygie.patching.cyclonedx import write_sbom
from hygie.patching.errors import SystemUnreadableError
from hygie.patching.system import UNREAD, take_inventory

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.11-1~deb12u2)
Version: 1:3.0.11-1~deb12u2+b1
Description: text
 Version: 9 is a line of the description

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: linux-image-6.1.0-13-amd64
Status: install ok installed
Architecture: amd64
Source: linux-signed-amd64 (6.1.55+1)
Version: 6.1.55-1
"""


# What the schema of CycloneDX 1.6 (bom-1.6.schema.json) allows of what is written here; it allows no other property.
class _Name(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _Licence(msgspec.Struct, forbid_unknown_fields=True):
    license: _Name | None = None
    expression: str | None = None


class _Property(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: str


class _Component(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["application", "library", "platform", "operating-system"]
    name: Annotated[str, msgspec.Meta(min_length=1)]
    bom_ref: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="bom-ref")
    version: Annotated[str, msgspec.Meta(max_length=1_024)]
    purl: Annotated[str, msgspec.Meta(pattern=r"^pkg:[a-z]+/")]
    licenses: list[_Licence] = []
    properties: list[_Property] = []


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    component: _Component | None = None
    properties: list[_Property] = []


class _Bom(msgspec.Struct, forbid_unknown_fields=True):
    bom_format: Literal["CycloneDX"] = msgspec.field(name="bomFormat")
    spec_version: Literal["1.6"] = msgspec.field(name="specVersion")
    version: Annotated[int, msgspec.Meta(ge=1)]
    metadata: _Metadata
    components: list[_Component]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(OS_RELEASE)
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    return tmp_path


def test_packages_of_dpkg_are_known_by_their_source(machine: Path) -> None:
    found = {one.name: one for one in take_inventory("18.6", root=machine).components}
    ssl = found["libssl3"]
    assert (ssl.package, ssl.matched_version) == ("deb/openssl", "3.0.11-1~deb12u2")
    assert ssl.purl == "pkg:deb/debian/libssl3@1%3A3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12"
    assert (found["linux-image-6.1.0-13-amd64"].package, "gone" in found) == ("deb/linux", False)


def test_what_runs_is_listed_and_the_document_holds_to_the_schema(machine: Path) -> None:
    taken = take_inventory("18.6", root=machine)
    content = write_sbom(taken)
    bom = msgspec.json.decode(content, type=_Bom)
    assert content == write_sbom(take_inventory("18.6", root=machine))
    named = {one.name: one for one in bom.components}
    assert (named["cryptography"].version, named["postgresql"].version) == (version("cryptography"), "18.6")
    assert named["python"].version == platform.python_version()
    assert len(named["cryptography"].properties[0].value) == 64
    assert bom.metadata.component is not None
    assert (bom.metadata.component.name, bom.metadata.component.version) == ("hygie", __version__)
    refs = [one.bom_ref for one in bom.components]
    assert len(set(refs)) == len(refs)
    for one in (each for component in bom.components for each in component.licenses):
        assert (one.license is None) != (one.expression is None)


def test_a_system_without_dpkg_says_that_nobody_read_its_packages(tmp_path: Path) -> None:
    taken = take_inventory("18.6", root=tmp_path)
    assert taken.unread == (UNREAD,)
    assert json.loads(write_sbom(taken))["metadata"]["properties"] == [{"name": "hygie:unread", "value": UNREAD}]
    assert any(one.kind == "operating-system" for one in taken.components)


def test_a_status_file_beyond_its_bound_is_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "STATUS_BYTES_MAX", 10)
    with pytest.raises(SystemUnreadableError):
        take_inventory("18.6", root=machine)
