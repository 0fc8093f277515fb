"""One thread for each channel, so that a receiver that hangs holds up neither another channel nor a rule."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from hygie.base.channels import ChannelSettings
from hygie.base.layout import DataFolder
from hygie.watch.channels import DEADLINE_S, Wire, deliver
from hygie.watch.errors import ChannelUnreachableError
from hygie.watch.messages import Message

GRACE_S = 1.0  # what the thread has to notice that its connection was cut


class Courier:
    """Carries the messages of one channel, one at a time."""

    def __init__(self, channel: ChannelSettings, folder: DataFolder, *, seconds: float = DEADLINE_S) -> None:
        self.name = channel.name
        self._channel = channel
        self._folder = folder
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=f"channel-{channel.name}")
        self._wire: Wire | None = None
        self.closed = False

    async def carry(self, message: Message) -> str:
        """Deliver one message; what the receiver answered.

        Raises: as :func:`hygie.watch.channels.deliver`. A resolver or a disk that hangs keeps the thread, not the
        caller: the next message waits behind it, and fails likewise.
        """
        self._wire = wire = Wire(self._seconds)
        carrying = asyncio.get_running_loop().run_in_executor(
            self._threads, deliver, self._channel, self._folder, message, wire
        )
        try:
            return await asyncio.wait_for(carrying, self._seconds + GRACE_S)
        except TimeoutError as error:
            wire.cut()
            raise ChannelUnreachableError(channel=self.name, reason="timeout") from error

    def close(self) -> None:
        """Cut what is under way, and take nothing more."""
        self.closed = True
        if self._wire is not None:
            self._wire.cut()
        self._threads.shutdown(wait=False)
