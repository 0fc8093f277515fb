"""What the sealer asks of the witness."""

from __future__ import annotations

import ssl
from pathlib import Path

from hygie.journal.checkpoint import NOTE_BYTES_MAX, VerifierKey, parse_signature_line, verify_cosignature
from hygie.journal.errors import CheckpointInvalidError, WitnessRefusedError, WitnessUnavailableError
from hygie.journal.http1 import Answer, ProtocolError, request
from hygie.journal.witness import AddCheckpoint, encode_submission, log_id


class WitnessBehindError(Exception):
    """The witness's latest tree has another size than was assumed: submit again with a proof from ``size``."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(str(size))


class WitnessClient:
    """A witness at an address (unix socket path, URL or host:port), known by its public key."""

    def __init__(self, address: str, key: VerifierKey, *, authority: Path | None = None) -> None:
        """Args: authority: a PEM file of who signs the certificate of an ``https`` witness; the system's by default.

        Raises: OSError: the file is absent, or holds no certificate.
        """
        self.address = address
        self.key = key
        self._tls = ssl.create_default_context(cafile=str(authority)) if authority is not None else None

    async def add_checkpoint(self, submission: AddCheckpoint) -> bytes:
        """The note with the witness's verified cosignature.

        Raises: WitnessBehindError; WitnessRefusedError: it saw another history; WitnessUnavailableError.
        """
        answer = await self._request("POST", "/add-checkpoint", encode_submission(submission))
        if answer.status == 409 and answer.content_type == "text/x.tlog.size":
            size = _size(answer.body)
            if size == submission.old_size:
                raise WitnessRefusedError(status=409)
            raise WitnessBehindError(size)
        if answer.status in (403, 404, 409, 422):
            raise WitnessRefusedError(status=answer.status)
        if answer.status != 200:
            raise WitnessUnavailableError(reason=f"status {answer.status}")
        return self._cosigned(submission.note, answer.body)

    async def latest(self, origin: str) -> bytes | None:
        """The latest note it cosigned for a log, or None if it never did.

        Raises: WitnessUnavailableError.
        """
        answer = await self._request("GET", f"/{log_id(origin)}/checkpoint", b"")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise WitnessUnavailableError(reason=f"status {answer.status}")
        try:
            verify_cosignature(answer.body, witness_key=self.key)
        except CheckpointInvalidError as error:
            raise WitnessUnavailableError(reason="not its cosignature") from error
        return answer.body

    async def _request(self, method: str, path: str, body: bytes) -> Answer:
        try:
            return await request(self.address, method, path, body, tls=self._tls)
        except (OSError, TimeoutError, ValueError, ProtocolError) as error:
            raise WitnessUnavailableError(reason="no answer") from error

    def _cosigned(self, note: bytes, lines: bytes) -> bytes:
        """Keep the lines of the known key only, and check them."""
        wanted = (self.key.name, self.key.key_id)
        try:
            kept = [
                line + "\n"
                for line in lines[:NOTE_BYTES_MAX].decode().split("\n")
                if line and parse_signature_line(line)[:2] == wanted
            ]
            cosigned = note + "".join(kept).encode()
            verify_cosignature(cosigned, witness_key=self.key)
        except (UnicodeDecodeError, CheckpointInvalidError) as error:
            raise WitnessUnavailableError(reason="not its cosignature") from error
        return cosigned


def _size(body: bytes) -> int:
    text = body.strip()
    if not text.isdigit() or len(text) > 19:
        raise WitnessUnavailableError(reason="not a size")
    return int(text)
