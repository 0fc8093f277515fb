"""Check a dossier: its journal, its logs, its posture, its files, its signature; name the first bad thing.

Source: docs/formats/dossier.md v1, "What the verifier does".
"""

from __future__ import annotations

import base64
import heapq
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hygie.base.canonical import canonical
from hygie.journal.checkpoint import NOTE_BYTES_MAX, TIME_S_MAX, VerifierKey
from hygie.verify.check import ACCESS, BACKDATED_MS, EVIDENCE, PAPER_BYTES_MAX, Report, Verifier
from hygie.verify.errors import DossierTamperedError, require
from hygie.verify.logs import Fields, Logs, Named, check_batches, check_named, check_writes, read_json
from hygie.verify.posture import check_posture
from hygie.verify.source import Source
from hygie.verify.timestamp import check_timestamp

DOSSIER_FORMAT = "hygie dossier 1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MANIFEST_BYTES_MAX = 256 * 1024 * 1024  # a line a file: two millions of the journal's
FILE_BYTES_MAX = 512 * 1024 * 1024
MANIFEST_FIELDS: Fields = dict.fromkeys(("batches", "writes", "journal", "documents", "sample", "files"), dict)
MANIFEST_OTHERS: Fields = {"at_ms": int, "timestamp": bool, "scope": list, "lost": list, "what": str, "origin": str}
NOBODY = bytes(16)
LOG_OF_ACTION = {"check:run": "batches", "register:write": "writes"}
LOST_MAX = 1 << 20  # numbers of one loss: a verifier walks them
PART = {"batches": "batch", "writes": "write"}
DECLARED = {"batches": "lacking_batches", "writes": "lacking_records"}


@dataclass(slots=True)
class DossierReport:
    """What was proven.

    what: ``dossier`` or ``demonstration``; held: how much of what; counts: requirements by verdict, by référentiel;
    lost: what the journal names and the logs lost; sample: ``tenant`` whose traces were drawn, ``seed`` when somebody
    chose it; stamped_s: when an authority stamped the journal.
    """

    what: str
    origin: str
    at_ms: int
    held: dict[str, int]
    counts: dict[str, dict[str, int]]
    lost: list[dict[str, Any]]
    journal: Report
    sample: dict[str, str]
    dossier_key_trusted: bool = False
    stamped_s: int | None = None
    authority_trusted: bool = False


@dataclass(slots=True)
class Keys:
    """Keys as their owners published them; None: the dossier's own. tsa: roots of a timestamp authority, PEM."""

    log: VerifierKey | None = None
    witness: VerifierKey | None = None
    dossier: VerifierKey | None = None
    tsa: bytes | None = None


@dataclass(slots=True)
class Heard:
    """What the journal said. named: entries of each log up to the date; declared: what is said of losses, by index;
    evidence: all there is; opened: what was disclosed; drawn: the smallest digests sampled, negated, largest first."""

    at_ms: int
    seed: bytes
    tenant: bytes
    wanted: int
    show: Callable[[int, dict[str, Any]], None] | None
    named: dict[str, list[Named]] = field(default_factory=lambda: {"batches": [], "writes": []})
    declared: dict[int, dict[str, Any]] = field(default_factory=dict)
    evidence: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    drawn: list[tuple[int, int]] = field(default_factory=list)

    def look(self, index: int, leaf: bytes) -> None:
        """A leaf, by its clear head."""
        kind, tenant = leaf[4:5], leaf[8:24]
        if kind == EVIDENCE and tenant == NOBODY:
            self.evidence.add(index)
        elif tenant == self.tenant and (tenant == NOBODY or kind == ACCESS):
            score = -int.from_bytes(sha256(self.seed + index.to_bytes(8, "big")).digest(), "big")
            heapq.heappush(self.drawn, (score, index))
            if len(self.drawn) > self.wanted:
                heapq.heappop(self.drawn)

    def hear(self, index: int, entry: dict[str, Any]) -> None:
        """A disclosed entry. Raises: DossierTamperedError: it names a log, and not as entries do."""
        self.opened.add(index)
        if self.show is not None:
            self.show(index, entry)
        if entry.get("action") in ("vault:rebuild", "backup:restore"):
            self.declared[index] = entry["detail"]
        log = LOG_OF_ACTION.get(str(entry.get("action")))
        if log is None or (entry["kind"], entry["tenant"]) != ("evidence", NOBODY.hex()) or entry["at_ms"] > self.at_ms:
            return
        try:
            detail, first, last = entry["detail"], *(("batch", "batch") if log == "batches" else ("first", "last"))
            numbers = int(detail[first]), int(detail[last])
            self.named[log].append(Named(index, entry["at_ms"], *numbers, detail["digest"], entry["count"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DossierTamperedError.at("entry", index, "format") from error


def holes_of(lost: list[dict[str, Any]], heard: Heard) -> dict[tuple[str, int], dict[str, Any]]:
    """What the manifest says was lost out of a log that goes on after it, each declared by an entry of the journal."""
    holes = {(one["log"], one["first"]): one for one in lost if "digest" in one}
    for (log, first), hole in holes.items():
        spans = re.findall(r"(\d+)-(\d+)", heard.declared.get(hole["entry"], {}).get(DECLARED[log], ""))
        declared = any(int(start) <= first <= hole["last"] <= int(end) for start, end in spans)
        require(declared and hole["last"] - first < LOST_MAX, PART[log], first, "lost")
    return holes


@dataclass(slots=True)
class DossierVerifier:
    """Checks one dossier. show: called with each disclosed entry."""

    source: Source
    keys: Keys
    show: Callable[[int, dict[str, Any]], None] | None = None

    def run(self) -> DossierReport:
        """Check everything.

        Raises: DossierTamperedError, JournalTamperedError, CheckpointInvalidError, TileInvalidError: names the first
        bad thing; ExportInvalidError: cannot be read.
        """
        try:
            return self._run()
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError, MemoryError) as error:
            raise DossierTamperedError.at("manifest", MANIFEST, "format") from error

    def _run(self) -> DossierReport:
        raw = self.source.read(MANIFEST, bytes_max=MANIFEST_BYTES_MAX)
        manifest = read_json(raw, "manifest", MANIFEST, MANIFEST_FIELDS | MANIFEST_OTHERS)
        known = manifest.get("format") == DOSSIER_FORMAT and manifest["at_ms"] <= TIME_S_MAX * 1000
        require(known and manifest["what"] in ("dossier", "demonstration"), "manifest", MANIFEST, "format")
        files, at_ms = manifest["files"], manifest["at_ms"]
        self._check_names(files)
        heard, journal = self._check_journal(manifest)
        logs = Logs(holes_of(manifest["lost"], heard))
        check_batches(self.source, logs, at_ms=at_ms, real=manifest["what"] == "dossier")
        check_writes(self.source, logs, manifest)
        lost = self._check_named(manifest, logs, heard, journal)
        posture = read_json(self.source.read("posture.json", bytes_max=FILE_BYTES_MAX), "file", "posture.json")
        counts = check_posture(posture, logs, at_ms=at_ms, scope=manifest["scope"])
        drawn, sample = sorted(one for _, one in heard.drawn), manifest["sample"]["indexes"]
        require(drawn == sample or journal.selected, "manifest", "sample", "sample")
        for name, said in files.items():
            data = self.source.read(name, bytes_max=FILE_BYTES_MAX)
            require([len(data), sha256(data).hexdigest()] == [said["bytes"], said["sha256"]], "file", name, "digest")
        held = {"runs": sum(one.runs for one in logs.batches.values()), "batches": len(logs.batches)}
        held |= {
            "writes": len(logs.writes),
            "documents": logs.documents,
            "absent": len(manifest["documents"]["absent"]),
        }
        held |= {"files": len(files), "sampled": len(sample), "closed": len(manifest["sample"]["closed"])}
        own = sha256(canonical("hygie dossier sample v1", bytes.fromhex(journal.root), at_ms)).digest()
        draw = {"tenant": heard.tenant.hex(), "seed": heard.seed.hex() * (heard.seed != own)}
        report = DossierReport(manifest["what"], manifest["origin"], at_ms, held, counts, lost, journal, draw)
        if manifest["timestamp"] or self.keys.tsa is not None:
            self._check_timestamp(report)
        self._check_signature(raw, report)
        return report

    def _check_names(self, files: dict[str, Any]) -> None:
        """Every file is there once, and no other."""
        seen: set[str] = set()
        for name in self.source.everything():
            require(name not in seen, "file", name, "twice")
            require(name in files or name in (MANIFEST, SIGNATURE), "file", name, "extra")
            seen.add(name)
        for name in sorted(files.keys() - seen):  # of the logs: their chain says better what is missing
            require(name.startswith(("evidence/batches", "registers/")) and ".." not in name, "file", name, "absent")

    def _check_journal(self, manifest: dict[str, Any]) -> tuple[Heard, Report]:
        sample, said = manifest["sample"], manifest["journal"]
        tenant = bytes.fromhex(sample["tenant"]) or NOBODY
        heard = Heard(manifest["at_ms"], bytes.fromhex(sample["seed"]), tenant, sample["wanted"], self.show)
        journal = self.source.under("journal/")
        report = Verifier(journal, self.keys.log, self.keys.witness, heard.hear, heard.look).run()
        like = [said["size"], said["root"], said["whole"]] == [report.size, report.root, not report.selected]
        covers = manifest["origin"] == report.origin and (report.start, report.end) == (0, report.size)
        require(like and covers, "manifest", "journal", "content")
        seen_ms = heard.at_ms if report.cosigned_s is None else report.cosigned_s * 1000
        require(seen_ms + BACKDATED_MS > heard.at_ms, "manifest", "at_ms", "unseen")
        wanted = (heard.evidence | (set(sample["indexes"]) - set(sample["closed"]))) - heard.opened
        require(not wanted, "entry", min(wanted, default=-1), "undisclosed")
        return heard, report

    def _check_named(self, manifest: dict[str, Any], logs: Logs, heard: Heard, journal: Report) -> list[dict[str, Any]]:
        """Both logs against the journal's entries, and what the manifest says of their ends and losses."""
        lost, backdated = list[dict[str, Any]](), {index for index, _ in journal.backdated}
        for log in ("batches", "writes"):
            lost += check_named(log, logs, heard.named[log])
            for one in heard.named[log]:
                require(one.entry not in backdated, "entry", one.entry, "backdated")
            require(manifest[log] == logs.ends[log], "manifest", log, "content")
        require(logs.batches, "batch", 1, "missing")
        lost.sort(key=lambda one: int(one["entry"]))
        for loss in lost:
            require(loss in manifest["lost"], PART[loss["log"]], loss["first"], "lost")
        require(lost == [one for one in manifest["lost"] if "digest" not in one], "manifest", "lost", "content")
        return list(manifest["lost"])

    def _check_timestamp(self, report: DossierReport) -> None:
        token = self.source.read_if_there("timestamp.tsr", bytes_max=PAPER_BYTES_MAX)
        require(token is not None, "timestamp", "timestamp.tsr", "absent")
        roots = self.keys.tsa or self.source.read("timestamp.pem", bytes_max=PAPER_BYTES_MAX)
        note = self.source.read("journal/checkpoint", bytes_max=NOTE_BYTES_MAX)
        report.stamped_s = check_timestamp(token or b"", note, roots)
        report.authority_trusted = self.keys.tsa is not None
        require(report.stamped_s * 1000 + 1000 > report.at_ms, "timestamp", "timestamp.tsr", "backdated")

    def _check_signature(self, raw: bytes, report: DossierReport) -> None:
        text = self.source.read("dossier.pub", bytes_max=PAPER_BYTES_MAX).decode("utf-8", "replace")
        key = self.keys.dossier or VerifierKey.parse(text)
        require(key.name == f"{report.origin}/dossier", "manifest", MANIFEST, "signature")
        try:
            signature = base64.b64decode(self.source.read(SIGNATURE, bytes_max=PAPER_BYTES_MAX).strip(), validate=True)
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, canonical("hygie dossier v1", raw))
        except (InvalidSignature, ValueError) as error:
            raise DossierTamperedError.at("manifest", MANIFEST, "signature") from error
        report.dossier_key_trusted = self.keys.dossier is not None
