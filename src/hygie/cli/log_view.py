"""What ``hygie register verify`` and ``hygie evidence verify`` say of a log that was verified."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hygie.base.language import say
from hygie.cli.acts import operator_name
from hygie.cli.errors import WritesLostError
from hygie.cli.frame import Frame
from hygie.registers.holes import ranges

if TYPE_CHECKING:
    from hygie.logkeeping import Verified


def verify_and_say(frame: Frame, log: str) -> None:
    """Verify one log of the running installation, and say it.

    Raises: WritesLostError: all is whole but for what was declared lost; and as ``logkeeping.verify_log``.
    """

    async def main() -> Verified:
        from hygie.app import open_house
        from hygie.logkeeping import verify_log

        async with open_house(frame.folder.path) as house:
            return await verify_log(house, log, operator_name())

    found = asyncio.run(main())
    frame.out.line(
        say(
            fr=f"{found.seq} écritures, chaîne suivie, {found.named} nommées par le journal publié et retrouvées ;"
            f" dernière empreinte {found.digest.hex()}",
            en=f"{found.seq} writes, the chain was followed, {found.named} named by the published journal and found;"
            f" last digest {found.digest.hex()}",
        )
    )
    frame.out.result(
        {
            "writes": found.seq,
            "digest": found.digest.hex(),
            "named": found.named,
            "declared_lost": [list(one) for one in found.declared],
        }
    )
    if found.declared:
        raise WritesLostError(log=log, numbers=ranges(found.declared))
