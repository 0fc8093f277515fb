"""Sealing of the root: strength of passphrases, every subset of shares, and the defects of each."""

from __future__ import annotations

import os
import time
from itertools import combinations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.base.passphrase import WeakPassphraseError, check_passphrase
from hygie.keys.errors import (
    KmsRequestError,
    KmsSettingsError,
    KmsStateBrokenError,
    ShareRefusedError,
    WrongPassphraseError,
)
from hygie.keys.sealing import (
    SCRYPT_N,
    Box,
    Passphrase,
    Sealing,
    SharePlan,
    Shares,
    check_sealing,
    open_root,
    read_share,
    reseal,
    seal_under_passphrase,
    seal_under_shares,
)

ROOT = bytes(range(32))
STATE = b"s" * 16
N = 2**4
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

WEAK = {
    "empty": "",
    "short": "Tr0ub4dor&3",
    "one_letter": "a" * 40,
    "few_letters": "abababcbabcbabcb",
    "sequence": "abcdefghijklmnopqrst",
    "digits_up": "0123456789012345678",
    "repeated": "k7#Qz!p2k7#Qz!p2",
    "common_decorated": "MotDePasse-2026-!!",
    "common_twice": "azertyAZERTY123456789",
    "product": "hygie-hygie-admin-2026",
    "accents_do_not_hide": "môtdepàsse-2026-!!",
}


@pytest.mark.parametrize("text", WEAK.values(), ids=WEAK)
def test_weak_passphrases_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(WeakPassphraseError) as caught:
        check_passphrase(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["cheval pile agrafe 9 correct", "Xq7#mV2!pL9$wZ4&", "une lampe, trois chaussures"])
def test_good_passphrases_pass(text: str) -> None:
    check_passphrase(text)


def test_a_passphrase_opens_its_own_root_at_the_production_cost() -> None:
    started = time.process_time()
    sealing, _ = seal_under_passphrase(ROOT, Passphrase("x"), state_id=STATE)
    assert time.process_time() - started > 0.05
    assert sealing.scrypt_n == SCRYPT_N == 2**17
    assert open_root(sealing, Passphrase("x"), state_id=STATE) == ROOT


def test_composed_and_decomposed_accents_are_one_passphrase() -> None:
    sealing, _ = seal_under_passphrase(ROOT, Passphrase("clé"), state_id=STATE, scrypt_n=N)
    assert open_root(sealing, Passphrase("cle\u0301"), state_id=STATE) == ROOT


def test_another_passphrase_state_or_parameter_does_not_open() -> None:
    sealing, _ = seal_under_passphrase(ROOT, Passphrase("x"), state_id=STATE, scrypt_n=N)
    weaker = msgspec.structs.replace(sealing, scrypt_n=N // 2 * 4)
    for found, text, state in ((sealing, "y", STATE), (sealing, "x", b"t" * 16), (weaker, "x", STATE)):
        with pytest.raises(WrongPassphraseError):
            open_root(found, Passphrase(text), state_id=state)
    for text in ("", "x" * 1025):
        with pytest.raises(KmsRequestError):
            open_root(sealing, Passphrase(text), state_id=STATE)
    with pytest.raises(ShareRefusedError):
        open_root(sealing, Shares([]), state_id=STATE)


@pytest.mark.parametrize(("needed", "made"), [(2, 2), (2, 3), (3, 5), (4, 8), (8, 8)])
def test_every_subset_of_shares_opens_and_no_smaller_one(needed: int, made: int) -> None:
    sealing, _, texts = seal_under_shares(ROOT, SharePlan(needed, made), state_id=STATE)
    for subset in combinations(texts, needed):
        assert open_root(sealing, Shares(list(subset)), state_id=STATE) == ROOT
    assert open_root(sealing, Shares(texts[::-1]), state_id=STATE) == ROOT
    for subset in combinations(texts, needed - 1):
        with pytest.raises(ShareRefusedError):
            open_root(sealing, Shares([*subset, subset[0]]), state_id=STATE)


@pytest.mark.parametrize(("needed", "made"), [(1, 3), (0, 0), (3, 2), (2, 9), (-1, 4)])
def test_share_plans_out_of_bounds_are_refused(needed: int, made: int) -> None:
    with pytest.raises(KmsSettingsError):
        seal_under_shares(ROOT, SharePlan(needed, made), state_id=STATE)


def test_shares_of_another_set_are_named_as_such() -> None:
    sealing, _, texts = seal_under_shares(ROOT, SharePlan(2, 3), state_id=STATE)
    _, _, others = seal_under_shares(ROOT, SharePlan(2, 3), state_id=STATE)
    with pytest.raises(ShareRefusedError, match="another set"):
        open_root(sealing, Shares([texts[0], others[1]]), state_id=STATE)
    with pytest.raises(ShareRefusedError):
        open_root(sealing, Passphrase("x"), state_id=STATE)


@given(at=st.integers(0, 71), letter=st.sampled_from(ALPHABET))
def test_a_mistyped_letter_is_found(at: int, letter: str) -> None:
    _, _, texts = seal_under_shares(ROOT, SharePlan(2, 2), state_id=STATE)
    compact = texts[0].removeprefix("hygie-").replace("-", "")
    typed = compact[:at] + letter + compact[at + 1 :]
    if typed == compact:
        assert read_share(typed) == read_share(texts[0])
    else:
        with pytest.raises(ShareRefusedError):
            read_share(typed)


@given(st.text(max_size=120))
def test_any_text_is_a_share_or_is_refused(text: str) -> None:
    with pytest.raises(ShareRefusedError):
        read_share(text)


def test_a_new_root_is_sealed_as_the_old_one() -> None:
    new = os.urandom(32)
    sealing, keys = seal_under_passphrase(ROOT, Passphrase("x"), state_id=STATE, scrypt_n=N)
    assert open_root(reseal(new, sealing, keys, state_id=STATE), Passphrase("x"), state_id=STATE) == new
    shared, keys, texts = seal_under_shares(ROOT, SharePlan(2, 3), state_id=STATE)
    again = reseal(new, shared, keys, state_id=STATE)
    for subset in combinations(texts, 2):
        assert open_root(again, Shares(list(subset)), state_id=STATE) == new


UNSOUND: dict[str, Sealing] = {
    "scrypt_too_big": Sealing("passphrase", b"s" * 32, 2**21, 0, 0, [Box([], b"")]),
    "scrypt_not_a_power": Sealing("passphrase", b"s" * 32, 2**10 + 1, 0, 0, [Box([], b"")]),
    "scrypt_zero": Sealing("passphrase", b"s" * 32, 0, 0, 0, [Box([], b"")]),
    "no_box": Sealing("passphrase", b"s" * 32, N, 0, 0, []),
    "short_salt": Sealing("passphrase", b"s", N, 0, 0, [Box([], b"")]),
    "share_box_missing": Sealing("shares", b"s" * 4, 0, 2, 3, [Box([1, 2], b""), Box([1, 3], b"")]),
    "too_many_shares": Sealing("shares", b"s" * 4, 0, 2, 30, []),
}


@pytest.mark.parametrize("sealing", UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_sealing_costs_nothing_and_is_refused(sealing: Sealing) -> None:
    with pytest.raises(KmsStateBrokenError):
        check_sealing(sealing)


def test_secrets_never_print_themselves() -> None:
    assert "abc" not in f"{Passphrase('abc')!r}{Passphrase('abc')}{Shares(['abc'])!r}"
