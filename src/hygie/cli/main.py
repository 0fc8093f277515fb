"""The root of the command line: finds the commands, prepares their frame, and turns every end into an exit code.

Global options (``--data``, ``--json``, ``--lang``) are accepted before or after the command's name.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from hygie import __version__
from hygie.base.errors import HygieError, Language
from hygie.base.language import say, set_language
from hygie.base.lifeline import hold_lifeline
from hygie.cli import commands
from hygie.cli.console import Console
from hygie.cli.errors import SystemRefusedError
from hygie.cli.frame import Frame, default_data
from hygie.cli.spoken import SpokenCommand, SpokenGroup, show_mistake

EXIT_INTERRUPTED = 130
EXIT_UNEXPECTED = 70

# The order of the help page. A name is listed only when its file exists.
_SERVICES = "init up serve kms unseal work watch witness demo status verify"
_CARE = "backup retention restore drill scrub rebuild erase exit rotate upgrade patch"
_PEOPLE = (
    "tenant environment copy account person application habilitation request token limit network country"
    " intervention finding incident rota soc availability journal traces flows canary hardening"
)
_PROOF = "posture perimeter certification dossier control referential register evidence publish contract contacts"
ORDER = (*_SERVICES.split(), *_CARE.split(), *_PEOPLE.split(), *_PROOF.split())

_VALUED = ("--data", "--lang")
_FLAGS = ("--json",)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0, or the one of the error's family, or 2 for a usage mistake."""
    hold_lifeline()
    arguments = hoist(list(sys.argv[1:] if argv is None else argv))
    set_language(_language_asked(arguments))
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # its news of a lost server are our errors' to tell
    out = Console(json_mode="--json" in arguments[: _globals_end(arguments)])
    try:
        left = build(arguments)(args=arguments, prog_name="hygie", standalone_mode=False)
        sys.exit(left if isinstance(left, int) else 0)
    except typer.TyperException as error:
        sys.exit(show_mistake(error))
    except typer.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except HygieError as error:
        if os.environ.get("HYGIE_TRACE"):
            traceback.print_exc()
        out.error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if os.environ.get("HYGIE_TRACE"):
            raise
        refused = SystemRefusedError(reason=error.strerror or type(error).__name__)
        out.error(refused)
        sys.exit(refused.exit_code)
    except Exception as error:
        if os.environ.get("HYGIE_TRACE"):
            raise
        out.unexpected(_place_of(error))
        sys.exit(EXIT_UNEXPECTED)


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command asked, or with all of them when none is named (help).

    Args: arguments: after :func:`hoist`.
    """
    app = typer.Typer(
        name="hygie",
        cls=SpokenGroup,
        help=say(
            fr="Héberge des données de santé comme le demande le référentiel HDS, et le prouve.",
            en="Hosts health data the way the French HDS référentiel demands, and proves it.",
        ),
        epilog=say(
            fr="--data, --json et --lang se placent avant ou après la commande.\nExemple : hygie init --data ./data",
            en="--data, --json and --lang go before or after the command.\nExample: hygie init --data ./data",
        ),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    present = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    end = _globals_end(arguments)
    asked = arguments[end] if end < len(arguments) else ""
    for name in [asked] if asked in present else sorted(present, key=_rank):
        importlib.import_module(f"hygie.cli.commands.{name}").register(app)
    _complete_pages(app)
    return app


def _complete_pages(app: typer.Typer) -> None:
    """Every help page speaks the person's language and ends with an example: a group shows its first command's."""
    for command in app.registered_commands:
        command.cls = SpokenCommand
    for group in app.registered_groups:
        group.cls = SpokenGroup
        inner = group.typer_instance
        if inner is None:
            continue
        for command in inner.registered_commands:
            command.cls = SpokenCommand
            command.epilog = command.epilog or f"{say(fr='Exemple', en='Example')}: hygie {group.name} {command.name}"
        inner.info.epilog = next((command.epilog for command in inner.registered_commands), None)


def hoist(arguments: list[str]) -> list[str]:
    """Move the global options to the front, wherever the person wrote them; what follows ``--`` is left alone."""
    front: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        word = pending.pop(0)
        if word == "--":
            rest += [word, *pending]
            break
        if word in _FLAGS or word.startswith(tuple(f"{option}=" for option in _VALUED)):
            front.append(word)
        elif word in _VALUED and pending:
            front += [word, pending.pop(0)]
        else:
            rest.append(word)
    return front + rest


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hygie {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help=say(fr="Dossier de données (sinon HYGIE_DATA).", en="Data folder (else HYGIE_DATA).")
        ),
    ] = None,
    json_mode: Annotated[bool, typer.Option("--json", help=say(fr="Répondre en JSON.", en="Answer in JSON."))] = False,
    lang: Annotated[Literal["fr", "en"] | None, typer.Option("--lang", help=say(fr="Langue.", en="Language."))] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help=say(fr="Montrer la version.", en="Print the version."),
        ),
    ] = False,
) -> None:
    if lang is not None:
        set_language(lang)
    context.obj = Frame(data=data or default_data(), out=Console(json_mode=json_mode))


def _globals_end(arguments: Sequence[str]) -> int:
    at = 0
    while at < len(arguments) and arguments[at].startswith("--"):
        at += 2 if arguments[at] in _VALUED else 1
    return at


def _language_asked(arguments: Sequence[str]) -> Language | None:
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        value = following if word == "--lang" else word.removeprefix("--lang=") if word.startswith("--lang=") else ""
        if value in {"fr", "en"}:
            return cast("Language", value)
    return None


def _rank(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__}, {place}"
