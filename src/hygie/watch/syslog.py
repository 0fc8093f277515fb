"""One event as a message of RFC 5424. Pure.

Everything of the event is structured data; what a value holds can neither end its element nor begin another line:
quotes, brackets and backslashes are escaped as RFC 5424, 6.3.3 says, and what nobody sees (control characters,
separators of lines, marks that turn the direction of a text) becomes a visible sign.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from hygie.base.clock import iso_ms
from hygie.watch.channels import SYSLOG_ID, SYSLOG_SEVERITY
from hygie.watch.events import CHECK, JOURNAL, MEASUREMENT, Event, Value

MESSAGE_BYTES_MAX = 8_192  # what every receiver of RFC 5425 should take (4.3.1)
VALUE_CHARACTERS_MAX = 500
NAME_CHARACTERS_MAX = 32
LAST_MS = 253_402_300_799_999  # of the year 9999
BOM: Final = b"\xef\xbb\xbf"
_WARNING, _NOTICE, _INFORMATION = 4, 5, 6
_NO_NAME = re.compile(r"[^!#-<>-\\^-~]")  # printable ASCII but for the space, =, ] and "
_PLAIN = re.compile(r"[ !#-\[^-~]*")


def message(event: Event, *, origin: str, host: str, facility: int) -> bytes:
    """The message, without its count of octets: 8,192 bytes at most; ``cut`` says how many fields had no room.

    Args: origin: the journal's name; with the source and the index it names the event, and tells one that came twice.
    """
    fields = event.fields
    severity = _severity(event)
    head = f"<{facility * 8 + severity}>1 {instant(event.at_ms)} {host} hygie - {event.source} ".encode()
    said = BOM + _visible(summary(event)).encode("utf-8", "replace")
    parts = [b"[%s" % SYSLOG_ID.encode(), _pair("origin", origin), _pair("index", event.rank)]
    room = MESSAGE_BYTES_MAX - len(head) - len(said) - sum(map(len, parts)) - 20
    left = 0
    for name, value in fields.items():
        pair = _pair(name, value)
        if len(pair) > room:
            left += 1
            continue
        room -= len(pair)
        parts.append(pair)
    if left:
        parts.append(_pair("cut", left))
    return head + b"".join(parts) + b"] " + said


def instant(at_ms: int) -> str:
    """As ISO 8601; what a row claims of a year that no calendar has is the nearest that it has."""
    return iso_ms(min(max(at_ms, 0), LAST_MS))


def summary(event: Event) -> str:
    """What people read first."""
    fields = event.fields
    if event.source == JOURNAL:
        title = fields.get("title")
        return f"{fields['action']} {fields['outcome']}" + (f": {title}" if title else "")
    if event.source == MEASUREMENT:
        return f"{fields['measurement']} {'passed' if fields['passed'] else 'failed'}"
    if event.source == CHECK:
        return f"{fields['check']} {fields['verdict']}"
    return event.source


def _severity(event: Event) -> int:
    fields = event.fields
    level = fields.get("detail.level")
    if fields.get("action") == "finding:open" and level in SYSLOG_SEVERITY:
        return SYSLOG_SEVERITY[str(level)]
    bad = fields.get("outcome") in ("refused", "unknown") or fields.get("passed") is False
    if bad or fields.get("verdict") == "unsatisfied":
        return _WARNING
    notable = fields.get("kind") == "security" or fields.get("verdict") == "unknown"
    return _NOTICE if notable else _INFORMATION


def _pair(name: str, value: Value) -> bytes:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        text = text[: VALUE_CHARACTERS_MAX - 1] + "…"
    if not _PLAIN.fullmatch(text):
        text = _visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    return f' {_name(name)}="{text}"'.encode("utf-8", "replace")


def _name(name: str) -> str:
    """A name of RFC 5424; one that had to be changed or is too long keeps a digest, so that two stay two."""
    found = _NO_NAME.sub("_", name)
    if found == name and 0 < len(name) <= NAME_CHARACTERS_MAX:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{found[: NAME_CHARACTERS_MAX - 9]}~{digest}"


def _visible(text: str) -> str:
    """C0 as their pictures (U+2400…), anything else that nobody sees as U+FFFD."""
    return "".join(one if _seen(one) else chr(0x2400 + ord(one)) if one < " " else "\ufffd" for one in text)


def _seen(one: str) -> bool:
    return " " <= one <= "~" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
