"""Sealed bytes open under their own key and meaning, and no other way."""

from __future__ import annotations

import os

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from hygie.base import seal as module
from hygie.base.canonical import canonical
from hygie.base.seal import (
    COMMITMENT_BYTES,
    HEADER_BYTES,
    OVERHEAD_BYTES,
    SALT_BYTES,
    SealBrokenError,
    open_sealed,
    seal,
)

KEY = bytes(range(32))
MEANING = canonical("tenant", "environment", "patient-1", "Observation", "o1", 1)
NOTE = b'{"resourceType":"Observation","status":"final"}' * 5
BYTES_MAX = 1 << 20


@given(st.binary(max_size=2000), st.binary(min_size=32, max_size=32), st.binary(max_size=60), st.booleans())
def test_what_was_sealed_is_opened_equal(plaintext: bytes, key: bytes, meaning: bytes, compress: bool) -> None:
    sealed = seal(plaintext, key=key, meaning=meaning, compress=compress)
    assert open_sealed(sealed, key=key, meaning=meaning, bytes_max=BYTES_MAX) == plaintext


@pytest.mark.parametrize(
    "moved",
    [
        canonical("tenant", "environment", "patient-2", "Observation", "o1", 1),
        canonical("tenant", "environment", "patient-1", "Observation", "o1", 2),
        canonical("tenant", "environment", "patient-1", "Condition", "o1", 1),
        canonical("tenant", "other", "patient-1", "Observation", "o1", 1),
        b"",
    ],
)
def test_an_object_moved_to_another_meaning_does_not_open(moved: bytes) -> None:
    sealed = seal(NOTE, key=KEY, meaning=MEANING)
    with pytest.raises(SealBrokenError):
        open_sealed(sealed, key=KEY, meaning=moved, bytes_max=BYTES_MAX)


def test_a_wrong_key_does_not_open() -> None:
    sealed = seal(NOTE, key=KEY, meaning=MEANING)
    with pytest.raises(SealBrokenError):
        open_sealed(sealed, key=bytes(32), meaning=MEANING, bytes_max=BYTES_MAX)


@pytest.mark.parametrize("compress", [True, False])
def test_one_flipped_bit_anywhere_is_refused(compress: bool) -> None:
    sealed = seal(NOTE, key=KEY, meaning=MEANING, compress=compress)
    for bit in range(len(sealed) * 8):
        broken = bytearray(sealed)
        broken[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(SealBrokenError):
            open_sealed(bytes(broken), key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)


def test_every_truncation_and_any_addition_is_refused() -> None:
    sealed = seal(NOTE, key=KEY, meaning=MEANING)
    for size in range(len(sealed)):
        with pytest.raises(SealBrokenError):
            open_sealed(sealed[:size], key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)
    with pytest.raises(SealBrokenError):
        open_sealed(sealed + b"\0", key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = seal(bytes(50_000_000), key=KEY, meaning=MEANING)
    assert len(bomb) < 10_000
    with pytest.raises(SealBrokenError):
        open_sealed(bomb, key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)
    at_the_bound = seal(bytes(BYTES_MAX), key=KEY, meaning=MEANING)
    assert len(open_sealed(at_the_bound, key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)) == BYTES_MAX
    incompressible = seal(os.urandom(BYTES_MAX + 1), key=KEY, meaning=MEANING)
    with pytest.raises(SealBrokenError):
        open_sealed(incompressible, key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)


def test_a_frame_that_hides_its_size_or_lies_about_it_is_refused() -> None:
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(50_000_000))
    lying = bytearray(zstandard.ZstdCompressor().compress(bytes(1_000_000)))
    at = lying.index((1_000_000).to_bytes(4, "little"))
    lying[at : at + 4] = (64).to_bytes(4, "little")
    for frame in (hidden, bytes(lying)):
        with pytest.raises(SealBrokenError):
            open_sealed(forge(frame, flags=1), key=KEY, meaning=MEANING, bytes_max=BYTES_MAX)


def forge(box_plaintext: bytes, *, flags: int) -> bytes:
    """A message sealed by somebody who holds the key and chooses the inside."""
    salt = os.urandom(SALT_BYTES)
    object_key, commitment = module._derive(KEY, salt, MEANING)
    head = module.MAGIC + bytes((flags,))
    return head + salt + commitment + AESGCM(object_key).encrypt(bytes(12), box_plaintext, head + MEANING)


@settings(max_examples=200)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40))
def test_one_sealed_message_cannot_be_opened_in_two_ways(other_key: bytes, other_meaning: bytes) -> None:
    """AES-GCM alone lets one make a ciphertext that opens under two keys; the commitment is what refuses the second."""
    sealed = seal(NOTE, key=KEY, meaning=MEANING)
    if (other_key, other_meaning) == (KEY, MEANING):
        return
    with pytest.raises(SealBrokenError):
        open_sealed(sealed, key=other_key, meaning=other_meaning, bytes_max=BYTES_MAX)


def test_a_ciphertext_made_to_open_under_two_keys_opens_under_one() -> None:
    """The attack itself: a box whose tag is right under two object keys, tried with either commitment."""
    other = bytes(range(1, 33))
    salt = os.urandom(SALT_BYTES)
    head = module.MAGIC + b"\0"
    keys = [module._derive(key, salt, MEANING) for key in (KEY, other)]
    box = two_key_box(keys[0][0], keys[1][0], head + MEANING)
    for object_key, _ in keys:
        assert len(AESGCM(object_key).decrypt(bytes(12), box, head + MEANING)) == 16, "the attack itself must work"
    for mine in (0, 1):
        sealed = head + salt + keys[mine][1] + box
        opened = 0
        for key in (KEY, other):
            try:
                open_sealed(sealed, key=key, meaning=MEANING, bytes_max=BYTES_MAX)
            except SealBrokenError:
                continue
            opened += 1
        assert opened == 1


def two_key_box(first: bytes, second: bytes, associated: bytes) -> bytes:
    """One ciphertext block whose GCM tag is the same under both keys (invisible salamander, Dodis et al. 2018).

    The tag of one block C is: C·H² xor A·H^(n) … xor L·H xor E(J0).  With a given tag T there is one equation in C per
    key; here C and T are the two unknowns, so: C = (k1 xor k2) / (H1² xor H2²), where k is the part without C.
    """

    def parts(key: bytes) -> tuple[int, int]:
        h = int.from_bytes(ecb(key, bytes(16)), "big")
        padded = associated + bytes(-len(associated) % 16)
        state = 0
        for at in range(0, len(padded), 16):
            state = multiply(state ^ int.from_bytes(padded[at : at + 16], "big"), h)
        lengths = (len(associated) * 8 << 64) | 128
        constant = multiply(multiply(state, h), h) ^ multiply(lengths, h)
        constant ^= int.from_bytes(ecb(key, bytes(12) + b"\0\0\0\1"), "big")
        return multiply(h, h), constant

    (square_1, constant_1), (square_2, constant_2) = parts(first), parts(second)
    block = multiply(constant_1 ^ constant_2, inverse(square_1 ^ square_2))
    tag = multiply(block, square_1) ^ constant_1
    return block.to_bytes(16, "big") + tag.to_bytes(16, "big")


def ecb(key: bytes, block: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def multiply(x: int, y: int) -> int:
    """Product in GCM's field (NIST SP 800-38D, algorithm 1)."""
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= y
        y = (y >> 1) ^ (0xE1 << 120 if y & 1 else 0)
    return z


def inverse(x: int) -> int:
    """x^(2^128 - 2)."""
    result, power = 1 << 127, x
    for _ in range(127):
        power = multiply(power, power)
        result = multiply(result, power)
    return result


def test_sizes_are_those_of_the_format_page() -> None:
    assert (SALT_BYTES, COMMITMENT_BYTES, HEADER_BYTES, OVERHEAD_BYTES) == (32, 32, 69, 85)
    assert len(seal(b"", key=KEY, meaning=MEANING)) == OVERHEAD_BYTES
