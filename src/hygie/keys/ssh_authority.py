"""What the KMS signs as the authority of SSH certificates: a certificate of one intervention, of an hour at most.

Whoever reaches the KMS as its administrator may ask for a signature; under this purpose he gets none on anything else:
no other format, no host certificate, no session that is not recorded, no second account, no longer life. Each rule is
held here, in the process that has the key, whatever the caller believes of registers.
"""

from __future__ import annotations

import re
from typing import Final

from hygie.base.ssh import (
    FORCE_COMMAND,
    NONCE_BYTES,
    PERMIT_PTY,
    SOURCE_ADDRESS,
    USER,
    CertificateBody,
    SshFormatError,
    read_body,
)
from hygie.keys.errors import CertificateRefusedError

PURPOSE: Final = "intervention"
LIFE_S_MAX = 3_600
SKEW_S = 60  # a certificate may begin so long ago, for a machine whose clock is behind
RECORDER = "/usr/local/libexec/hygie-session"  # what sshd runs in place of what was asked; it records, then runs it
KEY_ID = re.compile(r"INT-[0-9A-Za-z][0-9A-Za-z._-]{0,59}", re.ASCII)
PRINCIPAL = re.compile(r"[a-z][a-z0-9._-]{0,31}", re.ASCII)
_ADDRESSES = re.compile(r"[0-9a-fA-F.:/,]{2,1024}", re.ASCII)


def forced_command(key_id: str, until_s: int) -> str:
    """The command of a certificate: the recorder, with what it is told by the authority alone."""
    return f"{RECORDER} {key_id} {until_s}"


def check_signable(message: bytes, *, authority: bytes, now_s: int) -> None:
    """Refuse to sign what is not the body of such a certificate.

    Args: authority: this key's own public half. Raises: CertificateRefusedError: says which rule.
    """
    try:
        body = read_body(message)
    except SshFormatError as error:
        raise CertificateRefusedError(reason="format") from error
    wrong = _wrong(body, authority, now_s)
    if wrong:
        raise CertificateRefusedError(reason=wrong)


def _wrong(body: CertificateBody, authority: bytes, now_s: int) -> str:
    """Which rule the body breaks; nothing: none."""
    rules = {
        "kind": body.kind == USER,
        "authority": body.authority == authority,
        "nonce": len(body.nonce) == NONCE_BYTES,
        "key id": KEY_ID.fullmatch(body.key_id) is not None,
        "principals": len(body.principals) == 1
        and PRINCIPAL.fullmatch(body.principals[0]) is not None
        and body.principals[0] != "root",
        "life": 0 < body.valid_before_s - body.valid_after_s <= LIFE_S_MAX,
        "window": body.valid_after_s >= now_s - SKEW_S and now_s < body.valid_before_s <= now_s + LIFE_S_MAX,
        "options": set(body.critical) <= {FORCE_COMMAND, SOURCE_ADDRESS},
        "recording": body.critical.get(FORCE_COMMAND) == forced_command(body.key_id, body.valid_before_s),
        "addresses": SOURCE_ADDRESS not in body.critical
        or _ADDRESSES.fullmatch(body.critical[SOURCE_ADDRESS]) is not None,
        "extensions": set(body.extensions) <= {PERMIT_PTY},
    }
    return next((name for name, holds in rules.items() if not holds), "")
