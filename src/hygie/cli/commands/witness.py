"""``hygie witness``: one long-running process, as a systemd unit starts it, here or on somebody else's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hygie.base.language import say
from hygie.cli.frame import frame_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "witness",
        help=say(
            fr="Lance le témoin, qui contresigne le journal après l'avoir vérifié.",
            en="Run the witness, which cosigns the journal after checking it.",
        ),
        epilog=say(fr="Exemple", en="Example")
        + ": hygie witness --data /srv/witness --log-key log.key --listen 10.0.0.7:7070",
    )(witness)


def witness(
    context: typer.Context,
    log_key: Annotated[
        list[Path] | None,
        typer.Option(
            help=say(
                fr="Sur une autre machine : clé publique du journal, dans un fichier (à répéter).",
                en="On another machine: the journal's public key, in a file (repeat).",
            )
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(help=say(fr="HÔTE:PORT, ou chemin d'une socket.", en="HOST:PORT, or the path of a socket.")),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help=say(fr="Nom du témoin, tel temoin.example/1.", en="Its name, such as witness.example/1.")),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help=say(fr="Certificat PEM, pour https.", en="PEM certificate, for https."))
    ] = None,
    key: Annotated[Path | None, typer.Option(help=say(fr="Sa clé privée.", en="Its private key."))] = None,
    ready_fd: Annotated[
        int | None, typer.Option(help=say(fr="Descripteur à prévenir une fois prêt.", en="Descriptor told when ready."))
    ] = None,
) -> None:
    """Serve until SIGTERM."""
    from hygie import services
    from hygie.server.certificates import CertificateFiles

    frame = frame_of(context)
    if (certificate is None) != (key is None) or (log_key and listen is None):
        raise typer.BadParameter("--certificate --key | --log-key --listen")

    def tell(public_key: str, where: str) -> None:
        frame.out.line(say(fr=f"Le témoin répond sur {where}", en=f"The witness answers at {where}"))
        frame.out.line(say(fr="Clé publique", en="Public key") + f": {public_key}")
        frame.out.result({"key": public_key, "listen": where, "file": str(frame.folder.witness / services.WITNESS_KEY)})

    place = services.WitnessPlace(
        listen=listen,
        log_keys=tuple(log_key or ()),
        name=name or services.WITNESS_NAME,
        certificate=CertificateFiles(certificate, key) if certificate is not None and key is not None else None,
    )
    beside = log_key is None  # started by hygie up: nobody reads
    services.witness(frame.folder.path, place=place, ready_fd=ready_fd, tell=None if beside else tell)
