"""The page of ``hygie status``: complete at 80 columns, in words and not colours alone, in both languages."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hygie.base.errors import Language
from hygie.base.hardening import Swap
from hygie.base.language import set_language
from hygie.base.settings import default_settings
from hygie.cli.status_view import _counts, draw
from hygie.proof.checks import CHECKS
from hygie.proof.facts import Facts
from hygie.proof.judge import judge_all
from hygie.proof.model import Context, ObligationResult, Observed, Verdict
from hygie.proof.obligations import technical_obligations

FACTS = Facts(swap=Observed(Swap("no", ("/dev/sda2",)), at_ms=1_000))


def page(width: int, *, language: Language = "en", verbose: bool = False, plain: bool = False) -> str:
    set_language(language)
    try:
        results = judge_all(technical_obligations(), CHECKS, FACTS, Context(default_settings(), 4_000))
        out = io.StringIO()
        Console(file=out, width=width, markup=False, emoji=False).print(draw(results, verbose=verbose, plain=plain))
        return out.getvalue()
    finally:
        set_language(None)


@pytest.mark.parametrize("width", [80, 120])
def test_each_obligation_has_its_verdict_in_words_and_its_reason(width: int) -> None:
    text = page(width)
    assert all(len(line) <= width for line in text.splitlines())
    assert [line.split()[0] for line in text.splitlines() if line.startswith("tech-")] == [
        f"tech-{n}" for n in range(1, 9)
    ]
    assert "✗ unsatisfied" in text
    assert "Swap in clear." in text
    assert text.count("? unknown") == 7
    assert "1 unsatisfied, 7 unknown" in text


def test_french_reads_french() -> None:
    text = page(100, language="fr", verbose=True)
    assert "✗ non satisfaite" in text
    assert "Du swap en clair." in text
    assert "observé" in text
    assert "unsatisfied" not in text


def test_french_counts_agree() -> None:
    def judged(verdict: Verdict) -> ObligationResult:
        return ObligationResult(technical_obligations()[0], verdict, ())

    set_language("fr")
    try:
        results = [judged(verdict) for verdict in Verdict for _ in range(2)]
        assert _counts(results) == "2 satisfaites, 2 non satisfaites, 2 inconnues, 2 sans objet"
    finally:
        set_language(None)


def test_a_plain_terminal_gets_letters() -> None:
    text = page(80, plain=True)
    assert "x unsatisfied" in text
    assert "✗" not in text


def test_verbose_shows_each_check_with_what_was_observed_beside_what_is_declared() -> None:
    text = page(120, verbose=True)
    for check in CHECKS:
        assert check.title.en in text
    assert "observed  /dev/sda2 (3 s)" in text
    assert "declared  none or encrypted" in text


@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_page_certifies_or_gives_one_figure(language: Language) -> None:
    text = page(120, language=language, verbose=True)
    assert "HDS" not in text
    assert "compliant" not in text.lower()
    assert "conforme" not in text.lower()
