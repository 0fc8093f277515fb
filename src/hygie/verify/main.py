"""``hygie-verify FILE``: the command line of the offline verifier, in French or English by locale.

Exit codes: 0 whole; 10 it cannot be read; 50 tampered, forged or damaged (the first bad thing is named); 60 a public
key cannot be read.
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
from hygie.verify.check import Report, Verifier
from hygie.verify.dossier import MANIFEST, DossierReport, DossierVerifier, Keys
from hygie.verify.posture import VERDICTS
from hygie.verify.source import Source

_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "description": "Check a dossier or a journal export offline, down to each run, write and entry.",
        "file": "the dossier; or folder or ZIP file of a journal export",
        "key": "public key of the journal, as its operator published it (file or text)",
        "witness": "public key of the witness: its cosignature is then required (file or text)",
        "dossier_key": "public key of dossiers (file or text)",
        "tsa": "root certificate of the timestamp authority: a timestamp is then required (PEM file)",
        "json": "answer in JSON",
        "show": "print the disclosed entries",
        "strict": "refuse entries dated long before those that precede them",
        "whole": "WHOLE: {entries} entries checked, indexes {start} to {last} of {size}, signed by {origin}.",
        "cosigned": "Cosigned by the witness on {when}.",
        "alone": "No cosignature: nobody but the operator vouches that this is the only history.",
        "own": "{option} was not given: that key comes from the file itself and proves nothing about who signed.",
        "selected": "A selection: each entry is in the signed journal; that no other was left out is not proven.",
        "backdated": "{count} entries are dated long before those that precede them; the first is {index}.",
        "disclosed": "{disclosed} entries disclosed, each opened by its own key.",
        "bad": "REFUSED: {sentence}",
        "lost": "LOST: {log} {first} to {last}, see entry {entry}. The journal names what was there.",
        "dossier": "WHOLE: dossier of {when}, by {origin}: nothing altered, removed, added or back-dated.",
        "rest": "NOT COMPLETE: dossier of {when}, by {origin}: what is left was not altered, removed or back-dated.",
        "held": "{runs} runs in {batches} evaluations, {writes} writes, {documents} documents ({absent} lost).",
        "part": "IN PART: dossier of {when}, by {origin}: nothing altered or back-dated; removals cannot be excluded.",
        "sampled": "{sampled} traces of {tenant} drawn, {closed} not shown: the host says their key was destroyed.",
        "seed": "The seed of this draw was chosen: {seed}. It proves nothing to whoever did not choose it.",
        "demonstration": "DEMONSTRATION: it proves how Hygie works, and nothing of a production.",
        "counts": "{name}: satisfied {satisfied}, unsatisfied {unsatisfied}, unknown {unknown}, n/a {not_applicable}.",
        "stamped": "Stamped by a timestamp authority on {when}.",
        "not_stamped": "No timestamp: nobody outside says when this journal was so.",
        "no_certificate": "Hygie certifies nothing: an accredited body does.",
    },
    "fr": {
        "description": "Vérifie hors ligne un dossier ou un export du journal, jusqu'à chaque contrôle et entrée.",
        "file": "le dossier ; ou le répertoire ou le fichier ZIP d'un export du journal",
        "key": "clé publique du journal, telle que publiée par son exploitant (fichier ou texte)",
        "witness": "clé publique du témoin : sa cosignature est alors exigée (fichier ou texte)",
        "dossier_key": "clé publique des dossiers (fichier ou texte)",
        "tsa": "certificat racine de l'autorité d'horodatage : un horodatage est alors exigé (fichier PEM)",
        "json": "répond en JSON",
        "show": "affiche les entrées divulguées",
        "strict": "refuse les entrées datées bien avant celles qui les précèdent",
        "whole": "INTÈGRE : {entries} entrées vérifiées, rangs {start} à {last} sur {size}, signées par {origin}.",
        "cosigned": "Cosigné par le témoin le {when}.",
        "alone": "Aucune cosignature : seul l'exploitant répond de l'unicité de cet historique.",
        "own": "{option} n'est pas donné : cette clé vient du fichier lui-même et ne prouve pas qui a signé.",
        "selected": "Une sélection : chaque entrée est au journal signé ; rien ne prouve qu'aucune autre n'est omise.",
        "backdated": "{count} entrées sont datées bien avant celles qui les précèdent ; la première est {index}.",
        "disclosed": "{disclosed} entrées divulguées, chacune ouverte par sa propre clé.",
        "bad": "REFUSÉ : {sentence}",
        "lost": "PERDU : {log} {first} à {last}, voir l'entrée {entry}. Le journal nomme ce qu'il y avait.",
        "dossier": "INTÈGRE : dossier au {when}, de {origin} : rien d'altéré, de retiré, d'ajouté ni d'antidaté.",
        "rest": "INCOMPLET : dossier au {when}, de {origin} : ce qui reste n'est ni altéré, ni retiré, ni antidaté.",
        "held": "{runs} contrôles en {batches} évaluations, {writes} écritures, {documents} pièces ({absent} perdues).",
        "part": "EN PARTIE : dossier au {when}, de {origin} : rien d'altéré ni d'antidaté ; un retrait reste possible.",
        "sampled": "{sampled} traces de {tenant} tirées, {closed} non montrées : clé détruite, dit l'hébergeur.",
        "seed": "La graine de ce tirage a été choisie : {seed}. Il ne prouve rien à qui ne l'a pas choisie.",
        "demonstration": "DÉMONSTRATION : elle montre comment Hygie fonctionne et ne prouve rien d'une production.",
        "counts": "{name} : satisfait {satisfied}, non {unsatisfied}, inconnu {unknown}, sans objet {not_applicable}.",
        "stamped": "Horodaté par une autorité le {when}.",
        "not_stamped": "Aucun horodatage : personne d'extérieur ne dit de quand date ce journal.",
        "no_certificate": "Hygie ne certifie rien : seul un organisme accrédité le fait.",
    },
}


def language_of(environment: dict[str, str]) -> Language:
    """French when the locale says so, else English."""
    first = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "fr" if first.lower().startswith("fr") else "en"


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
    show = (lambda index, entry: shown.append({"index": index, **entry})) if options.show else None
    started = time.perf_counter()
    try:
        source = Source(options.export)
        report: Report | DossierReport
        if MANIFEST in source.everything():
            report = DossierVerifier(source, keys_of(options), show).run()
            journal = report.journal
        else:
            keys = keys_of(options)
            journal = report = Verifier(source, log_key=keys.log, witness_key=keys.witness, show=show).run()
        if options.strict and journal.backdated:
            raise JournalTamperedError(index=journal.backdated[0][0], reason="back-dated")
    except HygieError as error:
        if options.json:
            facts = {"whole": False, "code": error.code, **error.facts, "sentence": error.sentence(language)}
            print(json.dumps(facts, ensure_ascii=False))
        else:
            print(_plain(texts["bad"].format(sentence=error.sentence(language))), file=sys.stderr)
        return error.exit_code
    if options.json:
        facts = {"whole": True, **asdict(report), "seconds": round(time.perf_counter() - started, 3)}
        print(json.dumps({**facts, "shown": shown} if options.show else facts, ensure_ascii=False))
        return 0
    for line in [*(json.dumps(entry, ensure_ascii=False) for entry in shown), *_lines(report, texts)]:
        print(_plain(line))
    return 0


def _plain(text: str) -> str:  # what a file says neither moves a terminal's cursor nor begins a line of ours
    return "".join([one if one.isprintable() else json.dumps(one)[1:-1] for one in text])


def _lines(report: Report | DossierReport, texts: dict[str, str]) -> list[str]:
    if isinstance(report, DossierReport):
        facts = {**report.held, **report.sample, "origin": report.origin, "when": _told(report.at_ms // 1000)}
        lines = [texts["lost"].format(**one) for one in report.lost]
        said = ["rest" if report.lost else "part" if report.journal.selected else "dossier", "held", "sampled"]
        lines += [texts[one].format(**facts) for one in said + ["seed"] * bool(facts["seed"])]
        lines += [texts["demonstration"]] if report.what == "demonstration" else []
        for name, found in report.counts.items():
            lines.append(texts["counts"].format(name=name, **dict.fromkeys(VERDICTS, 0) | found))
        when = report.stamped_s
        lines.append(texts["not_stamped"] if when is None else texts["stamped"].format(when=_told(when)))
        lines += [texts["own"].format(option="--tsa")] if when is not None and not report.authority_trusted else []
        lines += [] if report.dossier_key_trusted else [texts["own"].format(option="--dossier-key")]
        return [*lines, *_lines(report.journal, texts), texts["no_certificate"]]
    lines = [texts["whole"].format(**asdict(report), last=report.end - 1)]
    lines += [] if report.log_key_trusted else [texts["own"].format(option="--key")]
    seen = report.cosigned_s
    lines.append(texts["alone"] if seen is None else texts["cosigned"].format(when=_told(seen)))
    lines += [] if seen is None or report.witness_key_trusted else [texts["own"].format(option="--witness")]
    lines += [texts["selected"]] if report.selected else []
    if report.backdated:
        lines.append(texts["backdated"].format(count=len(report.backdated), index=report.backdated[0][0]))
    return [*lines, texts["disclosed"].format(disclosed=report.disclosed)] if report.disclosed else lines


def _told(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()


def _parser(texts: dict[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hygie-verify", description=texts["description"])
    parser.add_argument("export", type=Path, metavar="FILE", help=texts["file"])
    for name, what in (("key", "log.pub"), ("witness", "witness.pub"), ("dossier-key", "dossier.pub"), ("tsa", "PEM")):
        parser.add_argument(f"--{name}", metavar=what, help=texts[name.replace("-", "_")])
    for name in ("json", "show", "strict"):
        parser.add_argument(f"--{name}", action="store_true", help=texts[name])
    return parser


def keys_of(options: argparse.Namespace) -> Keys:
    """The keys that were given: files, or keys written in full. Raises: VerifierKeyError."""
    given = (options.key, options.witness, options.dossier_key)
    log, witness, dossier = [one and VerifierKey.parse(_read(one).decode("utf-8", "replace")) for one in given]
    return Keys(log, witness, dossier, None if options.tsa is None else _read(options.tsa))


def _read(given: str) -> bytes:
    try:
        return Path(given).read_bytes() if Path(given).is_file() else given.encode()
    except OSError as error:
        raise VerifierKeyError(setting="key", reason="the file cannot be read") from error


if __name__ == "__main__":
    main()
