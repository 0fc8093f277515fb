"""A supervised process stops when its supervisor is gone, however that died: the kernel closes their common pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping

LIFELINE_VARIABLE = "HYGIE_LIFELINE_FD"


def hold_lifeline(environ: Mapping[str, str] | None = None) -> None:
    """Send SIGTERM to this process once the supervisor is gone; does nothing in a process that nobody supervises.

    Side effects: one daemon thread; the inherited descriptor is not handed to this process's own children.
    """
    number = (os.environ if environ is None else environ).get(LIFELINE_VARIABLE, "")
    if not number.isdigit():
        return
    descriptor = int(number)
    os.set_inheritable(descriptor, False)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
