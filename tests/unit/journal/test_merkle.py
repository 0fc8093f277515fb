"""RFC 6962 trees: known answers, and every proof of every small tree by brute force."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie.journal import merkle
from hygie.journal.errors import ProofInvalidError

# The eight leaves and the roots of certificate-transparency's reference tests (merkletree/merkle_tree_test.cc).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


def recursive_root(hashes: list[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, letter for letter."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\x01" + recursive_root(hashes[:split]) + recursive_root(hashes[split:])).digest()


def test_known_roots() -> None:
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [merkle.root_of(HASHES[:size]).hex() for size in range(1, 9)] == ROOTS


def test_known_inclusion_proof() -> None:
    assert [item.hex() for item in merkle.inclusion_proof(5, HASHES)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(0, 600))
def test_root_is_the_definition(size: int) -> None:
    hashes = [sha256(number.to_bytes(4, "big")).digest() for number in range(size)]
    assert merkle.root_of(hashes) == recursive_root(hashes)


def test_every_inclusion_proof_of_small_trees() -> None:
    hashes = [sha256(bytes((number,))).digest() for number in range(40)]
    for size in range(1, 41):
        root = merkle.root_of(hashes[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(index, hashes[:size])
            merkle.verify_inclusion(hashes[index], index, size, proof, root)
            for bad in _broken(proof):
                with pytest.raises(ProofInvalidError):
                    merkle.verify_inclusion(hashes[index], index, size, bad, root)
            with pytest.raises(ProofInvalidError):
                merkle.verify_inclusion(hashes[(index + 1) % 40], index, size, proof, root)


def test_every_consistency_proof_of_small_trees() -> None:
    hashes = [sha256(bytes((number,))).digest() for number in range(40)]
    for size in range(41):
        root = merkle.root_of(hashes[:size])
        for old_size in range(size + 1):
            old_root = merkle.root_of(hashes[:old_size])
            proof = merkle.consistency_proof(old_size, hashes[:size])
            merkle.verify_consistency(old_size, size, old_root, root, proof)
            for bad in _broken(proof):
                with pytest.raises(ProofInvalidError):
                    merkle.verify_consistency(old_size, size, old_root, root, bad)
            with pytest.raises(ProofInvalidError):
                merkle.verify_consistency(old_size, size, bytes(32), root, proof)


@given(st.integers(1, 300), st.data())
def test_wrong_place_is_refused(size: int, data: st.DataObject) -> None:
    hashes = [sha256(number.to_bytes(4, "big")).digest() for number in range(size)]
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, hashes)
    if other != index:
        with pytest.raises(ProofInvalidError):
            merkle.verify_inclusion(hashes[index], other, size, proof, merkle.root_of(hashes))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (2**70, 2**71)])
def test_index_outside_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofInvalidError):
        merkle.verify_inclusion(bytes(32), index, size, [bytes(32)] * 65, bytes(32))
    if index >= size or index < 0:
        with pytest.raises(ValueError, match="outside"):
            merkle.inclusion_ranges(index, size)


def _broken(proof: list[bytes]) -> list[list[bytes]]:
    flipped = [[*proof[:at], bytes((item[0] ^ 1,)) + item[1:], *proof[at + 1 :]] for at, item in enumerate(proof)]
    return [*flipped, [*proof, bytes(32)], *([proof[:-1]] if proof else [])]
