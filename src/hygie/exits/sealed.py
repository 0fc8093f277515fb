"""Files that only the client can read: encrypted to its own public keys as they are made, never in clear on the disk.

The format is age (https://age-encryption.org/v1; C2SP age.md), through ``pyrage``: any program that speaks it decrypts.
Names are the house's, never a patient's.  ``SHA256SUMS`` lists the encrypted files; the file ``contents.sha256``,
itself encrypted, the decrypted ones: both are what ``sha256sum -c`` reads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pyrage

from hygie.base.errors import UnavailableError
from hygie.base.files import PRIVATE_FILE, PRIVATE_FOLDER, fsync_folder
from hygie.exits.errors import ExportFolderError, RecipientRefusedError
from hygie.exits.model import CONTENTS, SUMS

SUFFIX = ".age"
RECIPIENTS_MAX = 8
WAITING_CHUNKS = 4  # between who reads and who encrypts: at most four pieces of 4 MiB
PUT_WAIT_S = 0.5  # then it is looked whether who encrypts still lives
STREAMS = 4  # written at once: a content, the traces, the sums


def parse_recipients(texts: Sequence[str]) -> list[Any]:
    """The public keys to encrypt to.

    Raises: RecipientRefusedError: none, too many, twice the same, or one that is neither age (X25519) nor ssh-ed25519.
    """
    if not 1 <= len(texts) <= RECIPIENTS_MAX:
        raise RecipientRefusedError(reason="too many, or none")
    if len(set(texts)) < len(texts):
        raise RecipientRefusedError(reason="twice the same")
    found: list[Any] = []
    for text in texts:
        try:
            if text.startswith("age1"):
                found.append(pyrage.x25519.Recipient.from_str(text))
            elif text.startswith("ssh-ed25519 "):
                found.append(pyrage.ssh.Recipient.from_str(text))
            else:
                raise RecipientRefusedError(reason="unknown kind")
        except pyrage.RecipientError as error:
            raise RecipientRefusedError(reason="malformed") from error
    return found


class SealedFolder:
    """A new folder that fills with encrypted files. Used inside one event loop.

    Args: path: absent or empty; recipients: of ``parse_recipients``.
    """

    def __init__(self, path: Path, recipients: Sequence[Any]) -> None:
        """Raises: ExportFolderError: there is something in it, or it cannot be made."""
        self.path = path
        self.files = 0
        self.bytes = 0
        self._recipients = list(recipients)
        self._pool = ThreadPoolExecutor(STREAMS, thread_name_prefix="seal")
        self._sums = hashlib.sha256()
        self._streams: set[SealedStream] = set()
        try:
            path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise ExportFolderError(folder=str(path), reason="not empty")
            self._list = _create(path / SUMS)
        except OSError as error:
            raise ExportFolderError(folder=str(path), reason=error.strerror or type(error).__name__) from error
        self._contents = SealedStream(self, CONTENTS, listed=False)

    async def add(self, name: str, data: bytes) -> None:
        """One whole file; durable at return."""
        stream = self.stream(name)
        await stream.write(data)
        await stream.close()

    def stream(self, name: str) -> SealedStream:
        """A file that is written piece by piece."""
        return SealedStream(self, name)

    async def close(self) -> bytes:
        """End the lists; returns the SHA-256 of ``SHA256SUMS``."""
        await self._contents.close()
        await asyncio.to_thread(self._end)
        return self._sums.digest()

    def abort(self) -> None:
        """Remove what was written: an export is whole or is none."""
        for stream in list(self._streams):
            stream.abort()
        self._list.close()
        self._pool.shutdown()
        for folder, folders, names in os.walk(self.path, topdown=False):
            for name in names:
                (Path(folder) / name).unlink(missing_ok=True)
            for name in folders:
                (Path(folder) / name).rmdir()

    def _end(self) -> None:
        self._list.flush()
        os.fsync(self._list.fileno())
        self._list.close()
        self._pool.shutdown()
        fsync_folder(self.path)

    async def note(self, name: str, size: int, sealed: bytes, plain: bytes | None) -> None:
        """A file that is done: its encrypted size, the digests of its two forms."""
        self.files += 1
        self.bytes += size
        line = f"{sealed.hex()}  {name}{SUFFIX}\n".encode()
        self._sums.update(line)
        self._list.write(line)
        if plain is not None:
            await self._contents.write(f"{plain.hex()}  {name}\n".encode())

    def start(self, stream: SealedStream, call: Any) -> Future[None]:
        """Run what encrypts in a thread of its own."""
        self._streams.add(stream)
        return self._pool.submit(call)

    def drop(self, stream: SealedStream) -> None:
        """Give up one file and remove what it held."""
        stream.abort()
        self.forget(stream)
        (self.path / f"{stream.name}{SUFFIX}").unlink(missing_ok=True)

    def forget(self, stream: SealedStream) -> None:
        """A stream that has ended."""
        self._streams.discard(stream)

    def encrypt(self, reader: Any, writer: Any) -> None:
        """One stream through age."""
        pyrage.encrypt_io(reader, writer, self._recipients)


class SealedStream:
    """One file being encrypted as it comes; ``write`` may be called from a thread through ``put``."""

    def __init__(self, folder: SealedFolder, name: str, *, listed: bool = True) -> None:
        self._folder = folder
        self.name = name
        self._listed = listed
        self._plain = hashlib.sha256()
        self._chunks: queue.Queue[bytes | None] = queue.Queue(WAITING_CHUNKS)
        self._left = memoryview(b"")
        self._ended = False
        self._aborted = False
        self.size = 0
        path = folder.path / f"{name}{SUFFIX}"
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._writer = _Hashed(_create(path))
        self._work = folder.start(self, self._run)

    @property
    def sha256(self) -> bytes:
        """Of what was written, in clear."""
        return self._plain.digest()

    async def write(self, data: bytes) -> None:
        """Some more bytes. Raises: OSError: the disk is full, say."""
        await asyncio.to_thread(self.put, data)

    def put(self, data: bytes) -> None:
        """The same, blocking. No bytes are no end."""
        if not data:
            return
        self._plain.update(data)
        self.size += len(data)
        self._hand(data)

    async def close(self) -> None:
        """End the file; durable and listed at return."""
        await asyncio.to_thread(self._finish)
        plain = self._plain.digest() if self._listed else None
        await self._folder.note(self.name, self._writer.size, self._writer.digest(), plain)

    def abort(self) -> None:
        """Stop at once; what was written is of no use."""
        self._aborted = True
        if not self._work.done():
            while True:
                try:
                    self._chunks.get_nowait()
                except queue.Empty:
                    break
            self._chunks.put(None)
        self._writer.close()

    def read(self, size: int) -> bytes:
        """What age asks: at most ``size`` bytes, none at the end. Runs in the stream's thread."""
        if not self._left and not self._ended:
            chunk = self._chunks.get()
            if chunk is None:
                self._ended = True
            else:
                self._left = memoryview(chunk)
        if self._aborted:
            raise OSError("aborted")
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    def _run(self) -> None:
        try:
            self._folder.encrypt(self, self._writer)
            self._writer.sync()
        except pyrage.EncryptError as error:
            if self._writer.failure is not None:
                raise self._writer.failure from error
            raise UnavailableError(part="encryption") from error

    def _hand(self, chunk: bytes | None) -> None:
        while True:
            if self._work.done():
                self._work.result()
                raise UnavailableError(part="encryption")  # it ended before its input did
            try:
                self._chunks.put(chunk, timeout=PUT_WAIT_S)
            except queue.Full:
                continue
            return

    def _finish(self) -> None:
        self._hand(None)
        self._work.result()
        self._writer.close()
        self._folder.forget(self)


class _Hashed:
    """The file that age writes, hashed on its way. failure: the system's own refusal, which age would hide."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Some encrypted bytes."""
        try:
            self._file.write(data)
        except OSError as error:
            self.failure = error
            raise
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        """Make it durable."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def digest(self) -> bytes:
        """SHA-256 of all that was written."""
        return self._hash.digest()

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()


def _create(path: Path) -> IO[bytes]:
    """A new private file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    return os.fdopen(descriptor, "wb", buffering=1 << 20)
