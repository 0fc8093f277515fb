"""From plain values and a Typst template of this package to a PDF/A-2b file. Pure: it uses no font, clock or file of
the machine.

Values reach the template as JSON and are only ever shown: no text of a register can become markup. The fonts are those
inside Typst (Libertinus Serif, DejaVu Sans Mono) and are embedded in the file.
"""

from __future__ import annotations

import json
import threading
import unicodedata
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typst import PDFStandard

# archiving (ISO 19005-2, level B), and accessibility (ISO 14289-1)
STANDARDS: tuple[PDFStandard, ...] = ("a-2b", "ua-1")
# What those fonts can show, by first and last code point: Latin, Greek, Cyrillic, punctuation, currencies, arrows and
# signs. An archival PDF may hold no character that its fonts lack: another one is told by its number.
_SHOWN = (
    *((0x20, 0x3FF), (0x400, 0x4FF), (0x1E00, 0x1FFF), (0x2010, 0x2027), (0x202F, 0x2040), (0x2044, 0x2052)),
    *((0x2070, 0x20BF), (0x2116, 0x2116), (0x2122, 0x2122), (0x2190, 0x22FF), (0x25A0, 0x25FF)),
)
_one_at_a_time = threading.Lock()  # a page layout takes a core: two at once would only wait for one another


def typeset(template: str, values: Mapping[str, Any], *, at_ms: int) -> bytes:
    """The PDF. Args: template: a file of ``templates/``; at_ms: the date that the file bears."""
    import typst

    source = resources.files("hygie.proof.documents").joinpath("templates", template).read_bytes()
    data = json.dumps(_displayable(values), ensure_ascii=False, sort_keys=True)
    with _one_at_a_time:
        compiler = typst.Compiler(source, ignore_system_fonts=True, sys_inputs={"data": data})
        made = compiler.compile(format="pdf", pdf_standards=list(STANDARDS), timestamp=at_ms // 1000)
    assert isinstance(made, bytes)
    return made


def displayable(text: str) -> str:
    """The text, with each character that the fonts cannot show or that nobody sees told by its number: ``[U+6771]``."""
    return "".join(one if _is_shown(one) else f"[U+{ord(one):04X}]" for one in text)


def _is_shown(one: str) -> bool:
    if one in "\n\t":
        return True
    point = ord(one)
    return unicodedata.category(one)[0] != "C" and any(first <= point <= last for first, last in _SHOWN)


def _displayable(value: Any) -> Any:
    if isinstance(value, str):
        return displayable(value)
    if isinstance(value, Mapping):
        return {name: _displayable(each) for name, each in value.items()}
    return [_displayable(each) for each in value] if isinstance(value, list | tuple) else value
