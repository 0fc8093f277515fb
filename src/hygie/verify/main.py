"""``hygie-verify EXPORT``: the command line of the offline verifier, in French or English by locale.

Exit codes: 0 whole; 10 the export cannot be read; 50 tampered, forged or damaged (the first bad index is named); 60 a
public key cannot be read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hygie.base.errors import HygieError, Language
from hygie.journal.checkpoint import VerifierKey
from hygie.journal.errors import JournalTamperedError, VerifierKeyError
from hygie.verify.check import Report, verify_export
from hygie.verify.source import Source

_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "description": "Check a journal export offline: signature, cosignature, every entry.",
        "export": "folder or ZIP file of the export",
        "key": "file (or text) of the journal's public key, as its operator published it",
        "witness": "file (or text) of the witness's public key: its cosignature is then required",
        "json": "answer in JSON",
        "show": "print the disclosed entries",
        "strict": "refuse entries dated long before those that precede them",
        "whole": "WHOLE: {entries} entries checked, indexes {start} to {last} of {size}, signed by {origin}.",
        "cosigned": "Cosigned by the witness on {when}.",
        "alone": "No cosignature: nobody but the operator vouches that this is the only history.",
        "own_key": "The journal's key comes from the export itself: this proves nothing about who signed. Use --key.",
        "own_witness": "The witness's key comes from the export itself: use --witness.",
        "selected": "A selection: each entry is in the signed journal; that no other was left out is not proven.",
        "backdated": "{count} entries are dated long before those that precede them; the first is {index}.",
        "disclosed": "{count} entries disclosed, each opened by its own key.",
        "bad": "REFUSED: {sentence}",
    },
    "fr": {
        "description": "Vérifie un export du journal hors ligne : signature, cosignature, chaque entrée.",
        "export": "dossier ou fichier ZIP de l'export",
        "key": "fichier (ou texte) de la clé publique du journal, telle que publiée par son exploitant",
        "witness": "fichier (ou texte) de la clé publique du témoin : sa cosignature est alors exigée",
        "json": "répond en JSON",
        "show": "affiche les entrées divulguées",
        "strict": "refuse les entrées datées bien avant celles qui les précèdent",
        "whole": "INTÈGRE : {entries} entrées vérifiées, rangs {start} à {last} sur {size}, signées par {origin}.",
        "cosigned": "Cosigné par le témoin le {when}.",
        "alone": "Aucune cosignature : seul l'exploitant répond de l'unicité de cet historique.",
        "own_key": "La clé du journal vient de l'export lui-même : cela ne prouve pas qui a signé. Utilisez --key.",
        "own_witness": "La clé du témoin vient de l'export lui-même : utilisez --witness.",
        "selected": "Une sélection : chaque entrée est au journal signé ; rien ne prouve qu'aucune autre n'est omise.",
        "backdated": "{count} entrées sont datées bien avant celles qui les précèdent ; la première est {index}.",
        "disclosed": "{count} entrées divulguées, chacune ouverte par sa propre clé.",
        "bad": "REFUSÉ : {sentence}",
    },
}


def language_of(environment: dict[str, str]) -> Language:
    """French when the locale says so, else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "fr" if environment[name].lower().startswith("fr") else "en"
    return "en"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits with the code of the module's docstring."""
    language = language_of(dict(os.environ))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an entry may hold what this terminal cannot write
    options = _parser(_TEXTS[language]).parse_args(arguments)
    sys.exit(run(options, language))


def run(options: argparse.Namespace, language: Language) -> int:
    """Check, print, and give the exit code."""
    texts = _TEXTS[language]
    shown: list[dict[str, Any]] = []
    started = time.perf_counter()
    try:
        report = verify_export(
            Source(options.export),
            log_key=read_key(options.key),
            witness_key=read_key(options.witness),
            show=(lambda index, entry: shown.append({"index": index, **entry})) if options.show else None,
        )
        if options.strict and report.backdated:
            raise JournalTamperedError(index=report.backdated[0][0], reason="back-dated")
    except HygieError as error:
        if options.json:
            facts = {"whole": False, "code": error.code, **error.facts, "sentence": error.sentence(language)}
            print(json.dumps(facts, ensure_ascii=False))
        else:
            print(texts["bad"].format(sentence=error.sentence(language)), file=sys.stderr)
        return error.exit_code
    if options.json:
        facts = {"whole": True, **asdict(report), "seconds": round(time.perf_counter() - started, 3)}
        print(json.dumps({**facts, "shown": shown} if options.show else facts, ensure_ascii=False))
        return 0
    for entry in shown:
        print(json.dumps(entry, ensure_ascii=False))
    for line in _lines(report, texts):
        print(line)
    return 0


def _lines(report: Report, texts: dict[str, str]) -> list[str]:
    facts = {**asdict(report), "last": report.end - 1}
    lines = [texts["whole"].format(**facts)]
    if not report.log_key_trusted:
        lines.append(texts["own_key"])
    if report.cosigned_s is None:
        lines.append(texts["alone"])
    else:
        lines.append(texts["cosigned"].format(when=datetime.fromtimestamp(report.cosigned_s, UTC).isoformat()))
        if not report.witness_key_trusted:
            lines.append(texts["own_witness"])
    if report.selected:
        lines.append(texts["selected"])
    if report.backdated:
        lines.append(texts["backdated"].format(count=len(report.backdated), index=report.backdated[0][0]))
    if report.disclosed:
        lines.append(texts["disclosed"].format(count=report.disclosed))
    return lines


def _parser(texts: dict[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hygie-verify", description=texts["description"])
    parser.add_argument("export", type=Path, metavar="EXPORT", help=texts["export"])
    parser.add_argument("--key", metavar="log.pub", help=texts["key"])
    parser.add_argument("--witness", metavar="witness.pub", help=texts["witness"])
    for name in ("json", "show", "strict"):
        parser.add_argument(f"--{name}", action="store_true", help=texts[name])
    return parser


def read_key(given: str | None) -> VerifierKey | None:
    """A key from a file, or written in full on the command line.

    Raises: VerifierKeyError.
    """
    if given is None:
        return None
    try:
        text = Path(given).read_text(encoding="utf-8") if Path(given).is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise VerifierKeyError(setting="key", reason="the file cannot be read") from error
    return VerifierKey.parse(text)


if __name__ == "__main__":
    main()
