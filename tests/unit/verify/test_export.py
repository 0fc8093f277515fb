"""Exports: whole ones pass, and each alteration is refused with the index it is at."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hygie.base.errors import HygieError
from hygie.base.seal import seal
from hygie.database.cluster import Dsns
from hygie.journal.checkpoint import (
    COSIGNATURE_V1,
    VerifierKey,
    cosignature_line,
    cosigned_message,
    signature_line,
    signed_note,
)
from hygie.journal.errors import CheckpointInvalidError, JournalTamperedError, TileInvalidError
from hygie.journal.leaf import disclosure_of, meaning_of, pack_head
from hygie.journal.merkle import joined_root, leaf_hash
from hygie.journal.reader import JournalReader
from hygie.journal.tiles import decode_bundle, encode_bundle
from hygie.verify.check import Report, Verifier
from hygie.verify.errors import ExportInvalidError
from hygie.verify.main import main
from hygie.verify.source import Source
from tests.unit.journal.stage import OTHER_TENANT, TENANT, LocalSigner, MemoryMonthKeys, world

LOG_KEY = LocalSigner().key
ENTRIES = 700
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(new_database: Callable[[], Dsns], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of one journal of 700 entries: ``whole``, ``whole.zip``, ``one`` (a tenant's), ``middle``."""
    folder = tmp_path_factory.mktemp("exports")

    async def prepare() -> None:
        async with world(new_database()) as stage:
            sealer = stage.sealer()
            for count, tenant in ((300, TENANT), (200, OTHER_TENANT), (200, TENANT)):
                await stage.append(count, tenant)
                stage.clock.at_ms += 61_000  # so that each checkpoint is kept
                await sealer.seal_once()
            await stage.sites.drain(5)
            assert stage.witness is not None
            reader = JournalReader(
                stage.sites,
                stage.keys,
                log_keys=[LOG_KEY],
                database=stage.database,
                witness_key=stage.witness.key,
            )
            exported = await reader.export(folder / "whole", disclose=lambda entry: entry.account == "account-7")
            assert (exported.start, exported.end, exported.entries, exported.disclosed) == (0, ENTRIES, ENTRIES, 3)
            await reader.export(folder / "whole.zip")
            await reader.export(folder / "one", tenant_id=OTHER_TENANT, disclose=True)
            middle = await reader.export(folder / "middle", 300, 310)
            assert (middle.start, middle.end) == (256, 512)
            with pytest.raises(FileExistsError):
                await reader.export(folder / "whole")

    asyncio.run(prepare())
    return folder


@pytest.fixture
def whole(made: Path, tmp_path: Path) -> Path:
    """A copy of the whole export, to break."""
    return Path(shutil.copytree(made / "whole", tmp_path / "copy"))


def verify(path: Path, **options: VerifierKey) -> Report:
    return Verifier(Source(path), log_key=LOG_KEY, **options).run()


def refused(path: Path) -> int:
    """The index that the verifier names."""
    with pytest.raises(JournalTamperedError) as caught:
        verify(path)
    index = caught.value.facts["index"]
    assert isinstance(index, int)
    return index


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(encode_bundle(change(decode_bundle(path.read_bytes()))))


def test_whole_exports_pass(made: Path) -> None:
    witness = VerifierKey.parse((made / "whole" / "witness.pub").read_text())
    report = verify(made / "whole", witness_key=witness)
    assert (report.entries, report.size, report.disclosed, report.earlier_checkpoints) == (ENTRIES, ENTRIES, 3, 3 - 1)
    assert report.cosigned_s is not None
    assert report.witness_key_trusted
    assert verify(made / "whole.zip").entries == ENTRIES
    assert verify(made / "middle").entries == 256


def test_an_export_is_its_owners_alone(made: Path) -> None:
    assert (made / "whole.zip").stat().st_mode & 0o777 == 0o600
    assert (made / "whole").stat().st_mode & 0o777 == 0o700


def test_a_tenants_export_holds_its_entries_only(made: Path) -> None:
    report = verify(made / "one")
    assert (report.entries, report.disclosed, report.selected) == (200, 200, True)
    assert not list((made / "one").glob("tile/entries"))
    assert b"".join(path.read_bytes() for path in (made / "one" / "selected").iterdir()).count(TENANT) == 0


@pytest.mark.parametrize("index", [0, 255, 256, 511, 512, 699])
def test_an_altered_entry_is_named(whole: Path, index: int) -> None:
    def change(leaves: list[bytes]) -> list[bytes]:
        at = index % 256
        leaves[at] = leaves[at][:-1] + bytes((leaves[at][-1] ^ 1,))
        return leaves

    path = whole / "tile" / "entries" / ("002.p" if index >= 512 else f"{index // 256:03d}")
    rewrite(path / "188" if index >= 512 else path, change)
    assert refused(whole) == index


def test_a_deleted_a_swapped_an_inserted_and_a_cut_entry_are_named(whole: Path) -> None:
    bundle = whole / "tile" / "entries" / "001"
    original = bundle.read_bytes()
    rewrite(bundle, lambda leaves: leaves[:44] + leaves[45:])
    assert refused(whole) == 300
    bundle.write_bytes(original)
    rewrite(bundle, lambda leaves: [*leaves[:44], leaves[45], leaves[44], *leaves[46:]])
    assert refused(whole) == 300
    bundle.write_bytes(original)
    rewrite(bundle, lambda leaves: [*leaves[:44], leaves[0], *leaves[44:-1]])
    assert refused(whole) == 300
    bundle.write_bytes(original[:-1])
    assert refused(whole) == 511
    bundle.unlink()
    assert refused(whole) == 256


def test_an_entry_altered_with_its_tile_is_placed_in_its_tile(whole: Path) -> None:
    bundle, tile = whole / "tile" / "entries" / "001", whole / "tile" / "0" / "001"
    rewrite(bundle, lambda leaves: [*leaves[:44], leaves[45], *leaves[45:]])
    tile.write_bytes(b"".join(map(leaf_hash, decode_bundle(bundle.read_bytes()))))
    assert refused(whole) == 256


def test_everything_rewritten_is_placed_between_signed_sizes(whole: Path) -> None:
    """The forger rewrites entry 400 and every hash above it: only the signed sizes 300 and 500 can place it."""
    bundle, tile = whole / "tile" / "entries" / "001", whole / "tile" / "0" / "001"
    rewrite(bundle, lambda leaves: [*leaves[:144], leaves[145], *leaves[145:]])
    tile.write_bytes(b"".join(map(leaf_hash, decode_bundle(bundle.read_bytes()))))
    above = whole / "tile" / "1" / "000.p" / "2"
    above.write_bytes(above.read_bytes()[:32] + joined_root(tile.read_bytes()))
    with pytest.raises(JournalTamperedError) as caught:
        verify(whole)
    assert caught.value.facts == {"index": 300, "reason": "between the signed sizes 300 and 500"}


def test_a_damaged_tile_over_sound_entries_is_told_apart(whole: Path) -> None:
    tile = whole / "tile" / "0" / "000"
    tile.write_bytes(bytes(8192))
    with pytest.raises(TileInvalidError):
        verify(whole)


def test_a_forged_or_stripped_checkpoint_is_refused(whole: Path, made: Path) -> None:
    note = (whole / "checkpoint").read_bytes()
    (whole / "checkpoint").write_bytes(note.replace(b"\n700\n", b"\n699\n"))
    with pytest.raises(CheckpointInvalidError):
        verify(whole)
    with pytest.raises(CheckpointInvalidError):
        Verifier(Source(made / "whole"), log_key=LocalSigner(8).key).run()
    lines = note.split(b"\n")
    (whole / "checkpoint").write_bytes(b"\n".join(lines[:-2]) + b"\n")
    assert verify(whole).cosigned_s is None
    with pytest.raises(CheckpointInvalidError):
        verify(whole, witness_key=VerifierKey.parse((whole / "witness.pub").read_text()))


def test_an_old_checkpoint_over_a_larger_export_is_refused(whole: Path) -> None:
    shutil.copy(whole / "checkpoints" / "500", whole / "checkpoint")
    with pytest.raises(CheckpointInvalidError):
        verify(whole)


def test_a_disclosure_of_another_entry_is_refused(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "disclosed.jsonl").read_text().splitlines()]
    lines[0]["key"], lines[1]["key"] = lines[1]["key"], lines[0]["key"]
    (whole / "disclosed.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert refused(whole) == lines[0]["index"]


def test_a_disclosure_opens_one_entry_only(made: Path) -> None:
    leaves = decode_bundle((made / "whole" / "tile" / "entries" / "000").read_bytes())
    key = asyncio.run(MemoryMonthKeys().month_key(TENANT, "access", "2026-11"))
    disclosures = {disclosure_of(leaf, month_key=key) for leaf in leaves}
    assert len(disclosures) == len(leaves)
    assert key not in disclosures


def test_hiding_entries_behind_a_selection_is_refused(whole: Path) -> None:
    (whole / "selected").mkdir()
    (whole / "selected" / "000000").write_bytes(b"")
    assert verify(whole).entries == ENTRIES
    about = json.loads((whole / "export.json").read_text())
    (whole / "export.json").write_text(json.dumps({**about, "selected": True}))
    with pytest.raises(JournalTamperedError):
        verify(whole)  # three disclosed entries are not in that selection


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("export.json", b"{}"),
        ("export.json", b"[" * 100_000),
        ("export.json", b"\xff"),
        ("checkpoint", b"x" * 100_000),
        ("disclosed.jsonl", b"{"),
        ("disclosed.jsonl", b'{"index": 1e999, "key": ""}'),
        ("disclosed.jsonl", b'{"index": "7", "key": ""}'),
        ("disclosed.jsonl", b'{"index": -1, "key": ""}'),
        ("tile/0/002.p/188", b""),
        ("log.pub", b"no key"),
    ],
)
def test_broken_files_are_refused_with_a_sentence(
    whole: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole / name).write_bytes(content)
    with pytest.raises(SystemExit) as caught:
        main([str(whole)])
    assert caught.value.code in (10, 50, 60)
    assert "HYG" not in capsys.readouterr().out


def test_a_zip_made_to_harm_is_refused_with_a_sentence(made: Path, tmp_path: Path) -> None:
    """Bytes altered anywhere, compressed by every method: a report or an error of Hygie, never a trace."""
    chance = random.Random(5)
    hostile = tmp_path / "hostile.zip"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(made / "whole.zip") as source, zipfile.ZipFile(hostile, "w", method) as target:
            for name in source.namelist():
                target.writestr(name, source.read(name))
        data = hostile.read_bytes()
        assert verify(hostile).entries == ENTRIES
        places = [*(chance.randrange(len(data)) for _ in range(60)), *range(len(data) - 600, len(data), 7)]
        for at in places:
            hostile.write_bytes(data[:at] + bytes((data[at] ^ chance.randrange(1, 256),)) + data[at + 1 :])
            with contextlib.suppress(HygieError):
                verify(hostile)


def forged(folder: Path, *, size: str = "1", at_s: int = 1_795_478_400, body: object = None) -> Path:
    """An export of one entry, all of it made and signed by a host who lies."""
    host, month_key, head = LocalSigner(9), b"m" * 32, pack_head("access", TENANT, 1_795_478_400_123)
    sealed = seal(json.dumps(body).encode(), key=month_key, meaning=meaning_of(head), compress=False)
    leaf = head + sealed
    root = base64.b64encode(leaf_hash(leaf)).decode()
    text = f"{host.name}\n{size}\n{root}\n".encode()
    witness = VerifierKey("w.test", COSIGNATURE_V1, host.public_key)
    files = {
        "checkpoint": signed_note(
            text,
            signature_line(host.name, host.key.key_id, host.sign(text)),
            cosignature_line(witness, at_s, host.sign(cosigned_message(text, at_s))),
        ),
        "export.json": json.dumps(
            {"format": "hygie journal export 1", "size": 1, "start": 0, "end": 1, "selected": False}
        ).encode(),
        "log.pub": host.key.encode().encode(),
        "witness.pub": witness.encode().encode(),
        "tile/0/000.p/1": leaf_hash(leaf),
        "tile/entries/000.p/1": encode_bundle([leaf]),
        "disclosed.jsonl": json.dumps({"index": 0, "key": disclosure_of(leaf, month_key=month_key).hex()}).encode(),
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


LIES: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({"body": {"action": "object:read"}}, 0),
    "a surrogate": ({"body": {"account": "\ud800"}}, 0),
    "a time without a calendar": ({"at_s": 2**64 - 1, "body": {}}, 0),  # no cosignature, and it says so
    "a size without end": ({"size": "9" * 5_000, "body": {}}, 50),
    "a body that is a list": ({"body": []}, 50),
    "a body that names its own client": ({"body": {"tenant": "ff" * 16}}, 50),
    "a body that names its own instant": ({"body": {"at_ms": 1}}, 50),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_host_who_lies_gets_a_sentence(tmp_path: Path, lie: str) -> None:
    how, code = LIES[lie]
    path = forged(tmp_path / "lies", **how)
    command = [sys.executable, "-m", "hygie.verify", str(path), "--show"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert ("Cosigned" in done.stdout) == (code == 0 and "at_s" not in how)


def test_an_absent_file_or_export_is_refused(whole: Path, tmp_path: Path) -> None:
    (whole / "export.json").unlink()
    with pytest.raises(ExportInvalidError):
        verify(whole)
    with pytest.raises(ExportInvalidError):
        Source(tmp_path / "nowhere")


def test_a_zip_that_promises_too_much_is_refused(made: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(made / "whole.zip") as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, bytes(50_000_000) if name == "tile/entries/000" else source.read(name))
    with pytest.raises(HygieError):
        verify(bomb)


def test_the_command_speaks_both_languages(
    made: Path, whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    with pytest.raises(SystemExit) as caught:
        main([str(made / "whole"), "--key", str(made / "whole" / "log.pub")])
    assert caught.value.code == 0
    assert "INTÈGRE : 700 entrées" in capsys.readouterr().out
    monkeypatch.setenv("LC_ALL", "C")
    with pytest.raises(SystemExit):
        main([str(made / "one"), "--json", "--show"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["shown"][0]["action"] == "object:read"
    assert answer["log_key_trusted"] is False
    rewrite(whole / "tile" / "entries" / "001", lambda leaves: leaves[:-1])
    with pytest.raises(SystemExit) as caught:
        main([str(whole), "--json"])
    assert caught.value.code == 50
    assert json.loads(capsys.readouterr().out)["index"] == 511


def test_the_one_file_runs_alone(made: Path, tmp_path: Path) -> None:
    """In a Python that has no Hygie, no zstandard and no msgspec on its path."""
    target = tmp_path / "hygie-verify.py"
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_verifier.py"), str(target)], check=True)
    guard = (
        "import runpy, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('zstandard', 'msgspec', 'psycopg', 'hygie'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.argv = ['hygie-verify', {str(made / 'one')!r}, '--json', '--show']\n"
        f"runpy.run_path({str(target)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", guard], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["disclosed"] == 200
