"""What a caller may name: checked shapes, so that no free text reaches the state, the record or a log."""

from __future__ import annotations

import re

from hygie.keys.errors import KmsRequestError
from hygie.keys.kms import ID_BYTES, REASON_CHARACTERS_MAX

TENANTS_MAX = 65_536  # 100 bytes each in the root file, read whole at each start: 7 MB
ENVIRONMENTS_MAX = 4_096  # per tenant: with 64 epochs each, 27 MB of the 64 MiB that a file of the state may take
MONTHS_MAX = 8192  # per tenant: 8 classes for 85 years; the state file stays under 1 MiB
PERMIT_BYTES_MAX = 32
_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_REASON = re.compile(rf"[A-Za-z0-9][A-Za-z0-9:._-]{{0,{REASON_CHARACTERS_MAX - 1}}}")


def check_id(value: bytes, part: str) -> None:
    """A tenant's or environment's id: 16 bytes. Raises: KmsRequestError."""
    if len(value) != ID_BYTES:
        raise KmsRequestError(reason=f"the id of the {part} has {ID_BYTES} bytes")


def check_purpose(value: str) -> None:
    """The purpose of a derived key. Raises: KmsRequestError."""
    if not _PURPOSE.fullmatch(value):
        raise KmsRequestError(reason="a purpose is 1 to 32 of a-z, 0-9 and dash")


def check_kind(value: str) -> None:
    """A class of journal entries. Raises: KmsRequestError."""
    if not _PURPOSE.fullmatch(value):
        raise KmsRequestError(reason="a class is 1 to 32 of a-z, 0-9 and dash")


def check_month(value: str) -> None:
    """A month, ``2026-11``. Raises: KmsRequestError."""
    if not _MONTH.fullmatch(value):
        raise KmsRequestError(reason="a month is written 2026-11")


def check_permit(value: bytes) -> None:
    """A permit's id: 1 to 32 bytes. Raises: KmsRequestError."""
    if not 1 <= len(value) <= PERMIT_BYTES_MAX:
        raise KmsRequestError(reason=f"the id of a permit has 1 to {PERMIT_BYTES_MAX} bytes")


def check_reason(value: str) -> None:
    """Why keys leave: an action's name or a code, never free text. Raises: KmsRequestError."""
    if not _REASON.fullmatch(value):
        raise KmsRequestError(reason=f"a reason is a code of at most {REASON_CHARACTERS_MAX} characters")
