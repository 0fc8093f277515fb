"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion proofs, consistency proofs, and their verification.

Pure: hashes in, hashes out.  A proof is named by the *ranges* of leaves whose roots it holds: one plan serves
a list in memory (here) and a tree kept as tiles (``tiles``).  Verification follows RFC 9162, sections 2.1.3.2 and
2.1.4.2 (the same trees as RFC 6962, with the algorithms written down).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from hygie.journal.errors import ProofInvalidError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
PROOF_HASHES_MAX = 64  # a tree of 2**64 leaves

Range = tuple[int, int]


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf's bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes (or over roots of perfect subtrees of one size; the last may be incomplete)."""
    if not hashes:
        return EMPTY_ROOT
    return joined_root(b"".join(hashes))


def joined_root(level: bytes) -> bytes:
    """The same over one or more concatenated hashes: level by level, the odd last one rises unchanged."""
    digest = sha256
    while len(level) > HASH_BYTES:
        even = len(level) & ~63
        level = b"".join([digest(b"\x01" + level[at : at + 64]).digest() for at in range(0, even, 64)] + [level[even:]])
    return level


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots prove that leaf ``index`` is in the tree of ``size`` leaves, nearest first.

    Raises: ValueError: index outside the tree (a programming mistake).
    """
    if not 0 <= index < size:
        raise ValueError("index outside the tree")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, size: int) -> list[Range]:
    """The subtrees whose roots prove that the tree of ``old_size`` leaves is a prefix of the tree of ``size``.

    Raises: ValueError: sizes out of order (a programming mistake).
    """
    if not 0 <= old_size <= size:
        raise ValueError("sizes out of order")
    if old_size in (0, size):
        return []
    ranges: list[Range] = []
    start, end, whole = 0, size, True
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return ranges[::-1]


def perfect_parts(start: int, end: int) -> list[tuple[int, int]]:
    """A range of leaves as perfect subtrees, left to right: (height, number), number * 2**height being the first leaf.

    Only for ranges that a proof plan names: each part is as large as its place allows, the parts fold from the right.
    """
    parts = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        parts.append((height, start >> height))
        start += 1 << height
    return parts


def fold_parts(roots: Sequence[bytes]) -> bytes:
    """The root of a range from the roots of its ``perfect_parts``."""
    result = roots[-1]
    for left in reversed(roots[:-1]):
        result = node_hash(left, result)
    return result


def proof_of(ranges: Sequence[Range], range_root: Callable[[int, int], bytes]) -> list[bytes]:
    """The proof that a plan names."""
    return [range_root(start, end) for start, end in ranges]


def inclusion_proof(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    """The proof for a tree held in memory."""
    return proof_of(inclusion_ranges(index, len(hashes)), lambda start, end: root_of(hashes[start:end]))


def consistency_proof(old_size: int, hashes: Sequence[bytes]) -> list[bytes]:
    """The proof for a tree held in memory."""
    return proof_of(consistency_ranges(old_size, len(hashes)), lambda start, end: root_of(hashes[start:end]))


def verify_inclusion(hash_of_leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is at ``index`` in the tree of this root.

    Raises: ProofInvalidError. Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size or len(proof) > PROOF_HASHES_MAX or any(len(item) != HASH_BYTES for item in proof):
        raise ProofInvalidError()
    node, last, result = index, size - 1, hash_of_leaf
    for item in proof:
        if last == 0:
            raise ProofInvalidError()
        if node & 1 or node == last:
            result = node_hash(item, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, item)
        node >>= 1
        last >>= 1
    if last != 0 or result != root:
        raise ProofInvalidError()


def verify_consistency(old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the old tree is a prefix of the new one.

    Raises: ProofInvalidError. Source: RFC 9162, section 2.1.4.2; an empty old tree needs an empty proof.
    """
    if not 0 <= old_size <= size or len(proof) > PROOF_HASHES_MAX or any(len(item) != HASH_BYTES for item in proof):
        raise ProofInvalidError()
    if old_size in (0, size):
        same = old_root == (EMPTY_ROOT if old_size == 0 else root)
        if proof or not same:
            raise ProofInvalidError()
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise ProofInvalidError()
    node, last = old_size - 1, size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old_result = new_result = path[0]
    for item in path[1:]:
        if last == 0:
            raise ProofInvalidError()
        if node & 1 or node == last:
            old_result = node_hash(item, old_result)
            new_result = node_hash(item, new_result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new_result = node_hash(new_result, item)
        node >>= 1
        last >>= 1
    if last != 0 or old_result != old_root or new_result != root:
        raise ProofInvalidError()


def _split(count: int) -> int:
    """The largest power of two smaller than ``count`` (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)
