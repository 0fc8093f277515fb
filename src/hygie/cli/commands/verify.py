"""``hygie verify``: check what somebody handed over: a dossier, a journal export, a certificate, a record of keys."""

from __future__ import annotations

import argparse
import asyncio
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hygie.base.language import current_language, say
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.keys.erasure import ErasureCertificate

KEY_BYTES = 32
KEY_RECORD = "unwraps.log"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "verify",
        help=say(
            fr="Vérifie hors ligne un dossier, un export du journal (répertoire ou .zip), le registre des clés"
            " délivrées (répertoire kms) ou un certificat d'effacement. Sans --key, un certificat est vérifié avec les"
            " clés de l'installation, qui doit tourner.",
            en="Check, offline, a dossier, a journal export (folder or .zip), the record of unwrapped keys (folder"
            " kms) or a certificate of erasure. Without --key, a certificate is checked with the keys of the"
            " installation, which must be running.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie verify ./journal.zip --key log.pub --witness witness.pub",
    )(verify)


def verify(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, help=say(fr="Export, registre ou certificat.", en="Export, record or certificate.")
        ),
    ],
    key: Annotated[str, typer.Option(help=say(fr="Clé publique, ou son fichier.", en="Public key, or its file."))] = "",
    witness: Annotated[
        str, typer.Option(help=say(fr="Celle du témoin, pour un export.", en="The witness's, for an export."))
    ] = "",
    dossier_key: Annotated[str, typer.Option(help=say(fr="Celle des dossiers.", en="The key of dossiers."))] = "",
    tsa: Annotated[
        str,
        typer.Option(
            help=say(fr="Certificat racine de l'autorité d'horodatage.", en="Root of the timestamp authority.")
        ),
    ] = "",
    show: Annotated[
        bool, typer.Option("--show", help=say(fr="Montrer les entrées divulguées.", en="Print disclosed entries."))
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help=say(fr="Refuser les entrées antidatées.", en="Refuse back-dated entries."))
    ] = False,
) -> None:
    """Check a file."""
    frame = frame_of(context)
    if (file / KEY_RECORD).is_file():
        _verify_record(frame, file)
    elif file.is_dir() or zipfile.is_zipfile(file):
        from hygie.verify.main import run

        options = argparse.Namespace(
            export=file,
            key=key or None,
            witness=witness or None,
            dossier_key=dossier_key or None,
            tsa=tsa or None,
            json=frame.out.json_mode,
            show=show,
            strict=strict,
        )
        raise typer.Exit(run(options, current_language()))
    else:
        _say(frame, _certificate(frame, file, key))


def _verify_record(frame: Frame, folder: Path) -> None:
    """Raises: UnwrapRecordBrokenError."""
    from hygie.keys.unwrap_record import verify_unwrap_record

    lines, end = verify_unwrap_record(folder)
    head = end.hex()
    frame.out.line(
        say(
            fr=f"ENTIER : {lines} lignes. À comparer avec la dernière tête ancrée au journal (key:anchor) : {head}",
            en=f"WHOLE: {lines} lines. To compare with the last head anchored in the journal (key:anchor): {head}",
        )
    )
    frame.out.result({"whole": True, "lines": lines, "head": head})


def _certificate(frame: Frame, file: Path, key: str) -> ErasureCertificate:
    """Raises: CertificateForgedError; InvalidRequestError: not a public key; KmsUnavailableError: no key given, and
    the installation does not run."""
    from hygie.keys.erasure import CERTIFICATE_BYTES_MAX, verify_certificate

    with file.open("rb") as opened:
        data = opened.read(CERTIFICATE_BYTES_MAX + 1)
    keys = [_public_key(key)] if key else asyncio.run(_own_keys(frame))
    return verify_certificate(data, public_keys=keys)


def _public_key(given: str) -> bytes:
    """32 bytes in hexadecimal, as certificates write them, or a file that holds that.

    Raises: InvalidRequestError.
    """
    from hygie.base.errors import InvalidRequestError

    try:
        path = Path(given)
        text = path.read_text(encoding="ascii") if path.is_file() else given
        found = bytes.fromhex(text.strip())
    except (OSError, ValueError) as error:
        raise InvalidRequestError(reason="--key") from error
    if len(found) != KEY_BYTES:
        raise InvalidRequestError(reason="--key")
    return found


async def _own_keys(frame: Frame) -> list[bytes]:
    """The keys that this installation signs and signed certificates with."""
    from hygie.app import open_house

    async with open_house(frame.folder.path) as house:
        status = await house.kms.status()
    return [one.public_key for one in status.signing_keys if one.purpose == "erasure"]


def _say(frame: Frame, certificate: ErasureCertificate) -> None:
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(certificate)
    rows = [
        (say(fr="illisible en service", en="unreadable in service"), certificate.unreadable_in_service_at_ms),
        (say(fr="index purgé", en="index purged"), certificate.tokens_purged_at_ms),
        (say(fr="pages réécrites", en="pages vacuumed"), certificate.tokens_vacuumed_at_ms),
        (
            say(fr="illisible dans toute copie", en="unreadable in every copy"),
            certificate.unreadable_in_every_copy_at_ms,
        ),
    ]
    frame.out.line(
        say(
            fr=f"AUTHENTIQUE : effacement {certificate.erasure_id}, {certificate.objects} versions,"
            f" base légale {certificate.legal_basis.value}.",
            en=f"AUTHENTIC: erasure {certificate.erasure_id}, {certificate.objects} versions,"
            f" legal basis {certificate.legal_basis.value}.",
        )
    )
    frame.out.table([say(fr="atteste", en="states"), say(fr="instant (UTC)", en="instant (UTC)")], map(_dated, rows))
    frame.out.result({"whole": True, "final": certificate.final, "certificate": facts})


def _dated(row: tuple[str, int | None]) -> tuple[str, str]:
    from hygie.base.clock import iso_ms

    return row[0], iso_ms(row[1]) if row[1] is not None else say(fr="pas encore", en="not yet")
