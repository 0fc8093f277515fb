"""``hygie intervention``: certificates for approved interventions, sessions on machines, as people read them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hygie.base.language import say
from hygie.cli.acts import run_work, show_rows
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.app import House
    from hygie.database.pool import Database
    from hygie.gate.local import LocalOperator
    from hygie.machines import Authority
    from hygie.replays import Officer

T = TypeVar("T")
_Key = Annotated[str, typer.Argument(help="INT-…")]
_Tenant = Annotated[
    str, typer.Option(help=say(fr="Client : ce qu'il en lit, sans les noms.", en="Client: as it reads it, no names."))
]
_To = Annotated[Path | None, typer.Option("--to", help=say(fr="Fichier à écrire.", en="File to write."))]
_Why = Annotated[
    str,
    typer.Option("--for", help=say(fr="Fiche qui le justifie (INC-…).", en="Record that justifies it (INC-…).")),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        help=say(
            fr="Interventions sur les machines : certificats SSH, sessions enregistrées.",
            en="Interventions on machines: SSH certificates, recorded sessions.",
        ),
        no_args_is_help=True,
    )
    example = say(fr="Exemple", en="Example")
    commands: tuple[tuple[str, Callable[..., None], str, str, str], ...] = (
        ("certificate", certificate, "Donne le certificat SSH d'une intervention approuvée, d'une heure au plus.",
         "Give the SSH certificate of an approved intervention, of an hour at most.",
         "hygie intervention certificate INT-0042 --key ~/.ssh/id_ed25519.pub --minutes 30"),
        ("ca", ca, "Montre l'autorité, pour TrustedUserCAKeys de sshd.",
         "Show the authority, for sshd's TrustedUserCAKeys.", "hygie intervention ca --to hygie.pub"),
        ("krl", krl, "Écrit la liste des interventions révoquées, pour RevokedKeys de sshd.",
         "Write the list of revoked interventions, for sshd's RevokedKeys.", "hygie intervention krl revoked.krl"),
        ("setup", setup, "Écrit ce qu'une machine installe : sshd, sudo, enregistreur.",
         "Write what a machine installs: sshd, sudo, recorder.",
         "hygie intervention setup ./machine --account paul --account anne"),
        ("list", list_, "Liste les interventions ; --tenant : par rôle et pseudonyme.",
         "List interventions; --tenant: by role and pseudonym.", "hygie intervention list --tenant chu-x"),
        ("sessions", sessions_, "Liste les sessions enregistrées ; --tenant : par rôle et pseudonyme.",
         "List recorded sessions; --tenant: by role and pseudonym.", "hygie intervention sessions --tenant chu-x"),
        ("record", record, "Prend maintenant les sessions terminées, comme hygie work.",
         "Take finished sessions in now, as hygie work does.", "hygie intervention record"),
        ("replay", replay, "Montre l'enregistrement d'une session ; la lecture est journalisée.",
         "Show the recording of a session; the reading is journaled.", "hygie intervention replay SES-… --for INC-3"),
        ("who", who, "Dit qui est derrière un pseudonyme, à la demande du client ; c'est journalisé.",
         "Say who is behind a pseudonym, when the client asks; it is journaled.",
         "hygie intervention who chu-x staff:… --for TIC-0007"),
    )  # fmt: skip
    for name, command, fr, en, line in commands:
        group.command(name, help=say(fr=fr, en=en), epilog=f"{example}: {line}")(command)
    app.add_typer(group, name="intervention")


def certificate(
    context: typer.Context,
    intervention: _Key,
    key: Annotated[Path, typer.Option(help=say(fr="Clé publique (.pub).", en="Public key (.pub)."))],
    minutes: Annotated[int, typer.Option(min=1, max=60, help=say(fr="Durée.", en="Life."))] = 30,
    to: _To = None,
) -> None:
    """Give a certificate."""
    from hygie.base.clock import iso_ms
    from hygie.base.files import write_durably
    from hygie.base.ssh import LINE_BYTES_MAX, SshFormatError, read_public_line
    from hygie.interventions.errors import PublicKeyError

    frame = frame_of(context)
    with key.open("rb") as file:
        line = file.read(LINE_BYTES_MAX + 1)
    try:
        public = read_public_line(line)
    except SshFormatError as error:
        raise PublicKeyError(reason=str(error)) from None

    async def act(authority: Authority) -> Any:
        return await authority.certify(intervention, public, minutes=minutes)

    given = _run_authority(frame, act)
    path = to or key.with_name(f"{key.stem}-cert.pub")
    write_durably(path, given.line.encode())
    until = iso_ms(given.until_ms)
    frame.out.line(
        say(
            fr=f"{path} : compte {given.account}, jusqu'au {until[:16]} UTC.",
            en=f"{path}: account {given.account}, until {until[:16]} UTC.",
        )
    )
    frame.out.result(
        {"path": str(path), "account": given.account, "until_ms": given.until_ms, "serial": str(given.serial)}
    )


def ca(context: typer.Context, to: _To = None) -> None:
    """Show the authority."""
    from hygie.base.files import write_durably
    from hygie.machines import authority_line

    frame = frame_of(context)

    async def act(house: House, _records: Database, _pool: Database, _operator: LocalOperator) -> str:
        return await authority_line(house)

    line = run_work(frame, act)
    if to is not None:
        write_durably(to, line.encode() + b"\n", mode=0o644)
    frame.out.line(line)
    frame.out.result({"line": line})


def krl(context: typer.Context, to: Annotated[Path, typer.Argument(help=say(fr="Fichier.", en="File."))]) -> None:
    """Write the revocation list."""
    from hygie.base.files import write_durably
    from hygie.machines import Revocations

    frame = frame_of(context)

    async def act(
        house: House, _records: Database, _pool: Database, operator: LocalOperator
    ) -> tuple[bytes, tuple[str, ...]]:
        revoked = Revocations(house, operator.account)
        ids = await revoked.ids()
        return await revoked.encoded(ids), ids

    data, ids = run_work(frame, act)
    write_durably(to, data, mode=0o644)
    frame.out.line(say(fr=f"{to} : {len(ids)} interventions révoquées.", en=f"{to}: {len(ids)} revoked interventions."))
    frame.out.result({"path": str(to), "revoked": list(ids)})


def setup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help=say(fr="Dossier à remplir.", en="Folder to fill."))],
    account: Annotated[list[str], typer.Option(help=say(fr="Compte de la machine.", en="Account of the machine."))],
    authority: Annotated[str, typer.Option(help="TrustedUserCAKeys")] = "",
    revoked: Annotated[str, typer.Option(help="RevokedKeys")] = "",
    recordings: Annotated[str, typer.Option(help="sudo: iolog_dir")] = "/var/log/hygie-sessions",
    reader: Annotated[str, typer.Option(help=say(fr="Compte de hygie work.", en="Account of hygie work."))] = "root",
) -> None:
    """Write the files of a machine."""
    from hygie.base.errors import InvalidRequestError
    from hygie.base.files import write_durably
    from hygie.interventions.setup import files
    from hygie.keys.ssh_authority import PRINCIPAL
    from hygie.machines import AUTHORITY_FILE, REVOKED_FILE

    frame = frame_of(context)
    if not all(PRINCIPAL.fullmatch(one) for one in (*account, reader)):
        raise InvalidRequestError(reason="--account, --reader")
    own = frame.folder.ssh
    made = files(
        account,
        authority=PurePosixPath(authority or own / AUTHORITY_FILE),
        revoked=PurePosixPath(revoked or own / REVOKED_FILE),
        recordings=PurePosixPath(recordings),
        reader=reader,
    )
    for path, (mode, text) in made.items():
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_durably(target, text.encode(), mode=mode)
        frame.out.line(f"{oct(mode)[2:]} {target}")
    shells = " ; ".join(f"chsh -s /bin/sh {one}" for one in account)
    frame.out.line(say(fr=f"Puis, sur la machine : {shells}", en=f"Then, on the machine: {shells}"))
    frame.out.result({"files": sorted(made)})


def list_(context: typer.Context, tenant: _Tenant = "") -> None:
    """List interventions."""
    from hygie.replays import interventions

    frame = frame_of(context)

    async def act(house: House, records: Database, _pool: Database, operator: LocalOperator) -> list[dict[str, Any]]:
        return await interventions(house, records, operator.account, tenant)

    show_rows(frame, run_work(frame, act))


def sessions_(context: typer.Context, tenant: _Tenant = "") -> None:
    """List sessions."""
    from hygie.replays import sessions

    frame = frame_of(context)

    async def act(house: House, records: Database, _pool: Database, operator: LocalOperator) -> list[dict[str, Any]]:
        return await sessions(house, records, operator.account, tenant)

    show_rows(frame, run_work(frame, act))


def record(context: typer.Context) -> None:
    """Take finished sessions in."""
    from hygie.recordings import SessionKeeper

    frame = frame_of(context)

    async def act(house: House, records: Database, pool: Database, operator: LocalOperator) -> list[str]:
        return await SessionKeeper(house, records, pool, operator.account).run()

    done = run_work(frame, act)
    frame.out.line(say(fr=f"{len(done)} sessions enregistrées.", en=f"{len(done)} sessions recorded."))
    frame.out.result({"sessions": done})


def replay(
    context: typer.Context, session: Annotated[str, typer.Argument(help="SES-…")], why: _Why, tenant: _Tenant = ""
) -> None:
    """Show a recording."""
    from hygie.interventions.showing import shown

    frame = frame_of(context)

    async def act(officer: Officer) -> Any:
        return await officer.replay(session, why=why, tenant=tenant)

    recording = _run_officer(frame, act)
    pieces = list(shown(recording))
    for line in "".join(text for _, text in pieces).splitlines():
        frame.out.line(line)
    frame.out.result({"session": session, "pieces": [[round(at_s, 3), text] for at_s, text in pieces]})


def who(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Client.")],
    pseudonym: Annotated[str, typer.Argument(help="staff:…")],
    why: _Why,
) -> None:
    """Say who is behind a pseudonym."""
    frame = frame_of(context)

    async def act(officer: Officer) -> dict[str, str]:
        return await officer.identify(tenant, pseudonym, why=why)

    found = _run_officer(frame, act)
    frame.out.line(f"{found['name']} ({found['account']})")
    frame.out.result(found)


def _run_authority(frame: Frame, act: Callable[[Authority], Awaitable[T]]) -> T:
    from hygie.journal.writer import JournalWriter
    from hygie.machines import Authority

    async def main(house: House, records: Database, pool: Database, operator: LocalOperator) -> T:
        journal = JournalWriter(pool, house.month_keys, house.clock)
        try:
            return await act(Authority(house, records, journal, operator.account))
        finally:
            await journal.close()

    return run_work(frame, main)


def _run_officer(frame: Frame, act: Callable[[Officer], Awaitable[T]]) -> T:
    from hygie.journal.writer import JournalWriter
    from hygie.replays import Officer

    async def main(house: House, records: Database, pool: Database, operator: LocalOperator) -> T:
        journal = JournalWriter(pool, house.month_keys, house.clock)
        try:
            return await act(Officer(house, records, journal, operator.account))
        finally:
            await journal.close()

    return run_work(frame, main)
