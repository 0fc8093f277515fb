"""One compiled msgspec Struct per FHIR R4 type, made from the distillate on first use.

A type of FHIR becomes a C-decoded Struct that holds every fact of the definitions a decoder can check by itself:

* field order is definition order (resources: the tag ``resourceType``, then ``id``, ``meta``…), then the
  primitive-extension siblings: ``_birthDate`` is the attribute ``ext_birthDate``;
* an element named by a Python keyword takes a trailing underscore (``class_``, ``for_``); choices are expanded
  (``valueQuantity``, ``valueString``…); absent is ``None``, and an explicit JSON ``null`` is refused;
* nested backbone elements are types of their own, named by their path: ``Patient.contact`` is ``Patient_Contact``;
* where a resource stands inside another (``contained``, ``Bundle.entry.resource``…) the decoder leaves ``msgspec.Raw``,
  and ``hygie.fhir.structures`` puts the typed resource there;
* what a decoder cannot express (one choice at a time, a required primitive given by its sibling alone) is a generated
  ``__post_init__`` on the types that need it, so its error carries the same path as the others.

``repr`` shows the type only: a Struct in a traceback must not print health data.
Source: docs/adr/0005-compiled-fhir-types.md.  Building the data types takes some 30 ms once, a resource type 1-3 ms.
"""

from __future__ import annotations

import keyword
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw

from hygie.fhir.checks import Choice, Needed, Repeated, post_init
from hygie.fhir.primitives import PRIMITIVES

Struct = msgspec.Struct


class Element(NamedTuple):
    """One element of a type, as the distillate gives it."""

    name: str
    types: list[str]
    min: int
    max: int  # 0: unbounded
    codes: str | None


_DEFINITIONS = Path(__file__).parent / "definitions"
_MODULE = "hygie.fhir.r4"  # the namespace where msgspec resolves the types' names
_namespace = ModuleType(_MODULE, "The compiled FHIR R4 types; see hygie.fhir.types.")
sys.modules[_MODULE] = _namespace
_lock = threading.RLock()


def resource_types() -> frozenset[str]:
    """The names of the 146 concrete R4 resource types."""
    return _resource_types()


@cache
def _resource_types() -> frozenset[str]:
    return frozenset(name for name, entry in _definitions().items() if entry["kind"] == "resource")


def all_types() -> list[str]:
    """The paths of every data type, resource and backbone element."""
    return list(_definitions())


def elements_of(path: str) -> list[Element]:
    """The elements of a type or backbone element (``Patient``, ``Patient.contact``), in definition order.

    Raises: KeyError: no such type in R4.
    """
    return [Element(*row) for row in _definitions()[path]["elements"]]


def struct_of(type_name: str) -> type[Struct]:
    """The Struct of a resource, data type or backbone element: ``Patient``, ``HumanName``, ``Patient.contact``.

    Built on first use, then kept. Raises: KeyError: no such type in R4.
    """
    name = struct_name(type_name)
    found: type[Struct] | None = getattr(_namespace, name, None)
    if found is not None and not _unfinished:
        return found
    with _lock:
        if not hasattr(_namespace, "Extension"):
            _build_all([t for t, entry in _definitions().items() if _root_kind(t) in {"complex", "abstract"}])
        if not hasattr(_namespace, name):
            root = type_name.partition(".")[0]
            _build_all([t for t in _definitions() if t == root or t.startswith(root + ".")])
        built: type[Struct] = getattr(_namespace, name)
        return built


def struct_name(path: str) -> str:
    """``Patient.contact`` → ``Patient_Contact``: the Python name of a type's Struct."""
    return "_".join(part[0].upper() + part[1:] for part in path.split("."))


def attribute_of(element: str) -> str:
    """The Python attribute of a JSON member: ``class`` → ``class_``, ``_birthDate`` → ``ext_birthDate``."""
    if element.startswith("_"):
        return "ext_" + element[1:]
    return element + "_" if keyword.iskeyword(element) else element


def choice_member(element: str, type_name: str) -> str:
    """``value[x]`` and ``Quantity`` → ``valueQuantity``."""
    return element.removesuffix("[x]") + type_name[0].upper() + type_name[1:]


_unfinished: set[str] = set()  # types being built: other threads must wait on the lock


def _build_all(paths: list[str]) -> None:
    _unfinished.update(paths)
    try:
        for path in paths:
            setattr(_namespace, struct_name(path), _build(path))
    finally:
        _unfinished.clear()


def _build(path: str) -> type[Struct]:
    kind = _definitions()[path]["kind"]
    fields: list[Any] = []
    siblings: list[Any] = []
    renames: dict[str, str] = {}
    choices: list[Choice] = []
    needed: list[Needed] = []
    repeated: list[Repeated] = []
    for element in elements_of(path):
        members = [element.name]
        if element.name.endswith("[x]"):
            members = [choice_member(element.name, t) for t in element.types]
            pairs = [
                (attribute_of(m), attribute_of("_" + m) if _has_sibling(t) else None)
                for m, t in zip(members, element.types, strict=True)
            ]
            choices.append(Choice(element.name, pairs, required=element.min > 0))
        for member, type_name in zip(members, element.types, strict=True):
            attribute = attribute_of(member)
            if attribute != member:
                renames[attribute] = member
            annotation = _annotation(element, type_name)
            if element.min > 0 and not element.name.endswith("[x]") and not _has_sibling(type_name):
                fields.append((attribute, annotation))
                continue
            fields.append((attribute, annotation, None))
            if _has_sibling(type_name):
                sibling = attribute_of("_" + member)
                renames[sibling] = "_" + member
                siblings.append((sibling, "list[Element | None]" if element.max == 0 else "Element", None))
                if element.max == 0:
                    repeated.append(Repeated(member, attribute, sibling))
                if element.min > 0 and not element.name.endswith("[x]"):
                    needed.append(Needed(member, attribute, sibling))
    names = [field[0] for field in fields + siblings]
    namespace: dict[str, Any] = {"__repr__": _silent_repr, "__doc__": f"FHIR R4 {path}."}
    if check := post_init(names, choices, needed, repeated):
        namespace["__post_init__"] = check
    return msgspec.defstruct(
        struct_name(path),
        fields + siblings,
        module=_MODULE,
        namespace=namespace,
        tag_field="resourceType" if kind == "resource" else None,
        tag=path if kind == "resource" else None,
        rename=renames or None,
        forbid_unknown_fields=True,
        omit_defaults=True,
        kw_only=True,
        gc=False,  # trees without cycles: the collector has nothing to find in them
    )


def _silent_repr(self: Struct) -> str:
    return f"<FHIR {type(self).__name__}>"


def _has_sibling(type_name: str) -> bool:
    """Whether a primitive may carry an id or extensions in a ``_`` member."""
    return type_name in PRIMITIVES and not type_name.endswith(".plain") and type_name != "xhtml"


def _annotation(element: Element, type_name: str) -> Any:
    item: Any
    if type_name in PRIMITIVES:
        item = Literal[tuple(_codes()[element.codes])] if element.codes else PRIMITIVES[type_name]
        if element.max == 0:
            return Annotated[list[item | None], Meta(min_length=1)]  # null only beside a sibling: checked afterwards
        return item
    name = struct_name(type_name)
    item = Raw if type_name == "Resource" else getattr(_namespace, name, name)
    if element.max == 0:
        return Annotated[list[item], Meta(min_length=1)]
    return item


def _root_kind(path: str) -> str:
    kind: str = _definitions()[path.partition(".")[0]]["kind"]
    return kind


@cache
def _definitions() -> dict[str, Any]:
    return _load("structures.json")


@cache
def _codes() -> dict[str, list[str]]:
    return _load("codes.json")


def _load(name: str) -> dict[str, Any]:
    table: dict[str, Any] = msgspec.json.decode((_DEFINITIONS / name).read_bytes())
    return table
