"""``hygie rotate``: replace a key. Data are never encrypted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hygie.base.errors import InvalidRequestError
from hygie.base.language import say
from hygie.cli.acts import run_custody
from hygie.cli.errors import NotConfirmedError
from hygie.cli.frame import Frame, frame_of

if TYPE_CHECKING:
    from hygie.base.permit import Place
    from hygie.custody import Custody
    from hygie.gate.administration import Administration

Level = Literal["root", "tenant", "environment", "epoch", "signing"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "rotate",
        help=say(
            fr="Remplace une clé : root, tenant CLIENT, environment CLIENT ENV, epoch CLIENT ENV, signing --purpose."
            " Une époque détruite avec --destroy-older clôt les effacements : irréversible.",
            en="Replace a key: root, tenant NAME, environment NAME ENV, epoch NAME ENV, signing --purpose."
            " Epochs destroyed with --destroy-older close the erasures: irreversible.",
        ),
        epilog=say(fr="Exemple", en="Example") + ": hygie rotate epoch chu-x prod --destroy-older --confirm chu-x/prod",
    )(rotate)


def rotate(
    context: typer.Context,
    level: Annotated[Level, typer.Argument(help="root, tenant, environment, epoch, signing.")],
    tenant: Annotated[str, typer.Argument(help="Client.")] = "",
    environment: Annotated[str, typer.Argument(help=say(fr="Environnement.", en="Environment."))] = "",
    destroy_older: Annotated[
        bool,
        typer.Option("--destroy-older", help=say(fr="Détruire les époques précédentes.", en="Destroy older epochs.")),
    ] = False,
    purpose: Annotated[
        str,
        typer.Option(
            help=say(
                fr="Avec signing : backup, erasure, drill, journal.",
                en="With signing: backup, erasure, drill, journal.",
            )
        ),
    ] = "",
    confirm: Annotated[
        str, typer.Option(help=say(fr="CLIENT/ENVIRONNEMENT, répétés.", en="TENANT/ENVIRONMENT once more."))
    ] = "",
) -> None:
    """Replace a key."""
    frame = frame_of(context)
    if destroy_older and (level != "epoch" or confirm != f"{tenant}/{environment}"):
        raise NotConfirmedError(expected=f"{tenant}/{environment}")
    if level == "epoch":
        run_custody(frame, lambda custody, acts: _epoch(frame, custody, acts, (tenant, environment), destroy_older))
    elif level == "signing":
        run_custody(frame, lambda custody, _: _signing(frame, custody, purpose))
    else:
        run_custody(frame, lambda custody, acts: _key(frame, custody, acts, level, (tenant, environment)))


async def _epoch(
    frame: Frame, custody: Custody, acts: Administration, names: tuple[str, str], destroy_older: bool
) -> None:
    from hygie.base.actions import Action
    from hygie.gate.everywhere import EVERYWHERE

    place = (await acts.environment(*names)).place
    what = {"level": "epoch", "tenant": names[0], "environment": names[1]}
    await custody.require_two(Action.KEY_ROTATE, EVERYWHERE, what | ({"destroy": "older"} if destroy_older else {}))
    with frame.out.step(say(fr="Nouvelle époque", en="New epoch")):
        turn = await custody.turn(place, destroy_older=destroy_older)
    await acts.publish()
    frame.out.line(
        say(
            fr=f"Époque {turn.epoch} : {turn.moved} clés réemballées, {len(turn.destroyed)} époques détruites,"
            f" {len(turn.closed)} effacements clos, {len(turn.waiting)} en attente des copies de sauvegarde.",
            en=f"Epoch {turn.epoch}: {turn.moved} keys wrapped anew, {len(turn.destroyed)} epochs destroyed,"
            f" {len(turn.closed)} erasures closed, {len(turn.waiting)} waiting for copies in backups.",
        )
    )
    frame.out.result(
        {
            "epoch": turn.epoch,
            "moved": turn.moved,
            "destroyed": turn.destroyed,
            "erasures_closed": turn.closed,
            "erasures_waiting": turn.waiting,
        }
    )


async def _key(
    frame: Frame,
    custody: Custody,
    acts: Administration,
    level: Literal["root", "tenant", "environment"],
    names: tuple[str, str],
) -> None:
    from hygie.base.actions import Action
    from hygie.gate.everywhere import EVERYWHERE

    place = await _place(acts, level, names)
    named = {"tenant": names[0], "environment": names[1] if level == "environment" else ""} if level != "root" else {}
    what = {"level": level} | {name: value for name, value in named.items() if value}
    await custody.require_two(Action.KEY_ROTATE, EVERYWHERE, what)
    with frame.out.step(say(fr=f"Clé remplacée : {level}", en=f"Key replaced: {level}")):
        async with custody.operator.act(Action.KEY_ROTATE, place, detail={"level": level}):
            if level == "root":
                await custody.house.kms.rotate("root")
            elif level == "tenant":
                await custody.house.kms.rotate("tenant", place.tenant_id)
            else:
                await custody.house.kms.rotate("environment", place.tenant_id, place.environment_id)
    frame.out.result({"level": level, "rotated": True})


async def _place(acts: Administration, level: str, names: tuple[str, str]) -> Place:
    """Whose key. Raises: NotFoundError; InvalidRequestError: no environment of that client yet."""
    from hygie.base.permit import Place
    from hygie.gate.everywhere import EVERYWHERE
    from hygie.journal.entry import PLATFORM

    if level == "root":
        return EVERYWHERE
    if level == "environment":
        return (await acts.environment(*names)).place
    return Place(await acts.tenant_id(names[0]), PLATFORM, "")


async def _signing(frame: Frame, custody: Custody, purpose: str) -> None:
    from hygie.base.actions import Action
    from hygie.gate.everywhere import EVERYWHERE
    from hygie.keys.kms import SIGNING_PURPOSES

    if purpose not in SIGNING_PURPOSES:
        raise InvalidRequestError(reason="--purpose: " + ", ".join(SIGNING_PURPOSES))
    await custody.require_two(Action.KEY_ROTATE, EVERYWHERE, {"level": "signing", "purpose": purpose})
    with frame.out.step(say(fr=f"Clé de signature remplacée : {purpose}", en=f"Signing key replaced: {purpose}")):
        async with custody.operator.act(Action.KEY_ROTATE, detail={"level": "signing", "purpose": purpose}) as act:
            public_key = await custody.house.kms.rotate_signing_key(purpose)
            act.detail["public_key"] = public_key.hex()
    if purpose == "journal":
        frame.out.warn(
            say(
                fr="Relancez hygie up, et publiez la nouvelle clé (hygie journal key) à côté de l'ancienne.",
                en="Start hygie up again, and publish the new key (hygie journal key) beside the former one.",
            )
        )
    frame.out.result({"level": "signing", "purpose": purpose, "public_key": public_key.hex()})
