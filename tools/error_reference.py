"""Write docs/reference/errors.md from the error classes; run it after adding one."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import hygie
from hygie.base.errors import HygieError

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"
HEAD = """\
# Errors

Written by `tools/error_reference.py` from the classes; do not edit by hand. The first digit is the family, the
second the room (0 base, 1 database, 2 journal, 3 keys, 4 sites, 5 vault, 6 and H gate, 7 faces, 8 backups, 9
command line, A registers, B proof, C published logs, D copies, E exits, F the token door, G the door of rights, J
interventions, L hardening, M patching, N availability, W watch). A code never changes meaning. *Retry*: the same
request may succeed later, unchanged. Words in braces are facts, never health data.

"""
FAMILIES = {
    "0": "Root",
    "1": "HYG-1xx The request is not acceptable: the caller corrects it",
    "2": "HYG-2xx Not entitled: the caller's manager decides",
    "3": "HYG-3xx Not there, or not the caller's",
    "4": "HYG-4xx Not available now: operations act, the caller tries again",
    "5": "HYG-5xx Stored data is not intact: security acts, at once",
    "6": "HYG-6xx A setting is refused: the operator corrects it before start",
}


def error_classes() -> list[type[HygieError]]:
    """Every error class of the house, by code. Only files that define a class named ``…Error`` are imported."""
    root = Path(hygie.__path__[0])
    for path in sorted(root.rglob("*.py")):
        if re.search(r"^class \w+Error\(", path.read_text(), re.MULTILINE):
            importlib.import_module(".".join(("hygie", *path.relative_to(root).with_suffix("").parts)))
    found: set[type[HygieError]] = set()
    waiting: list[type[HygieError]] = [HygieError]
    while waiting:
        each = waiting.pop()
        found.add(each)
        waiting.extend(each.__subclasses__())
    own = (each for each in found if getattr(sys.modules.get(each.__module__), each.__name__, None) is each)
    return sorted((e for e in own if e.__module__.startswith("hygie.")), key=lambda each: (each.code, each.__name__))


def page(classes: list[type[HygieError]]) -> str:
    """The Markdown page of these classes."""
    parts = [HEAD]
    for digit, title in FAMILIES.items():
        family = [each for each in classes if each.code[4] == digit]
        if not family:
            continue
        parts.append(f"## {title}\n\n| code | http | exit | retry | English | français | class |\n{'|---' * 7}|\n")
        parts.extend(row(each) for each in family)
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def row(each: type[HygieError]) -> str:
    """One line of the table."""
    http = "–" if each.code[4] == "6" else str(each.http_status)
    retry = "yes" if each.retryable else "no"
    name = f"`{each.__module__.removeprefix('hygie.')}.{each.__name__}`"
    return f"| {each.code} | {http} | {each.exit_code} | {retry} | {each.en} | {each.fr} | {name} |\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(error_classes()))
