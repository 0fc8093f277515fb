"""The client's own verification, offline: with the folder, its private key and the host's published keys.

Order, each step trusting only the one before: the manifest's signature; the list of encrypted files against the
manifest; each encrypted file against the list; decrypted, against the list inside; every line read, counted by type and
compared with the manifest; references looked up; the journal's archive from its signed root.  The first file that is
not what it should be is named.  Nothing is written unless a folder is given for the decrypted files.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from hygie.base.files import PRIVATE_FILE, PRIVATE_FOLDER
from hygie.exits.errors import ExportDamagedError, ExportFolderError, IdentityRefusedError
from hygie.exits.model import (
    CONTENTS,
    MANIFEST,
    MANIFEST_BYTES_MAX,
    PUBLIC_KEY,
    RECEIPT,
    SIGNATURE,
    SUMS,
    ExitManifest,
    code_digest,
    verify_manifest,
)
from hygie.exits.reading import Tally
from hygie.exits.sealed import SUFFIX
from hygie.exits.traces import ARCHIVE, TABLE
from hygie.journal.checkpoint import VerifierKey
from hygie.verify.check import Verifier
from hygie.verify.source import Source

IDENTITY_BYTES_MAX = 64 * 1024
_SUM = re.compile(r"^([0-9a-f]{64})  ([a-z0-9][A-Za-z0-9._/-]{0,199})$")


@dataclass(frozen=True, slots=True)
class Verification:
    """What to verify. key: the host's published public key (PEM or raw), None: the folder's own, which proves nothing
    about who signed; log_key, witness_key: as published; into: a new folder for the decrypted files."""

    folder: Path
    identities: Sequence[Any]
    key: bytes | None = None
    log_key: VerifierKey | None = None
    witness_key: VerifierKey | None = None
    into: Path | None = None
    progress: Callable[[int], None] = lambda _: None


@dataclass(slots=True)
class Verified:
    """What was proven. resources: by environment and type, current versions; unresolved: references to what is not in
    the export (nobody forces a resource to refer to what exists); code: to be given with the consent."""

    manifest: ExitManifest
    code: str
    key_trusted: bool
    log_key_trusted: bool
    files: int = 0
    bytes: int = 0
    versions: int = 0
    references: int = 0
    unresolved: int = 0
    traces: int = 0
    cosigned: bool = False
    resources: dict[str, dict[str, int]] = field(default_factory=dict)


def read_identities(path: Path) -> list[Any]:
    """The private keys of a file: lines ``AGE-SECRET-KEY-1…`` (``age-keygen``), or an ssh-ed25519 private key.

    Raises: IdentityRefusedError.
    """
    try:
        data = path.read_bytes()[: IDENTITY_BYTES_MAX + 1]
        if len(data) > IDENTITY_BYTES_MAX:
            raise IdentityRefusedError(file=path.name, reason="too long")
        if b"OPENSSH PRIVATE KEY" in data:
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode().splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except OSError as error:
        raise IdentityRefusedError(file=path.name, reason=error.strerror or type(error).__name__) from error
    except (UnicodeDecodeError, pyrage.IdentityError) as error:
        raise IdentityRefusedError(file=path.name, reason="malformed") from error
    if not found:
        raise IdentityRefusedError(file=path.name, reason="empty")
    return found


def read_public_key(data: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM. Raises: ExportDamagedError: it is not one."""
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise ExportDamagedError(name=PUBLIC_KEY, reason="it is not a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ExportDamagedError(name=PUBLIC_KEY, reason="it is not an Ed25519 key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def verify_folder(ask: Verification) -> Verified:
    """Check everything. Blocks for as long as the export is large.

    Raises: ExportDamagedError: names the file; ExportFolderError: not an export, or ``into`` is not new;
    JournalTamperedError and its like: the traces.
    """
    return _Checking(ask).run()


class _Checking:
    def __init__(self, ask: Verification) -> None:
        self._ask = ask
        self._folder = ask.folder
        self._tally = Tally()

    def run(self) -> Verified:
        ask = self._ask
        manifest, trusted = self._manifest()
        if ask.into is not None:
            _make_new(ask.into)
        sums = self._sums(manifest)
        inner = self._inner(sums)
        found = Verified(manifest, "", trusted, ask.log_key is not None)
        archive: IO[bytes] | Path | None = None
        for name in sorted(inner):
            self._tally.begin(name)
            sink = self._open_sink(name)
            digest, size = self._decrypt(name, sums[name + SUFFIX], sink)
            if digest != inner[name]:
                raise ExportDamagedError(name=name, reason="decrypted, it is not what was written")
            self._tally.end(name, digest, size)
            if name == ARCHIVE:
                archive = ask.into / name if ask.into is not None else sink
            found.files += 1
            found.bytes += size
            ask.progress(size)
        self._compare(manifest, found)
        found.code = self._code(manifest)
        self._traces(manifest, archive, found)
        return found

    def _manifest(self) -> tuple[ExitManifest, bool]:
        data = _read(self._folder, MANIFEST, MANIFEST_BYTES_MAX)
        signature = _read(self._folder, SIGNATURE, 1024)
        given = self._ask.key
        key = read_public_key(given if given is not None else _read(self._folder, PUBLIC_KEY, 4096))
        return verify_manifest(data, signature, key), given is not None

    def _sums(self, manifest: ExitManifest) -> dict[str, str]:
        """Encrypted files by name. Each is there, and no other is."""
        data = _read(self._folder, SUMS, 1 << 30)
        if hashlib.sha256(data).hexdigest() != manifest.sums_sha256:
            raise ExportDamagedError(name=SUMS, reason="it is not the list that was signed")
        listed = _parse_sums(SUMS, data)
        if len(listed) != manifest.files or CONTENTS + SUFFIX not in listed:
            raise ExportDamagedError(name=SUMS, reason="it is not the list of the manifest")
        there = {path.relative_to(self._folder).as_posix() for path in self._folder.rglob(f"*{SUFFIX}")}
        for name in sorted(there ^ set(listed)):
            raise ExportDamagedError(name=name, reason="it is missing" if name in listed else "nobody signed it")
        return listed

    def _inner(self, sums: dict[str, str]) -> dict[str, str]:
        """Decrypted files by name, as the list inside says."""
        held = io.BytesIO()
        self._decrypt(CONTENTS, sums[CONTENTS + SUFFIX], held)
        inner = _parse_sums(CONTENTS, held.getvalue())
        if {name + SUFFIX for name in inner} | {CONTENTS + SUFFIX} != set(sums):
            raise ExportDamagedError(name=CONTENTS, reason="it does not list the files that are there")
        return inner

    def _open_sink(self, name: str) -> IO[bytes] | None:
        """Where a decrypted file goes beside being read: the folder asked for, or memory for the traces."""
        if self._ask.into is not None:
            path = self._ask.into / name
            path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb")
        return io.BytesIO() if name == ARCHIVE else None

    def _decrypt(self, name: str, expected: str, sink: IO[bytes] | None) -> tuple[str, int]:
        """Decrypt one file, its encrypted form compared on the way. Returns digest and size of the decrypted one."""
        writer = _Plain(None if name == CONTENTS else self._tally, sink)
        path = self._folder / f"{name}{SUFFIX}"
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise ExportDamagedError(name=name + SUFFIX, reason="it was altered")
                file.seek(0)
                pyrage.decrypt_io(file, writer, list(self._ask.identities))
        except OSError as error:
            raise ExportDamagedError(name=name + SUFFIX, reason="it cannot be read") from error
        except pyrage.DecryptError as error:
            if writer.failure is not None:
                raise writer.failure from error
            reason = "your key does not open it" if "No matching keys" in str(error) else "it does not decrypt"
            raise ExportDamagedError(name=name + SUFFIX, reason=reason) from error
        finally:
            if sink is not None and not isinstance(sink, io.BytesIO):
                sink.close()
        return writer.digest.hexdigest(), writer.size

    def _compare(self, manifest: ExitManifest, found: Verified) -> None:
        """Counts of what was read against those that were signed."""
        tally = self._tally
        for part in manifest.environments:
            for type_, count in part.resources.items():
                read = tally.count(part.name, type_)
                if (read.current, read.history, read.deleted) != (count.current, count.history, count.deleted):
                    raise ExportDamagedError(name=f"{part.name}/{type_}", reason="its counts are not those signed")
            if set(tally.types(part.name)) != set(part.resources):
                raise ExportDamagedError(name=part.name, reason="its types are not those signed")
            if tally.contents(part.name) != part.contents:
                raise ExportDamagedError(name=f"{part.name}/contents", reason="its counts are not those signed")
            if tally.references(part.name) != part.references:
                raise ExportDamagedError(name=part.name, reason="its references are not those signed")
            found.resources[part.name] = {name: one.current for name, one in sorted(part.resources.items())}
            found.versions += part.returned
            found.references += part.references
        found.unresolved = tally.unresolved()
        if set(tally.environments()) - {part.name for part in manifest.environments}:
            raise ExportDamagedError(name=SUMS, reason="it holds an environment that nobody signed")

    def _code(self, manifest: ExitManifest) -> str:
        code = self._tally.small(RECEIPT).decode("ascii", "replace").strip()
        if code_digest(code).hex() != manifest.code_sha256:
            raise ExportDamagedError(name=RECEIPT, reason="it is not the code that was signed")
        return code

    def _traces(self, manifest: ExitManifest, archive: IO[bytes] | Path | None, found: Verified) -> None:
        """The journal's archive, entry by entry, and the table's number of rows."""
        if archive is None:
            raise ExportDamagedError(name=ARCHIVE, reason="it is missing")
        shown: list[dict[str, Any]] = []
        source = Source(archive)

        def show(_: int, entry: dict[str, Any]) -> None:
            if entry["tenant"] != manifest.tenant_id:
                raise ExportDamagedError(name=ARCHIVE, reason="it discloses an entry of somebody else")
            shown.append({})

        report = Verifier(source, log_key=self._ask.log_key, witness_key=self._ask.witness_key, show=show).run()
        journal = manifest.journal
        if (report.size, report.entries, report.disclosed) != (journal.size, journal.entries, journal.disclosed):
            raise ExportDamagedError(name=ARCHIVE, reason="its counts are not those signed")
        if self._tally.rows(TABLE) != journal.disclosed:
            raise ExportDamagedError(name=TABLE, reason="its rows are not those signed")
        found.traces = report.entries
        found.cosigned = report.cosigned_s is not None and report.witness_key_trusted


class _Plain:
    """Takes what age decrypts: hashed, read by the tally, written if asked. failure: the error that age would hide."""

    def __init__(self, tally: Tally | None, sink: IO[bytes] | None) -> None:
        self._tally = tally
        self._sink = sink
        self.digest = hashlib.sha256()
        self.size = 0
        self.failure: Exception | None = None

    def write(self, data: bytes) -> int:
        """Some decrypted bytes."""
        try:
            self.digest.update(data)
            self.size += len(data)
            if self._tally is not None:
                self._tally.take(data)
            if self._sink is not None:
                self._sink.write(data)
        except (ExportDamagedError, OSError) as error:
            self.failure = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def _parse_sums(name: str, data: bytes) -> dict[str, str]:
    """Lines of ``sha256sum``. Names come from the format; one that leads elsewhere is refused."""
    found: dict[str, str] = {}
    for line in _lines(data):
        match = _SUM.match(line)
        if match is None or ".." in match[2] or "//" in match[2] or match[2] in found:
            raise ExportDamagedError(name=name, reason="a line is not in the format")
        found[match[2]] = match[1]
    return found


def _lines(data: bytes) -> Iterator[str]:
    text = data.decode("utf-8", "replace")
    if text and not text.endswith("\n"):
        yield text.rsplit("\n", 1)[-1] + "\n"  # cut: no line of the format
    yield from text.splitlines()


def _read(folder: Path, name: str, bytes_max: int) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > bytes_max:
            raise ExportDamagedError(name=name, reason="it is too large")
        return path.read_bytes()
    except OSError as error:
        if name == MANIFEST:
            raise ExportFolderError(folder=str(folder), reason="no manifest.json") from error
        raise ExportDamagedError(name=name, reason="it is missing") from error


def _make_new(into: Path) -> None:
    into.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise ExportFolderError(folder=str(into), reason="not empty")


def receipt(found: Verified) -> bytes:
    """What the client may sign and send: the facts of its verification, as JSON."""
    facts = {
        "export": found.manifest.export_id,
        "manifest_sha256": hashlib.sha256(found.manifest.encode()).hexdigest(),
        "verification_code": found.code,
        "files": found.files,
        "versions": found.versions,
        "traces": found.traces,
        "complete": found.manifest.complete,
    }
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"
