"""The key ledger: sealed, signed, of one environment."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.keys.errors import LedgerBrokenError
from hygie.keys.hierarchy import WRAP_BYTES
from hygie.keys.ledger import Ledger, attach, open_ledger, seal_ledger, to_sign

KEY = b"k" * 32
SIGNER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PUBLIC = SIGNER.public_key().public_bytes_raw()
LEDGER = Ledger(
    b"t" * 16, b"e" * 16, 7, 41, 1_700_000_000_000, [(os.urandom(16), os.urandom(WRAP_BYTES)) for _ in range(50)]
)


def stored(ledger: Ledger) -> bytes:
    sealed = seal_ledger(ledger, key=KEY)
    return attach(sealed, SIGNER.sign(to_sign(sealed)))


def read(data: bytes, *, key: bytes = KEY, public: bytes = PUBLIC, environment: bytes = b"e" * 16) -> Ledger:
    return open_ledger(data, key=key, public_keys=[public], tenant_id=b"t" * 16, environment_id=environment)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_a_ledger_is_read_back_sorted(count: int) -> None:
    ledger = replace(LEDGER, entries=LEDGER.entries[:count])
    assert read(stored(ledger)) == replace(ledger, entries=sorted(ledger.entries))


def test_a_ledger_shows_no_compartment_and_no_wrap() -> None:
    data = stored(LEDGER)
    assert not any(part in data for entry in LEDGER.entries for part in entry)


def test_no_altered_byte_passes() -> None:
    data = stored(LEDGER)
    for at in range(0, len(data), 37):
        with pytest.raises(LedgerBrokenError):
            read(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
    for cut in (0, 10, 76, 200, len(data) - 1):
        with pytest.raises(LedgerBrokenError):
            read(data[:cut])


def test_another_key_signer_or_environment_does_not_read_it() -> None:
    data = stored(LEDGER)
    for wrong in ({"key": b"x" * 32}, {"public": b"x" * 32}, {"environment": b"x" * 16}):
        with pytest.raises(LedgerBrokenError):
            read(data, **wrong)


def test_a_head_of_another_ledger_does_not_fit_even_signed() -> None:
    """Somebody with the signer but not the environment's key cannot date an old ledger anew."""
    sealed = bytearray(seal_ledger(LEDGER, key=KEY))
    sealed[55] ^= 1  # the number
    with pytest.raises(LedgerBrokenError, match="does not open"):
        read(attach(bytes(sealed), SIGNER.sign(to_sign(bytes(sealed)))))


@pytest.mark.parametrize(
    "entries",
    [
        [LEDGER.entries[0], (LEDGER.entries[0][0], LEDGER.entries[1][1])],
        [(b"c" * 15, b"w" * WRAP_BYTES)],
        [(b"c" * 16, b"w" * (WRAP_BYTES - 1))],
    ],
    ids=["twice", "short_id", "short_wrap"],
)
def test_an_unsound_ledger_is_never_sealed(entries: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(LedgerBrokenError):
        seal_ledger(replace(LEDGER, entries=entries), key=KEY)
