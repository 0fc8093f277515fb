"""How the root key is closed while nobody watches: by a passphrase, or by k of n shares.

Source: docs/formats/kms.md v1, "Sealing of the root".  Passphrase: scrypt (RFC 7914) gives the key that seals the
root.  Shares: n random secrets of 32 bytes; for each subset of k, HKDF-SHA256 of its secrets in order gives a key
that seals the root.  At most C(8,4) = 70 boxes, and no secret-sharing arithmetic of our own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hygie.base.canonical import canonical
from hygie.base.passphrase import PASSPHRASE_BYTES_MAX
from hygie.base.seal import SealBrokenError, open_sealed, seal
from hygie.keys.errors import (
    KmsRequestError,
    KmsSettingsError,
    KmsStateBrokenError,
    ShareRefusedError,
    SharesLackingError,
    WrongPassphraseError,
)

SCRYPT_N = 2**17  # OWASP password storage cheat sheet: n=2**17, r=8, p=1; 128 MiB and about 0.4 s here
SCRYPT_N_MIN_PRODUCTION = 2**15
SCRYPT_N_MIN = 2**4  # tests only
SCRYPT_N_MAX = 2**20  # a state file cannot make the start take 1 GiB more
SCRYPT_R = 8
SCRYPT_P = 1
SHARES_MAX = 8  # C(8,4) = 70 boxes at most
SHARE_PREFIX = "hygie"
_SHARE_VERSION = 1
_CHECK_BYTES = 7
_SET_BYTES = 4
_SECRET_BYTES = 32
_ROOT_BYTES = 32


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root sealed for one subset of shares (``indexes``, ascending, from 1), or for the passphrase (empty)."""

    indexes: list[int]
    sealed: bytes


class Sealing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the root is sealed. ``salt``: scrypt's salt (32 bytes), or the id of the set of shares (4 bytes)."""

    kind: Literal["passphrase", "shares"]
    salt: bytes
    scrypt_n: int
    shares_needed: int
    shares_made: int
    boxes: list[Box]


class Passphrase(msgspec.Struct, frozen=True):
    """What a person types; its text is never printed."""

    text: str

    def __repr__(self) -> str:
        return "Passphrase(…)"


class Shares(msgspec.Struct, frozen=True):
    """Printed shares, as people hold them; their text is never printed in a log."""

    texts: list[str]

    def __repr__(self) -> str:
        return f"Shares({len(self.texts)} …)"


class SharePlan(msgspec.Struct, frozen=True):
    """Make ``made`` shares of which any ``needed`` open the root."""

    needed: int
    made: int


Secret = Passphrase | Shares


def seal_under_passphrase(
    root: bytes, passphrase: Passphrase, *, state_id: bytes, scrypt_n: int = SCRYPT_N
) -> tuple[Sealing, list[bytes]]:
    """Seal the root under a passphrase.

    Returns: the sealing, and the keys of its boxes (to seal a rotated root the same way).
    """
    salt = os.urandom(32)
    key = _passphrase_key(passphrase, salt, scrypt_n)
    box = Box([], seal(root, key=key, meaning=_meaning(state_id, "passphrase", salt, (scrypt_n, 0, 0))))
    return Sealing("passphrase", salt, scrypt_n, 0, 0, [box]), [key]


def seal_under_shares(root: bytes, plan: SharePlan, *, state_id: bytes) -> tuple[Sealing, list[bytes], list[str]]:
    """Seal the root under k of n shares.

    Returns: the sealing, the keys of its boxes, and the printed shares (shown once, never stored).
    Raises: KmsSettingsError: not 2 ≤ k ≤ n ≤ 8.
    """
    if not 2 <= plan.needed <= plan.made <= SHARES_MAX:
        raise KmsSettingsError(setting="kms.shares", reason=f"2 ≤ needed ≤ made ≤ {SHARES_MAX} is required")
    set_id = os.urandom(_SET_BYTES)
    secrets = {index: os.urandom(_SECRET_BYTES) for index in range(1, plan.made + 1)}
    keys: list[bytes] = []
    boxes: list[Box] = []
    for subset in combinations(range(1, plan.made + 1), plan.needed):
        key = _subset_key(state_id, set_id, [(index, secrets[index]) for index in subset])
        meaning = _meaning(state_id, "shares", set_id, (0, plan.needed, plan.made), subset)
        keys.append(key)
        boxes.append(Box(list(subset), seal(root, key=key, meaning=meaning)))
    texts = [_print_share(index, set_id, secret) for index, secret in secrets.items()]
    return Sealing("shares", set_id, 0, plan.needed, plan.made, boxes), keys, texts


def reseal(root: bytes, sealing: Sealing, keys: Sequence[bytes], *, state_id: bytes) -> Sealing:
    """Seal a new root as the old one was: same passphrase, same shares."""
    assert len(keys) == len(sealing.boxes)
    boxes = [
        Box(box.indexes, seal(root, key=key, meaning=_meaning_of(sealing, box, state_id)))
        for box, key in zip(sealing.boxes, keys, strict=True)
    ]
    return msgspec.structs.replace(sealing, boxes=boxes)


def open_root(sealing: Sealing, secret: Secret, *, state_id: bytes) -> bytes:
    """The root key.

    Raises: WrongPassphraseError: it does not open; ShareRefusedError: a share is mistyped, or of another set;
    SharesLackingError: too few; KmsStateBrokenError: the sealing itself is out of bounds.
    """
    check_sealing(sealing)
    if isinstance(secret, Passphrase):
        if sealing.kind != "passphrase":
            raise ShareRefusedError(reason="this root is sealed by shares, not by a passphrase")
        return _open_box(sealing, sealing.boxes[0], _passphrase_key(secret, sealing.salt, sealing.scrypt_n), state_id)
    if sealing.kind != "shares":
        raise ShareRefusedError(reason="this root is sealed by a passphrase, not by shares")
    held = dict(read_share(text, set_id=sealing.salt) for text in secret.texts)
    if len(held) < sealing.shares_needed:
        raise SharesLackingError(given=len(held), needed=sealing.shares_needed)
    for subset in combinations(sorted(held), sealing.shares_needed):
        for box in sealing.boxes:
            if tuple(box.indexes) == subset:
                key = _subset_key(state_id, sealing.salt, [(index, held[index]) for index in subset])
                return _open_box(sealing, box, key, state_id)
    raise ShareRefusedError(reason="shares of no known subset")


def check_sealing(sealing: Sealing) -> None:
    """Bounds of a sealing read from disk, checked before any work is spent on it.

    Raises: KmsStateBrokenError.
    """
    if sealing.kind == "passphrase":
        n = sealing.scrypt_n
        sound = SCRYPT_N_MIN <= n <= SCRYPT_N_MAX and n & (n - 1) == 0 and len(sealing.boxes) == 1
        sound = sound and len(sealing.salt) == 32
    else:
        k, made = sealing.shares_needed, sealing.shares_made
        sound = 2 <= k <= made <= SHARES_MAX and len(sealing.salt) == _SET_BYTES
        subsets = [list(subset) for subset in combinations(range(1, made + 1), k)] if sound else []
        sound = sound and [box.indexes for box in sealing.boxes] == subsets
    if not sound:
        raise KmsStateBrokenError(part="sealing")


def read_share(text: str, *, set_id: bytes | None = None) -> tuple[int, bytes]:
    """Read a printed share: (index from 1, 32 secret bytes). Spaces, dashes and case do not matter.

    Raises: ShareRefusedError: mistyped, or of another set.
    """
    compact = "".join(text.split()).replace("-", "").casefold().removeprefix(SHARE_PREFIX).upper()
    try:
        raw = base64.b32decode(compact)
    except ValueError as error:
        raise ShareRefusedError(reason="mistyped") from error
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if len(raw) != 2 + _SET_BYTES + _SECRET_BYTES + _CHECK_BYTES or _checksum(body) != check:
        raise ShareRefusedError(reason="mistyped")
    if body[0] != _SHARE_VERSION or not 1 <= body[1] <= SHARES_MAX:
        raise ShareRefusedError(reason="made by another version")
    if set_id is not None and body[2 : 2 + _SET_BYTES] != set_id:
        raise ShareRefusedError(reason="it belongs to another set of shares")
    return body[1], body[2 + _SET_BYTES :]


def _print_share(index: int, set_id: bytes, secret: bytes) -> str:
    body = bytes((_SHARE_VERSION, index)) + set_id + secret
    text = base64.b32encode(body + _checksum(body)).decode()  # 45 bytes: 72 characters, no padding
    return "-".join((SHARE_PREFIX, *(text[at : at + 6] for at in range(0, len(text), 6))))


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"hygie share v1\0" + body).digest()[:_CHECK_BYTES]


def _passphrase_key(passphrase: Passphrase, salt: bytes, n: int) -> bytes:
    raw = unicodedata.normalize("NFKC", passphrase.text).encode("utf-8", "surrogatepass")
    if not 1 <= len(raw) <= PASSPHRASE_BYTES_MAX:
        raise KmsRequestError(reason=f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return Scrypt(salt=salt, length=32, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(raw)


def _subset_key(state_id: bytes, set_id: bytes, held: Iterable[tuple[int, bytes]]) -> bytes:
    ordered = sorted(held)
    info = canonical("hygie kms shares v1", state_id, set_id, *(index for index, _ in ordered))
    return HKDF(SHA256(), 32, None, info).derive(b"".join(secret for _, secret in ordered))


def _open_box(sealing: Sealing, box: Box, key: bytes, state_id: bytes) -> bytes:
    try:
        root = open_sealed(box.sealed, key=key, meaning=_meaning_of(sealing, box, state_id), bytes_max=_ROOT_BYTES)
    except SealBrokenError as error:
        raise WrongPassphraseError() from error
    if len(root) != _ROOT_BYTES:
        raise KmsStateBrokenError(part="sealing")
    return root


def _meaning_of(sealing: Sealing, box: Box, state_id: bytes) -> bytes:
    numbers = (sealing.scrypt_n, sealing.shares_needed, sealing.shares_made)
    return _meaning(state_id, sealing.kind, sealing.salt, numbers, box.indexes)


def _meaning(
    state_id: bytes, kind: str, salt: bytes, numbers: tuple[int, int, int], indexes: Sequence[int] = ()
) -> bytes:
    n, needed, made = numbers
    return canonical("hygie kms root v1", state_id, kind, salt, n, SCRYPT_R, SCRYPT_P, needed, made, *indexes)
