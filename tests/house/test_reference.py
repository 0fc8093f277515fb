"""The reference pages say what the code says: errors, actions, settings."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import msgspec

from hygie.base.errors import (
    HygieError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SettingsError,
    UnavailableError,
)
from hygie.base.settings import Settings
from tests.house.rules import assert_none, gather
from tools import (
    action_reference,
    cross_reference,
    error_reference,
    flow_reference,
    hardening_reference,
    referential_reference,
    register_reference,
)

ROOT = Path(__file__).parents[2]
FAMILY = {
    "1": InvalidRequestError,
    "2": RefusedError,
    "3": NotFoundError,
    "4": UnavailableError,
    "5": IntegrityError,
    "6": SettingsError,
}
ROOM_DIGIT = {
    "base": "0",
    "server": "07",
    "database": "1",
    "journal": "2",
    "verify": "2",
    "keys": "3",
    "sites": "4",
    "vault": "5",
    "gate": "6H",
    "fhir": "7",
    "backups": "8",
    "registers": "A",
    "proof": "B",
    "segments": "C",
    "cli": "9",
    "demo": "9",
    "app": "9",
    "processes": "9",
    "probes": "9",
    "start": "9",
    "upgrade": "9",
    "deidentify": "D",
    "exits": "E",
    "oauth": "F",
    "rights": "G",
    "interventions": "J",
    "hardening": "L",
    "patching": "M",
    "availability": "N",
    "watch": "W",
}


def wrong_in(classes: list[type[HygieError]]) -> list[str]:
    """What is wrong in these error classes, ``module.Class: sentence``."""

    def of_one(each: type[HygieError]) -> list[str]:
        name, found = f"{each.__module__}.{each.__name__}", []
        if "code" not in vars(each):
            return [f"{name}: no code of its own"]
        if not re.fullmatch(r"HYG-[0-6][0-9A-Z]\d", each.code):
            return [f"{name}: {each.code} is not HYG-<family><room><number>"]
        family = FAMILY.get(each.code[4], HygieError)
        behaves = (each.exit_code, each.retryable) == (family.exit_code, family.retryable)
        if each is not HygieError and not issubclass(each, family) and not behaves:
            found.append(f"{name}: {each.code} is not of the family {each.code[4]}")
        room = each.__module__.split(".")[1]
        if each.code[5] not in ROOM_DIGIT.get(room, ""):
            found.append(f"{name}: {each.code} is not of the room {room}")
        if facts_of(each.fr) != facts_of(each.en):
            found.append(f"{name}: the French and the English sentences do not give the same facts")
        inherited = not {"fr", "en"} <= set(vars(each)) and "{reason}" not in each.en
        if each not in {HygieError, *FAMILY.values()} and inherited:
            found.append(f"{name}: no French or no English sentence of its own")
        if any(len(line) < 5 or not line.endswith(".") for line in (each.fr, each.en)):
            found.append(f"{name}: a sentence ends with a full stop")
        return found

    codes: dict[str, list[str]] = {}
    for each in classes:
        codes.setdefault(each.code, []).append(f"{each.__module__}.{each.__name__}")
    twice = [f"{code} belongs to {', '.join(names)}" for code, names in codes.items() if len(names) > 1]
    return gather([twice, *(of_one(each) for each in classes)])


def facts_of(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_each_error_has_a_code_of_its_own_and_two_sentences() -> None:
    assert_none(wrong_in(error_reference.error_classes()))


def test_the_check_of_errors_catches_bad_ones() -> None:
    def bad(base: type[HygieError], **attributes: str) -> type[HygieError]:
        attributes = {"__module__": "hygie.vault.errors", "fr": "Une phrase.", "en": "A sentence."} | attributes
        return type("BadError", (base,), attributes)

    samples = [
        (bad(NotFoundError), "no code of its own"),
        (bad(NotFoundError, code="HYG-3500"), "is not HYG-"),
        (bad(NotFoundError, code="HYG-450"), "family"),
        (bad(NotFoundError, code="HYG-310"), "room"),
        (bad(NotFoundError, code="HYG-359", fr="Il manque {part}."), "same facts"),
        (bad(NotFoundError, code="HYG-359", fr="non"), "full stop"),
    ]
    for sample, words in samples:
        found = wrong_in([sample])
        assert len(found) == 1
        assert words in found[0]
    good = [bad(NotFoundError, code="HYG-359")]
    assert wrong_in(good) == []
    assert "belongs to" in wrong_in(good * 2)[0]


def test_the_page_of_errors_is_up_to_date() -> None:
    page = error_reference.page(error_reference.error_classes())
    assert error_reference.PAGE.read_text() == page, "run: python tools/error_reference.py"


def test_the_page_of_actions_is_up_to_date() -> None:
    assert action_reference.PAGE.read_text() == action_reference.page(), "run: python tools/action_reference.py"


def test_the_page_of_flows_is_up_to_date() -> None:
    assert flow_reference.PAGE.read_text() == flow_reference.page(), "run: python -m tools.flow_reference"


def test_the_page_of_hardening_is_up_to_date() -> None:
    written = hardening_reference.PAGE.read_text()
    assert written == hardening_reference.page(), "run: python tools/hardening_reference.py"


def test_the_page_of_referentials_is_up_to_date() -> None:
    written = referential_reference.PAGE.read_text()
    assert written == referential_reference.page(), "run: python tools/referential_reference.py"


def test_the_page_of_registers_is_up_to_date() -> None:
    assert register_reference.PAGE.read_text() == register_reference.page(), "run: python -m tools.register_reference"


def test_the_page_of_cross_checks_is_up_to_date() -> None:
    assert cross_reference.PAGE.read_text() == cross_reference.page(), "run: python -m tools.cross_reference"


def names_of(struct: type[msgspec.Struct], prefix: str = "") -> list[str]:
    found = []
    for field in msgspec.structs.fields(struct):
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found += names_of(inner, f"{field.name}.")
        else:
            found.append(prefix + field.name)
    return found


def test_each_setting_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    names = names_of(Settings)
    assert "host.port" in names
    assert [name for name in names if f"`{name}`" not in page] == []


def test_each_dependency_has_its_line_of_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    names = {re.split(r"[\[<>=~! ]", line)[0] for line in asked}
    rows = re.findall(r"^\| `([a-z0-9-]+)`", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    assert names | {"uv"} == set(rows)
    assert len(rows) == len(set(rows))


def test_the_lock_holds_a_hash_for_each_file() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    files = [file for package in lock["package"] for file in [*package.get("wheels", []), package.get("sdist")] if file]
    assert len(files) > 100
    assert all(file["hash"].startswith("sha256:") for file in files)
