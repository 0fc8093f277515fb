"""From plain values and a Typst template of this package to a PDF/A-2b file. Pure: it uses no font, clock or file of
the machine.

Values reach the template as JSON and are only ever shown: no text of a register can become markup. The fonts are those
inside Typst and are embedded in the file; a character that they lack is told by its number (``base.glyphs``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from hygie.base.glyphs import displayable_values

if TYPE_CHECKING:
    from typst import PDFStandard

# archiving (ISO 19005-2, level B), and accessibility (ISO 14289-1)
STANDARDS: tuple[PDFStandard, ...] = ("a-2b", "ua-1")
_one_at_a_time = threading.Lock()  # a page layout takes a core: two at once would only wait for one another


def typeset(template: str, values: Mapping[str, Any], *, at_ms: int) -> bytes:
    """The PDF. Args: template: a file of ``templates/``; at_ms: the date that the file bears."""
    import typst

    source = resources.files("hygie.proof.documents").joinpath("templates", template).read_bytes()
    data = json.dumps(displayable_values(values), ensure_ascii=False, sort_keys=True)
    with _one_at_a_time:
        compiler = typst.Compiler(source, ignore_system_fonts=True, sys_inputs={"data": data})
        made = compiler.compile(format="pdf", pdf_standards=list(STANDARDS), timestamp=at_ms // 1000)
    assert isinstance(made, bytes)
    return made
