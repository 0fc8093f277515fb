"""``hygie register``: the registers of the organisation."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hygie.base.language import say
from hygie.cli.acts import instant, operator_name
from hygie.cli.frame import Frame, frame_of
from hygie.cli.register_files import pages

if TYPE_CHECKING:
    from hygie.registers.chain import RecordVersion
    from hygie.registers.engine import Registers
    from hygie.registers.schema import Field, Schema

T = TypeVar("T")
_Register = Annotated[str, typer.Argument(help=say(fr="Registre, comme policy.", en="Register, such as policy."))]
_Key = Annotated[str, typer.Argument(help=say(fr="Fiche, comme POL-0001.", en="Record, such as POL-0001."))]
_Values = Annotated[
    list[str] | None,
    typer.Argument(help=say(fr="champ=valeur ; plusieurs valeurs : a;b", en="field=value; several values: a;b")),
]
_Approver = Annotated[str, typer.Option(help=say(fr="Qui approuve, si l'état l'exige.", en="Who approves, if needed."))]
_Reason = Annotated[str, typer.Option(help=say(fr="Motif.", en="Reason."))]
_State = Annotated[str, typer.Option(help=say(fr="État.", en="State."))]
_Tenant = Annotated[str, typer.Option(help=say(fr="Client concerné.", en="Client concerned."))]
_At = Annotated[str, typer.Option(help=say(fr="Tel que connu à cette date.", en="As it was known on that date."))]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help=say(
            fr="Registres : fiches versionnées, approuvées, journalisées, jamais effacées.",
            en="Registers: records with versions and approvals, journaled, never removed.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    for name, fr, en, sample, run in (*_pages(), *pages()):
        group.command(name, help=say(fr=fr, en=en), epilog=f"{example}: {sample}")(run)
    app.add_typer(group, name="register")


def listing(context: typer.Context) -> None:
    """The registers and how many records each holds."""
    from hygie.registers.engine import Asked

    frame = frame_of(context)
    rows = run_registers(
        frame,
        lambda registers: [
            (schema, sum(1 for _ in registers.current(Asked(name)))) for name, schema in registers.schemas.items()
        ],
    )
    frame.out.table(
        [say(fr="registre", en="register"), say(fr="nom", en="name"), say(fr="fiches", en="records")],
        [[schema.id, schema.label, count] for schema, count in rows],
    )
    frame.out.result([{"id": schema.id, "title": schema.label, "records": count} for schema, count in rows])


def fields(context: typer.Context, name: _Register) -> None:
    """Fields and states."""
    from hygie.registers.schema import plain, shipped_schemas

    frame = frame_of(context)
    schema = shipped_schemas()[name]
    frame.out.line(f"{schema.label} : {say(fr=schema.about_fr, en=schema.about_en)}")
    frame.out.table(
        [
            say(fr="champ", en="field"),
            say(fr="genre", en="type"),
            say(fr="libellé", en="label"),
            say(fr="requis", en="required"),
        ],
        [[one.id, one.type, one.label, _needed(one.required, one.required_in)] for one in schema.fields],
    )
    frame.out.table(
        [say(fr="état", en="state"), say(fr="libellé", en="label"), say(fr="peut suivre", en="may follow")],
        [[one.id + (" *" if one.approval else ""), one.label, " ".join(one.to)] for one in schema.states],
    )
    frame.out.line(say(fr="* demande un approbateur, autre que l'auteur.", en="* takes an approver, not the author."))
    frame.out.result(plain(schema))


def show(
    context: typer.Context,
    name: _Register,
    key: Annotated[str, typer.Argument(help=say(fr="Une fiche.", en="One record."))] = "",
    state: _State = "",
    tenant: _Tenant = "",
    at: _At = "",
) -> None:
    """Show records."""
    from hygie.cli.moment import moment_ms
    from hygie.registers.engine import Asked, fields_of

    frame = frame_of(context)
    at_ms = moment_ms(at) if at else None
    asked = Asked(name, tenant or None, (state,) if state else (), at_ms)
    found = run_registers(frame, lambda registers: [one for one in registers.current(asked) if key in ("", one.key)])
    if key and not found:
        from hygie.registers.errors import RegisterNotFoundError

        raise RegisterNotFoundError(name=name)
    from hygie.registers.schema import shipped_schemas

    schema = shipped_schemas()[name]
    if key:
        _show_one(frame, schema, found[0])
    else:
        _show_all(frame, schema, found)
    frame.out.result([dict(fields_of(one)) for one in found])


def add(
    context: typer.Context,
    name: _Register,
    values: _Values = None,
    key: Annotated[str, typer.Option(help=say(fr="Clé, sinon donnée.", en="Key, else given."))] = "",
    state: _State = "",
    tenant: _Tenant = "",
    reason: _Reason = "",
    approver: _Approver = "",
) -> None:
    """Add a record."""
    from hygie.registers.rules import Change

    change = Change(name, pairs_of(values), key, state, tenant, reason, approver)
    _write(frame_of(context), change, new=True)


def amend(
    context: typer.Context,
    name: _Register,
    key: _Key,
    values: _Values = None,
    state: _State = "",
    reason: _Reason = "",
    approver: _Approver = "",
) -> None:
    """Write a new version."""
    from hygie.registers.rules import Change

    _write(frame_of(context), Change(name, pairs_of(values), key, state, "", reason, approver), new=False)


def history(context: typer.Context, name: _Register, key: _Key) -> None:
    """Every version."""
    from hygie.registers.engine import fields_of

    frame = frame_of(context)
    versions = run_registers(frame, lambda registers: registers.history(name, key))
    before: dict[str, Any] = {}
    rows = []
    for one in versions:
        changed = [field for field in {**before, **one.fields} if before.get(field) != one.fields.get(field)]
        rows.append(
            [one.version, instant(one.at_ms), one.author, one.approver, one.state, " ".join(changed), one.reason]
        )
        before = dict(one.fields)
    frame.out.table(
        ["n°", say(fr="écrite le", en="written"), say(fr="par", en="by"), say(fr="approuvée par", en="approved by"),
         say(fr="état", en="state"), say(fr="champs", en="fields"), say(fr="motif", en="reason")],
        rows,
    )  # fmt: skip
    frame.out.result([dict(fields_of(one)) for one in versions])


def due(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=say(fr="Un seul registre.", en="One register only."))] = "",
    within: Annotated[int, typer.Option(min=0, max=3_660, help=say(fr="Jours à venir.", en="Days to come."))] = 30,
    tenant: _Tenant = "",
    missed: Annotated[
        bool, typer.Option("--missed", help=say(fr="Faits trop tard aussi.", en="Done late too."))
    ] = False,
) -> None:
    """What runs, what is late."""
    from hygie.registers.clocks import Expected, Progress, expectations, falls_due
    from hygie.registers.engine import Asked

    frame = frame_of(context)

    def act(registers: Registers) -> list[Expected]:
        now_ms = registers.clock.now_ms()
        names = [registers.schemas[name].id] if name else list(registers.schemas)
        found = [
            one
            for each in names
            for record in registers.current(Asked(each, tenant or None))
            for one in expectations(registers.schemas[each], record, now_ms)
        ]
        wanted = {Progress.LATE, *([Progress.MISSED] if missed else [])}
        kept = [
            one
            for one in found
            if one.progress in wanted or (one.progress is Progress.RUNNING and falls_due(one, now_ms, within))
        ]
        return sorted(kept, key=lambda one: (one.due, one.register, one.key, one.clock))

    found = run_registers(frame, act)
    words = {
        Progress.RUNNING: say(fr="en cours", en="running"),
        Progress.LATE: say(fr="en retard", en="late"),
        Progress.MISSED: say(fr="fait trop tard", en="done late"),
    }
    frame.out.table(
        [say(fr="échéance", en="due"), say(fr="attendu", en="expected"), say(fr="fiche", en="record"),
         say(fr="client", en="client"), say(fr="qui", en="who"), ""],
        [[one.due, one.label, f"{one.register} {one.key}", one.tenant, _WHO[one.who](), words[one.progress]]
         for one in found],
    )  # fmt: skip
    if not found:
        frame.out.line(say(fr="Rien d'attendu d'ici là.", en="Nothing is expected by then."))
    frame.out.result([asdict(one) for one in found])


_WHO: dict[str, Callable[[], str]] = {
    "host": lambda: say(fr="hébergeur", en="host"),
    "controller": lambda: say(fr="responsable de traitement", en="controller"),
    "authority": lambda: say(fr="autorité", en="authority"),
}


def attach(context: typer.Context, file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Keep a file."""
    from hygie.registers.engine import DOCUMENT_BYTES_MAX

    frame = frame_of(context)
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with file.open("rb") as opened:
        content = opened.read(DOCUMENT_BYTES_MAX + 1)  # one more: a larger one is refused, not cut
    digest = run_registers(frame, lambda registers: registers.put_document(file.name, media_type, content))
    frame.out.line(digest)
    frame.out.result({"sha256": digest, "bytes": len(content), "media_type": media_type})


def verify(context: typer.Context) -> None:
    """Follow the chain, and hold it to the published journal."""
    from hygie.cli.log_view import verify_and_say

    verify_and_say(frame_of(context), "records")


def run_registers(frame: Frame, act: Callable[[Registers], T]) -> T:
    """Run one act on the registers of the running installation and return its result."""

    async def main() -> T:
        from hygie.app import open_house
        from hygie.proving import with_proof

        async with open_house(frame.folder.path) as house:
            return await with_proof(house, operator_name(), lambda plane: act(plane.registers))

    return asyncio.run(main())


def _write(frame: Frame, change: Any, *, new: bool) -> None:
    from hygie.registers.engine import fields_of
    from hygie.registers.errors import RecordChangedError, RegisterNotFoundError

    def act(registers: Registers) -> list[RecordVersion]:
        if not new:
            registers.get(change.register, change.key)
        elif change.key:
            try:
                found = registers.get(change.register, change.key)
            except RegisterNotFoundError:
                pass
            else:
                raise RecordChangedError(key=change.key, version=found.version)
        return registers.write([change]) or [registers.get(change.register, change.key)]

    record, *following = run_registers(frame, act)
    frame.out.line(
        say(
            fr=f"{record.key}, version {record.version} ({record.state}).",
            en=f"{record.key}, version {record.version} ({record.state}).",
        )
    )
    for one in following:
        title = one.fields.get("title", "")
        frame.out.line(
            say(fr=f"  suit : {one.register} {one.key} {title}", en=f"  follows: {one.register} {one.key} {title}")
        )
    frame.out.result(dict(fields_of(record)) | ({"following": [one.key for one in following]} if following else {}))


def pairs_of(values: list[str] | None) -> dict[str, object]:
    """``field=value`` words as fields. Raises: typer.BadParameter."""
    found: dict[str, object] = {}
    for word in values or []:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise typer.BadParameter(say(fr="champ=valeur", en="field=value"))
        found[name] = value
    return found


def _needed(required: bool, states: tuple[str, ...]) -> str:
    return say(fr="oui", en="yes") if required else " ".join(states)


def _show_all(frame: Frame, schema: Schema, found: list[RecordVersion]) -> None:
    if not found:
        frame.out.line(say(fr="Aucune fiche.", en="No record."))
        return
    title = schema.field(schema.title_field)
    assert title is not None, "schemas are read so"
    frame.out.table(
        [say(fr="fiche", en="record"), title.label, say(fr="état", en="state"),
         say(fr="client", en="client"), "n°", say(fr="écrite le", en="written")],
        [
            [one.key, _shown(title, one.fields.get(title.id, "")), schema.state(one.state).label, one.tenant,
             one.version, instant(one.at_ms)]
            for one in found
        ],
    )  # fmt: skip


def _show_one(frame: Frame, schema: Schema, record: RecordVersion) -> None:
    rows = [
        [field.label, _shown(field, record.fields[field.id])] for field in schema.fields if field.id in record.fields
    ]
    head = f"{record.key}, version {record.version}, {schema.state(record.state).label}"
    frame.out.line(head + (f" ({record.tenant})" if record.tenant else ""))
    frame.out.table([say(fr="champ", en="field"), say(fr="valeur", en="value")], rows)


def _shown(field: Field, value: object) -> str:
    return "; ".join(field.shown(one) for one in value) if isinstance(value, list) else field.shown(value)


def _pages() -> tuple[tuple[str, str, str, str, Callable[..., None]], ...]:
    """Each command: its name, what it does in both languages, an example, and its function."""
    return (
        ("list", "Liste les registres.", "List the registers.", "hygie register list", listing),
        (
            "show",
            "Montre les fiches d'un registre, ou une fiche.",
            "Show a register's records, or one.",
            "hygie register show policy --state in-force",
            show,
        ),
        (
            "fields",
            "Montre les champs et les états d'un registre.",
            "Show a register's fields and states.",
            "hygie register fields policy",
            fields,
        ),
        (
            "add",
            "Ajoute une fiche.",
            "Add a record.",
            'hygie register add person name="Anne Martin" employer=Hygie function=RSSI starts_on=2026-01-05',
            add,
        ),
        (
            "amend",
            "Écrit une nouvelle version d'une fiche.",
            "Write a new version of a record.",
            "hygie register amend person PER-0001 ends_on=2026-12-31 --state left --reason fin-de-contrat",
            amend,
        ),
        (
            "history",
            "Toutes les versions d'une fiche.",
            "Every version of a record.",
            "hygie register history policy POL-0001",
            history,
        ),
        (
            "due",
            "Ce qui est attendu des fiches, et pour quand.",
            "What is expected of records, and by when.",
            "hygie register due --within 30",
            due,
        ),
        (
            "attach",
            "Garde un fichier et donne l'empreinte à citer.",
            "Keep a file and give the digest to quote.",
            "hygie register attach politique.pdf",
            attach,
        ),
        (
            "verify",
            "Suit la chaîne de toutes les écritures et la compare au journal publié.",
            "Follow the chain of all writes and compare it with the published journal.",
            "hygie register verify",
            verify,
        ),
    )
