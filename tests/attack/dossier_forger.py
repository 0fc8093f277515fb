"""Forgeries of a dossier, drawn at random: edits, removals, reorders, truncations, insertions, back-datings.

Two forgers. The *outsider* rewrites any file and the manifest's digests, and cannot sign. The *owner* holds the
database and the dossier's key: he chains the logs again, derives the posture again, and signs; only the journal, which
others cosigned, is beyond him.
"""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hygie.base.canonical import canonical
from hygie.base.errors import HygieError
from hygie.journal.tiles import decode_bundle, encode_bundle
from hygie.proof.dossier.manifest import dossier_key, to_sign
from hygie.proof.posture import build_posture, encode_posture
from hygie.proof.runs import Run
from hygie.verify.errors import ExportInvalidError
from hygie.verify.source import Source

Files = dict[str, bytes]
KEY = Ed25519PrivateKey.from_private_bytes(b"d" * 32)
BATCHES, WRITES = "evidence/batches-000001.jsonl", "registers/writes-000001.jsonl"
START = bytes(32)
_encode = msgspec.json.Encoder(order="sorted").encode


class MemorySource(Source):
    """The files of a dossier in memory, as the verifier sees those of a ZIP file."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def under(self, prefix: str) -> Source:
        return MemorySource({name[len(prefix) :]: data for name, data in self.files.items() if name.startswith(prefix)})

    def everything(self) -> list[str]:
        return list(self.files)

    def read_if_there(self, name: str, *, bytes_max: int) -> bytes | None:
        data = self.files.get(name)
        if data is not None and len(data) > bytes_max:
            raise ExportInvalidError(reason=f"{name} is too large")
        return data

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(prefix) and "/" not in name[len(prefix) :])


@dataclass
class Story:
    """The logs of a dossier, to be rewritten: (head, bodies) of each batch, (head, body) of each write."""

    batches: list[tuple[dict[str, Any], list[bytes]]] = field(default_factory=list)
    writes: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, files: Files) -> Story:
        story, lines = cls(), files[BATCHES].splitlines()
        while lines:
            head = json.loads(lines.pop(0))
            story.batches.append((head, [lines.pop(0) for _ in range(head["count"])]))
        rows = files[WRITES].splitlines()
        story.writes = [(json.loads(head), body) for head, body in zip(rows[::2], rows[1::2], strict=True)]
        return story

    def renumber(self) -> None:
        """Numbers without a gap, as the forger hopes nobody looks further."""
        for number, (head, bodies) in enumerate(self.batches, 1):
            head |= {"batch": number, "count": len(bodies)}
        for number, (head, _) in enumerate(self.writes, 1):
            head["write"] = number

    def chain(self) -> None:
        """Digests that follow."""
        before = START
        for head, bodies in self.batches:
            runs = sha256(b"".join(len(one).to_bytes(4, "big") + one for one in bodies)).digest()
            fields = (head["batch"], head["at_ms"], head["cause"], head["mode"], bytes.fromhex(head["catalogue"]))
            before = sha256(canonical("hygie evidence batch v1", before, *fields, head["count"], runs)).digest()
            head["digest"] = before.hex()
        before = START
        for head, body in self.writes:
            fields = [head[name] for name in ("write", "register", "key", "version", "at_ms")]
            fields += [head[name] for name in ("author", "approver", "tenant", "state", "reason")]
            before = sha256(canonical("hygie register record v1", before, *fields, body)).digest()
            head["digest"] = before.hex()

    def since(self) -> None:
        """The beginnings of verdicts, as they follow from the runs."""
        last: dict[str, dict[str, Any]] = {}
        for _, bodies in self.batches:
            for rank, body in enumerate(bodies):
                run = json.loads(body)
                known = last.get(run["check"])
                same = known is not None and known["verdict"] == run["verdict"]
                run["since_ms"] = known["since_ms"] if known is not None and same else run["ran_ms"]
                last[run["check"]] = run
                bodies[rank] = _encode(run)

    def put(self, files: Files) -> None:
        """Write them back."""
        lines = [one for head, bodies in self.batches for one in (_encode(head), *bodies)]
        files[BATCHES] = b"".join(line + b"\n" for line in lines)
        files[WRITES] = b"".join(_encode(head) + b"\n" + body + b"\n" for head, body in self.writes)


Change = Callable[[Story, random.Random], None]


def _a_run(story: Story, draw: random.Random) -> tuple[dict[str, Any], list[bytes], int, dict[str, Any]]:
    head, bodies = draw.choice([one for one in story.batches if one[1]])
    rank = draw.randrange(len(bodies))
    return head, bodies, rank, json.loads(bodies[rank])


def flip_verdict(story: Story, draw: random.Random) -> None:
    _, bodies, rank, run = _a_run(story, draw)
    run["verdict"] = draw.choice([one for one in ("satisfied", "unsatisfied", "unknown") if one != run["verdict"]])
    bodies[rank] = _encode(run)


def edit_run(story: Story, draw: random.Random) -> None:
    _, bodies, rank, run = _a_run(story, draw)
    name = draw.choice(("at_ms", "ran_ms", "fresh_until_ms", "since_ms", "observed", "source", "records", "evidence"))
    step = draw.choice((-1, 1)) * draw.choice((1, 1_000, 60_000, 86_400_000))
    new: Any = ["faux", "false"] if name == "observed" else "external"
    run[name] = abs(run[name] + step) if isinstance(run[name], int) else new
    bodies[rank] = _encode(run)


def rename_check(story: Story, draw: random.Random) -> None:
    _, bodies, rank, run = _a_run(story, draw)
    run["check"] = draw.choice([one for one in ("a.one", "a.two", "b.one", "b.two", "c.new") if one != run["check"]])
    bodies[rank] = _encode(run)


def drop_run(story: Story, draw: random.Random) -> None:
    _, bodies, rank, _ = _a_run(story, draw)
    del bodies[rank]


def double_run(story: Story, draw: random.Random) -> None:
    _, bodies, rank, _ = _a_run(story, draw)
    bodies.insert(draw.randrange(len(bodies) + 1), bodies[rank])


def swap_runs(story: Story, draw: random.Random) -> None:
    _, bodies = draw.choice([one for one in story.batches if len(one[1]) > 1])
    one, other = draw.sample(range(len(bodies)), 2)
    bodies[one], bodies[other] = bodies[other], bodies[one]


def move_run(story: Story, draw: random.Random) -> None:
    one, other = draw.sample(story.batches, 2)
    if one[1]:
        other[1].append(one[1].pop(draw.randrange(len(one[1]))))


def edit_batch(story: Story, draw: random.Random) -> None:
    head, _ = draw.choice(story.batches)
    name = draw.choice(("cause", "mode", "digest", "catalogue", "batch"))
    new = {"cause": "drill", "mode": "trial", "digest": "ab" * 32, "catalogue": "cd" * 32, "batch": head["batch"] + 1}
    head[name] = new[name]


def back_date_batch(story: Story, draw: random.Random) -> None:
    head, _ = draw.choice(story.batches)
    head["at_ms"] -= draw.choice((1, 1_000, 60_000, 3_600_000))


def drop_batch(story: Story, draw: random.Random) -> None:
    del story.batches[draw.randrange(len(story.batches))]


def swap_batches(story: Story, draw: random.Random) -> None:
    one, other = draw.sample(range(len(story.batches)), 2)
    story.batches[one], story.batches[other] = story.batches[other], story.batches[one]


def insert_batch(story: Story, draw: random.Random) -> None:
    story.batches.insert(draw.randrange(len(story.batches) + 1), copy.deepcopy(draw.choice(story.batches)))


def cut_batches(story: Story, draw: random.Random) -> None:
    kept = draw.randrange(len(story.batches))
    story.batches = story.batches[:kept] if draw.random() < 0.7 else story.batches[len(story.batches) - kept :]


def edit_write(story: Story, draw: random.Random) -> None:
    rank = draw.randrange(len(story.writes))
    head, body = story.writes[rank]
    values = json.loads(body)
    name = draw.choice(sorted(values))
    if draw.random() < 0.3:
        del values[name]
    else:
        values[name] = "falsifié"
    story.writes[rank] = (head, _encode(values))


def edit_write_head(story: Story, draw: random.Random) -> None:
    head, _ = draw.choice(story.writes)
    name = draw.choice(sorted(set(head) - {"at_ms"}))
    head[name] = head[name] + 1 if isinstance(head[name], int) else "ab" * 32 if name == "digest" else "autre"


def back_date_write(story: Story, draw: random.Random) -> None:
    head, _ = draw.choice(story.writes)
    head["at_ms"] -= draw.choice((1, 1_000, 60_000, 86_400_000))


def drop_write(story: Story, draw: random.Random) -> None:
    del story.writes[draw.randrange(len(story.writes))]


def swap_writes(story: Story, draw: random.Random) -> None:
    one, other = draw.sample(range(len(story.writes)), 2)
    story.writes[one], story.writes[other] = story.writes[other], story.writes[one]


def insert_write(story: Story, draw: random.Random) -> None:
    story.writes.insert(draw.randrange(len(story.writes) + 1), copy.deepcopy(draw.choice(story.writes)))


def cut_writes(story: Story, draw: random.Random) -> None:
    story.writes = story.writes[: draw.randrange(len(story.writes))]


LOG_CHANGES: tuple[Change, ...] = (
    *(flip_verdict, edit_run, rename_check, drop_run, double_run, swap_runs, move_run),
    *(edit_batch, back_date_batch, drop_batch, swap_batches, insert_batch, cut_batches),
    *(edit_write, edit_write_head, back_date_write, drop_write, swap_writes, insert_write, cut_writes),
)


# --- the rest of the files


def spoil_leaf(files: Files, draw: random.Random) -> None:
    """One entry, or the order of entries, of one bundle."""
    name = draw.choice([one for one in files if one.startswith("journal/tile/entries/")])
    leaves = decode_bundle(files[name])
    one, other = (draw.sample(range(len(leaves)), 2) * 2)[:2] if len(leaves) > 1 else (0, 0)
    how = draw.randrange(4)
    if how == 0:
        at = draw.randrange(len(leaves[one]))
        leaves[one] = leaves[one][:at] + bytes((leaves[one][at] ^ 1 << draw.randrange(8),)) + leaves[one][at + 1 :]
    elif how == 1:
        del leaves[one]
    elif how == 2:
        leaves[one], leaves[other] = leaves[other], leaves[one]
    else:
        leaves.insert(one, leaves[other])
    files[name] = encode_bundle(leaves)


def spoil_tile(files: Files, draw: random.Random) -> None:
    name = draw.choice([one for one in files if one.startswith("journal/tile/") and "entries" not in one])
    at = draw.randrange(len(files[name]))
    files[name] = files[name][:at] + bytes((files[name][at] ^ 1,)) + files[name][at + 1 :]


def spoil_disclosures(files: Files, draw: random.Random) -> None:
    lines = [json.loads(line) for line in files["journal/disclosed.jsonl"].splitlines()]
    rank = draw.randrange(len(lines))
    how = draw.randrange(3)
    if how == 0:
        del lines[rank]  # of the evidence, or of the sample
    elif how == 1:
        lines[rank]["key"] = "00" * 32
    else:
        lines[rank]["index"] = (lines[rank]["index"] + 1) % len(lines)
    files["journal/disclosed.jsonl"] = b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def older_journal(files: Files, draw: random.Random) -> None:
    """The whole journal as an earlier signed head had it: what came later would be gone."""
    earlier = [one for one in files if one.startswith("journal/checkpoints/")]
    name = draw.choice(earlier)
    files["journal/checkpoint"] = files.pop(name)
    about = json.loads(files["journal/export.json"])
    about |= {"size": int(name.rpartition("/")[2]), "end": int(name.rpartition("/")[2])}
    files["journal/export.json"] = json.dumps(about).encode()


def spoil_posture(files: Files, draw: random.Random) -> None:
    posture = json.loads(files["posture.json"])
    part = draw.choice(("checks", "controls", "requirements", "summary", "head"))
    if part == "head":
        name = draw.choice(("at_ms", "batch", "digest", "mode"))
        posture[name] = posture[name] + 1 if isinstance(posture[name], int) else "autre"
    elif part == "summary":
        counts = draw.choice(list(posture["summary"].values()))
        counts[draw.choice(("satisfied", "unsatisfied", "unknown", "not_applicable"))] += 1
    else:
        rows = posture[part]
        rank = draw.randrange(len(rows))
        how = draw.randrange(3)
        if how == 0:
            rows[rank]["verdict"] = "satisfied" if rows[rank]["verdict"] != "satisfied" else "unsatisfied"
        elif how == 1:
            del rows[rank]
        else:
            rows.insert(rank, copy.deepcopy(rows[rank]))
    files["posture.json"] = _encode(posture)


def spoil_document(files: Files, draw: random.Random) -> None:
    name = draw.choice([one for one in files if one.startswith(("registers/documents/", "evidence/catalogues/"))])
    if draw.random() < 0.5:
        del files[name]
    else:
        files[name] = files[name][:-1] + b"!"


def spoil_manifest(files: Files, draw: random.Random) -> None:
    """What even its signer may not say."""
    manifest = json.loads(files["manifest.json"])
    how = draw.randrange(7)
    if how == 0:
        manifest["at_ms"] -= draw.choice((61_000, 600_000, 86_400_000))
    elif how == 1:
        manifest["lost"].append({"log": "batches", "first": 1, "last": 2, "entry": 3})
    elif how == 2:
        manifest["sample"]["indexes"] = manifest["sample"]["indexes"][1:]
    elif how == 3:
        manifest["sample"]["seed"] = bytes(draw.randrange(256) for _ in range(32)).hex()
    elif how == 4:
        manifest[draw.choice(("batches", "writes"))]["last"] += 1
    elif how == 5:
        manifest["journal"]["size"] += 1
    else:
        manifest["origin"] = "hygie/0000000000000000"
    files["manifest.json"] = _encode(manifest) + b"\n"


FILE_CHANGES: tuple[Callable[[Files, random.Random], None], ...] = (
    *(spoil_leaf, spoil_tile, spoil_disclosures, older_journal),
    *(spoil_posture, spoil_document, spoil_manifest),
)


def any_byte(files: Files, draw: random.Random) -> None:
    name = draw.choice(sorted(files))
    data = bytearray(files[name] or b"\0")
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    files[name] = bytes(data)


def any_file(files: Files, draw: random.Random) -> None:
    one, other = draw.sample(sorted(files), 2)
    how = draw.randrange(5)
    if how == 0:
        del files[one]
    elif how == 1:
        files[one] = files[one][: draw.randrange(max(len(files[one]), 1))] or b"?"
    elif how == 2:
        files[one], files[other] = files[other], files[one]
    elif how == 3:
        files[f"{one}.new"] = files.pop(one)
    else:
        files["papers/added.pdf"] = b"%PDF"


OUTSIDE_CHANGES = (any_byte, any_file)


# --- signing again


def sum_files(files: Files) -> None:
    """The manifest's digests, as they are now."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: {"bytes": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in files.items()
        if name not in ("manifest.json", "manifest.sig")
    }
    files["manifest.json"] = _encode(manifest) + b"\n"


def own(files: Files) -> None:
    """Sign with a key that the forger holds."""
    manifest = json.loads(files["manifest.json"])
    key = dossier_key(manifest["origin"], KEY.public_key().public_bytes_raw())
    files["dossier.pub"] = f"{key.encode()}\n".encode()
    sum_files(files)
    files["manifest.sig"] = base64.b64encode(KEY.sign(to_sign(files["manifest.json"]))) + b"\n"


def say_again(files: Files, story: Story) -> None:
    """The manifest and the posture that these logs would give."""
    manifest = json.loads(files["manifest.json"])
    for name, log in (("batches", story.batches), ("writes", story.writes)):
        manifest[name] = {"last": len(log), "digest": log[-1][0]["digest"] if log else START.hex()}
    files["manifest.json"] = _encode(manifest) + b"\n"
    if not story.batches:
        return
    head = story.batches[-1][0]
    runs: dict[str, Run] = {}
    for _, bodies in story.batches:
        for body in bodies:
            run = msgspec.json.decode(body, type=Run)
            runs[run.check] = run
    catalogue = files.get(f"evidence/catalogues/{head['catalogue']}.json")
    if catalogue is not None:
        posture = build_posture(
            json.loads(catalogue),
            runs,
            at_ms=manifest["at_ms"],
            batch=head["batch"],
            digest=bytes.fromhex(head["digest"]),
            mode=head["mode"],
        )
        files["posture.json"] = encode_posture(posture)


def forge(files: Files, draw: random.Random) -> tuple[str, Files]:
    """One forgery that changes something. Returns what was done, and the files."""
    while True:
        forged = dict(files)
        owner = draw.random() < 0.5
        names = [("owner" if owner else "outsider")]
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            if draw.random() < 0.6:
                names.append(_change_logs(forged, draw, owner=owner))
            else:
                change = draw.choice(FILE_CHANGES if owner else (*FILE_CHANGES, *OUTSIDE_CHANGES))
                names.append(change.__name__)
                try:
                    change(forged, draw)
                except (KeyError, IndexError, ValueError, TypeError, HygieError):
                    continue  # an earlier change of this forgery took away what this one wanted
        try:
            if owner:
                own(forged)
            elif draw.random() < 0.8:
                sum_files(forged)
        except (KeyError, ValueError):
            names.append("no manifest")
        if changed(files, forged):
            return "+".join(names), forged


def _change_logs(files: Files, draw: random.Random, *, owner: bool) -> str:
    change = draw.choice(LOG_CHANGES)
    try:
        story = Story.of(files)
        change(story, draw)
        if owner or draw.random() < 0.5:
            story.renumber()
            if draw.random() < 0.5:
                story.since()
            story.chain()
        story.put(files)
        if owner:
            say_again(files, story)
    except (KeyError, IndexError, ValueError, TypeError, HygieError, msgspec.DecodeError):
        return f"({change.__name__})"
    return change.__name__


def changed(files: Files, forged: Files) -> bool:
    """Whether more than the signature's own files differ."""
    signed = ("manifest.json", "manifest.sig", "dossier.pub")
    if {k: v for k, v in files.items() if k not in signed} != {k: v for k, v in forged.items() if k not in signed}:
        return True
    return not any(name in forged for name in signed) or _said(files) != _said(forged)


def _said(files: Files) -> Any:
    try:
        return {k: v for k, v in json.loads(files["manifest.json"]).items() if k != "files"}
    except (KeyError, ValueError):
        return None
