"""Help pages and mistakes of usage in the person's language: the words of the library that reads the arguments.

The library writes English only. Its pages are drawn here from the same parts; its sentences on a mistake are known, so
they are replaced one by one, and one that is not known stays as it is.
"""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from hygie.base.language import current_language, say

if TYPE_CHECKING:
    import typer
    from typer.core import TyperArgument, TyperOption

Row = tuple[str, str]

_PAGE_FR = (
    (r"Show this message and exit\.", "Montrer cette aide."),
    (r"Install completion for the current shell\.", "Installer la complétion de ce shell."),
    (r"Show completion for the current shell, to copy it or customize the installation\.", "Montrer cette complétion."),
    (r"COMMAND \[ARGS\]\.\.\.", "COMMANDE [ARGUMENTS]…"),
    (r"\brequired\]", "obligatoire]"),
    (r"\[default: ", "[par défaut\u00a0: "),
    (r"(\d+)<=x<=(\d+)", r"de \1 à \2"),
    (r"x>=(\d+)", r"au moins \1"),
    (r"^Exemple: ", "Exemple : "),
    (r"<list\[str\]>", "<texte>…"),
    (r"<list\[Path\]>", "<chemin>…"),
    (r"<str>", "<texte>"),
    (r"<path>", "<chemin>"),
    (r"<(int|float)( range)?>", "<nombre>"),
)
_PAGE_EN = (
    (r"(\d+)<=x<=(\d+)", r"from \1 to \2"),
    (r"x>=(\d+)", r"at least \1"),
    (r"<list\[str\]>", "<text>…"),
    (r"<list\[Path\]>", "<path>…"),
    (r"<str>", "<text>"),
    (r"<(int|float)( range)?>", "<number>"),
)
_MISTAKES_FR = (
    (r"(?m)^Usage: ", "Usage : "),
    (r"Try '(.+)' for help\.", r"Aide : \1"),
    (r"(?m)^Error: ", "Erreur : "),
    (r"Missing argument ('.+?')\.", r"il manque l'argument \1."),
    (r"Missing option ('.+?')\.", r"il manque l'option \1."),
    (r"Missing command\.", "il manque la commande."),
    (r"No such command ('.+?')", r"commande inconnue \1"),
    (r"\. Did you mean (.+)\?", r". Est-ce \1 ?"),
    (r"No such option: (\S+)", r"option inconnue \1"),
    (r"\(Possible options: (.+)\)", r"(proches : \1)"),
    (r"Option ('.+?') requires an argument\.", r"l'option \1 demande une valeur."),
    (r"Option ('.+?') does not take a value\.", r"l'option \1 ne prend pas de valeur."),
    (r"Got unexpected extra argument(?:s|\(s\))? (\(.+\))", r"en trop : \1"),
    (r"Invalid value for (.+?): ", r"valeur refusée pour \1 : "),
    (r"Invalid value: ", "valeur refusée : "),
    (r"Value error, ", ""),
    (r" is not one of ", " n'est pas parmi "),
    (r"(?i:path|file|directory) ('.+?') does not exist\.", r"\1 n'existe pas."),
    (r"Input should be a valid (?:integer|number).*", "un nombre est attendu."),
    (r"Input should be greater than or equal to (\S+)", r"au moins \1."),
    (r"Input should be less than or equal to (\S+)", r"au plus \1."),
)


class _Spoken:
    """What both kinds of page share."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """``Usage: hygie …``."""
        pieces = self.collect_usage_pieces(ctx)  # type: ignore[attr-defined]  # of the library's class beside this one
        formatter.write_usage(ctx.command_path, page_text(" ".join(pieces)), say(fr="Usage : ", en="Usage: "))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, options, then the commands of a group."""
        rows: dict[str, list[Row]] = {"argument": [], "option": []}
        parameter: TyperArgument | TyperOption
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = parameter.get_help_record(ctx)
            if record is not None:
                rows[parameter.param_type_name].append((page_text(record[0]), page_text(record[1])))
        _section(formatter, "Arguments", rows["argument"])
        _section(formatter, "Options", rows["option"])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (as the library calls it)
        """The example, whole on its line: it is there to be pasted."""
        epilog = self.epilog  # type: ignore[attr-defined]
        if epilog:
            formatter.write_paragraph()
            for line in epilog.splitlines():
                formatter.write(f"  {page_text(line)}\n")


class SpokenCommand(_Spoken, TyperCommand):
    """A command whose pages are in the person's language."""


class SpokenGroup(_Spoken, TyperGroup):
    """A group of commands whose pages are in the person's language; each command by its first sentence, whole."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options, then commands."""
        super().format_options(ctx, formatter)
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        rows = [(name, first_sentence(one.help or "")) for name, one in commands if not one.hidden]
        _section(formatter, say(fr="Commandes", en="Commands"), rows)


def page_text(text: str) -> str:
    """A part of a help page in the person's language."""
    return _replaced(text, _PAGE_FR if current_language() == "fr" else _PAGE_EN)


def mistake_text(text: str) -> str:
    """What is said of a mistake of usage, in the person's language."""
    return _replaced(_replaced(text, _MISTAKES_FR), _PAGE_FR) if current_language() == "fr" else text


def show_mistake(error: typer.TyperException) -> int:
    """Say a mistake of usage on the standard error. Returns the exit code."""
    show = getattr(error, "show", None)
    page = io.StringIO()
    if show is not None:
        show(file=page)
    sys.stderr.write(mistake_text(page.getvalue() or f"Error: {error.format_message()}\n"))
    return error.exit_code


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    words = " ".join(text.split())
    return re.split(r"(?<=\.) ", words, maxsplit=1)[0]


def _section(formatter: Any, title: str, rows: list[Row]) -> None:
    if rows:
        with formatter.section(f"{title} " if current_language() == "fr" else title):
            formatter.write_dl(rows)


def _replaced(text: str, table: tuple[Row, ...]) -> str:
    for pattern, words in table:
        text = re.sub(pattern, words, text)
    return text
