"""What travels on the KMS's socket.

Source: docs/formats/kms.md v1, "Socket".  A frame is u32 big-endian length, then that many bytes: u32 big-endian call
number, then for a question one msgpack array ``[operation, fields…]``, for an answer u8 status (0 done, 1 refused)
and one msgpack value.  Unknown operations, wrong types, missing and extra fields are refused at decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal

import msgspec

from hygie.base.errors import Fact, HygieError
from hygie.base.passphrase import WeakPassphraseError
from hygie.keys import errors
from hygie.keys.errors import KmsRequestError, KmsUnavailableError

QUESTION_BYTES_MAX = 1024 * 1024  # BATCH_MAX items of 64-byte ids and wraps take 560 kB
ANSWER_BYTES_MAX = 272 * 1024 * 1024  # an export of the state (256 MiB) and its envelope
HEAD = struct.Struct(">I")
CALL = struct.Struct(">I")
DONE = 0
REFUSED = 1

Item = tuple[bytes, int, bytes]


class Question(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag_field="op"):
    """One operation and its fields, in order."""


class CreateTenant(Question, frozen=True, tag="create-tenant"):
    """Kms.create_tenant."""

    tenant_id: bytes


class CreateEnvironment(Question, frozen=True, tag="create-environment"):
    """Kms.create_environment."""

    tenant_id: bytes
    environment_id: bytes


class EnvironmentKey(Question, frozen=True, tag="environment-key"):
    """Kms.environment_key."""

    tenant_id: bytes
    environment_id: bytes
    purpose: str


class CurrentEpoch(Question, frozen=True, tag="current-epoch"):
    """Kms.current_epoch."""

    tenant_id: bytes
    environment_id: bytes


class Wrap(Question, frozen=True, tag="wrap"):
    """Kms.wrap."""

    tenant_id: bytes
    environment_id: bytes
    keys: list[tuple[bytes, bytes]]


class Unwrap(Question, frozen=True, tag="unwrap"):
    """Kms.unwrap."""

    tenant_id: bytes
    environment_id: bytes
    items: list[Item]
    permit_id: bytes
    reason: str


class NewEpoch(Question, frozen=True, tag="new-epoch"):
    """Kms.new_epoch."""

    tenant_id: bytes
    environment_id: bytes


class Rewrap(Question, frozen=True, tag="rewrap"):
    """Kms.rewrap."""

    tenant_id: bytes
    environment_id: bytes
    items: list[Item]


class DestroyEpoch(Question, frozen=True, tag="destroy-epoch"):
    """Kms.destroy_epoch."""

    tenant_id: bytes
    environment_id: bytes
    epoch: int
    live_compartments: int


class DestroyEnvironment(Question, frozen=True, tag="destroy-environment"):
    """Kms.destroy_environment."""

    tenant_id: bytes
    environment_id: bytes
    repeated: bytes


class Rotate(Question, frozen=True, tag="rotate"):
    """Kms.rotate."""

    level: Literal["root", "tenant", "environment"]
    tenant_id: bytes
    environment_id: bytes


class RotateSigningKey(Question, frozen=True, tag="rotate-signing-key"):
    """Kms.rotate_signing_key."""

    purpose: str


class MonthKey(Question, frozen=True, tag="month-key"):
    """Kms.month_key."""

    tenant_id: bytes
    kind: str
    month: str


class DestroyMonthKey(Question, frozen=True, tag="destroy-month-key"):
    """Kms.destroy_month_key."""

    tenant_id: bytes
    kind: str
    month: str


class Sign(Question, frozen=True, tag="sign"):
    """Kms.sign."""

    purpose: str
    message: bytes


class PublicKey(Question, frozen=True, tag="public-key"):
    """Kms.public_key."""

    purpose: str


class Status(Question, frozen=True, tag="status"):
    """Kms.status."""


class ExportState(Question, frozen=True, tag="export-state"):
    """Kms.export_state."""


class ReadUnwrapRecord(Question, frozen=True, tag="unwrap-record"):
    """Kms.unwrap_record."""

    after_line: int
    count: int


class UnwrapHeads(Question, frozen=True, tag="unwrap-heads"):
    """Kms.unwrap_heads."""

    lengths: list[int]


class Unseal(Question, frozen=True, tag="unseal"):
    """Open the root: a passphrase, or shares. Answers how many more shares are needed; 0: open."""

    passphrase: str
    shares: list[str]


class ChangeSealing(Question, frozen=True, tag="change-sealing"):
    """A new root under a new passphrase, or (shares_made > 0) under new shares, which are the answer."""

    passphrase: str
    shares: list[str]
    new_passphrase: str
    shares_needed: int
    shares_made: int


AnyQuestion = (
    CreateTenant
    | CreateEnvironment
    | EnvironmentKey
    | CurrentEpoch
    | Wrap
    | Unwrap
    | NewEpoch
    | Rewrap
    | DestroyEpoch
    | DestroyEnvironment
    | Rotate
    | RotateSigningKey
    | MonthKey
    | DestroyMonthKey
    | Sign
    | PublicKey
    | Status
    | ExportState
    | ReadUnwrapRecord
    | UnwrapHeads
    | Unseal
    | ChangeSealing
)

# What a hosting process needs day by day; everything else is for those who administer the KMS. It signs nothing: a
# signature makes a checkpoint, a tombstone, a certificate.
HOSTING = (
    CreateTenant,
    CreateEnvironment,
    EnvironmentKey,
    CurrentEpoch,
    Wrap,
    Unwrap,
    MonthKey,
    PublicKey,
    Status,
)

_encoder = msgspec.msgpack.Encoder()
_questions: msgspec.msgpack.Decoder[AnyQuestion] = msgspec.msgpack.Decoder(AnyQuestion)
_facts = msgspec.msgpack.Decoder(tuple[str, dict[str, Fact]])
_ERRORS: Mapping[str, type[HygieError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HygieError) and kind.__module__ == errors.__name__
} | {WeakPassphraseError.code: WeakPassphraseError}


def question_frame(call: int, question: Question) -> bytes:
    """A question on the wire.

    Raises: KmsRequestError: over QUESTION_BYTES_MAX.
    """
    body = CALL.pack(call) + _encoder.encode(question)
    if len(body) > QUESTION_BYTES_MAX:
        raise KmsRequestError(reason="it is too long")
    return HEAD.pack(len(body)) + body


def read_question(body: bytes) -> tuple[int, AnyQuestion]:
    """A question from a frame's body.

    Raises: KmsRequestError: not a question of this format.
    """
    try:
        return CALL.unpack_from(body)[0], _questions.decode(memoryview(body)[CALL.size :])
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KmsRequestError(reason="it is not in the format of the key service") from error


def answer_frame(call: int, value: object) -> bytes:
    """A done answer, or the refusal when ``value`` is an error of Hygie."""
    if isinstance(value, HygieError):
        body = bytes((REFUSED,)) + _encoder.encode((value.code, value.facts))
    else:
        body = bytes((DONE,)) + _encoder.encode(value)
    return HEAD.pack(CALL.size + len(body)) + CALL.pack(call) + body


def read_answer(body: bytes, kind: object) -> object:
    """The value of an answer's body (after the call number).

    Raises: the refusal's error; KmsUnavailableError: an answer that nobody can read.
    """
    try:
        if body[0] == DONE:
            value: object = msgspec.msgpack.decode(memoryview(body)[1:], type=kind)
            return value
        code, facts = _facts.decode(memoryview(body)[1:])
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KmsUnavailableError(part="kms answer") from error
    raise _ERRORS.get(code, KmsUnavailableError)(**facts)
