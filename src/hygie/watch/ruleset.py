"""Rules that come with Hygie and those of a folder, loaded together; one that does not hold leaves the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from hygie.watch.engine import Engine
from hygie.watch.errors import RuleInvalidError
from hygie.watch.events import Event
from hygie.watch.reading import FILE_BYTES_MAX
from hygie.watch.sigma import Correlation, EventRule, Rule, Sample, read_rules

FILES_MAX = 5_000
RULES_MAX = 10_000
LEVELS_MAX = 2  # rules on events, correlations of them; what correlates those is named by none
SUFFIXES = (".yml", ".yaml")


@dataclass(slots=True)
class RuleSet:
    """What was loaded, and what was refused and why."""

    rules: list[Rule] = field(default_factory=list)
    refused: list[RuleInvalidError] = field(default_factory=list)


def load_rules(folder: Path | None = None) -> RuleSet:
    """The shipped rules, then those of a folder (of the SOC's own), which may not take the id of another. Blocks."""
    found = RuleSet()
    for name, data in (*_shipped(), *(_of_folder(folder, found) if folder is not None else ())):
        try:
            _add(found, read_rules(data, name), name)
        except RuleInvalidError as refused:
            found.refused.append(refused)
    _drop_lost(found)
    return found


def check_samples(rules: Sequence[Rule]) -> list[RuleInvalidError]:
    """Each rule against its own samples. Returns: those that do not hold, with the rank of the sample."""
    wrong = []
    for rule in rules:
        for rank, sample in enumerate(rule.samples, 1):
            if speaks(rules, rule, sample) != sample.speaks:
                said = "it should speak" if sample.speaks else "it should be silent"
                where = f"{rule.card.title}, sample {rank}"
                wrong.append(RuleInvalidError(file=rule.card.file, where=where, reason=said))
    return wrong


def speaks(rules: Sequence[Rule], rule: Rule, sample: Sample) -> bool:
    """Whether a rule speaks of a sample, with the rules it correlates and nothing remembered."""
    needed = _with_named(rules, _with_named(rules, [rule]))
    engine = Engine(needed, {})
    begun_ms = 1_000_000_000_000
    if isinstance(rule, EventRule) and (rule.first or rule.absent_ms):
        engine.take([Event(rule.service, 0, begun_ms, {"learning": True})])
        engine.absent(begun_ms)
    last_ms = begun_ms
    hits = []
    for rank, (after_ms, fields) in enumerate(sample.events, 1):
        last_ms = begun_ms + after_ms
        service = str(fields.get("source", rule.service if isinstance(rule, EventRule) else _service_of(needed)))
        hits += engine.take([Event(service, rank, last_ms, fields)])
    hits += engine.absent(last_ms)
    return any(hit.card is rule.card for hit in hits)


def _with_named(rules: Sequence[Rule], of: Sequence[Rule]) -> list[Rule]:
    """These rules and those that they name."""
    named = {name for one in of if isinstance(one, Correlation) for name in one.rules}
    return [one for one in rules if one in of or named & {one.card.name, one.card.id}]


def _service_of(rules: Sequence[Rule]) -> str:
    return next((one.service for one in rules if isinstance(one, EventRule)), "")


def _shipped() -> Iterator[tuple[str, bytes]]:
    for one in sorted(files("hygie.watch").joinpath("rules").iterdir(), key=lambda one: one.name):
        if one.name.endswith(SUFFIXES):
            yield one.name, one.read_bytes()


def _of_folder(folder: Path, found: RuleSet) -> Iterator[tuple[str, bytes]]:
    for count, path in enumerate(sorted(one for one in folder.rglob("*") if one.suffix in SUFFIXES)):
        name = path.relative_to(folder).as_posix()
        if count >= FILES_MAX:
            found.refused.append(RuleInvalidError(file=name, where="folder", reason=f"more than {FILES_MAX} files"))
            return
        try:
            with path.open("rb") as file:
                yield name, file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            found.refused.append(RuleInvalidError(file=name, where="file", reason=type(error).__name__))


def _add(found: RuleSet, rules: list[Rule], file: str) -> None:
    """Raises: RuleInvalidError: nothing of this file was added."""
    ids = {one.card.id for one in found.rules}
    for rule in rules:
        if rule.card.id in ids:
            raise RuleInvalidError(file=file, where=rule.card.title[:100], reason="its id is another rule's")
        ids.add(rule.card.id)
    if len(found.rules) + len(rules) > RULES_MAX:
        raise RuleInvalidError(file=file, where="folder", reason=f"more than {RULES_MAX} rules")
    found.rules += rules


def _drop_lost(found: RuleSet) -> None:
    """Correlations of rules that were not loaded are refused, and those of correlations of correlations: no circles."""
    names: set[str] = set()
    for _ in range(LEVELS_MAX):
        names |= {name for one in found.rules if _lost(one, names) is None for name in (one.card.name, one.card.id)}
    kept: list[Rule] = []
    known = {name for one in found.rules for name in (one.card.name, one.card.id)}
    for rule in found.rules:
        lost = _lost(rule, names)
        if lost is None:
            kept.append(rule)
            continue
        why = "is a correlation of correlations" if lost in known else "is not loaded"
        reason = f"rule {lost[:100]!r} {why}"
        found.refused.append(RuleInvalidError(file=rule.card.file, where=rule.card.title[:100], reason=reason))
    found.rules = kept


def _lost(rule: Rule, names: set[str]) -> str | None:
    """The first rule that a correlation names and that is not among these; None: it has them all."""
    return next((one for one in rule.rules if one not in names), None) if isinstance(rule, Correlation) else None
