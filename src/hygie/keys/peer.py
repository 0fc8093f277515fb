"""Who is at the other end of a unix socket, as the kernel says."""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass

from hygie.keys.errors import PeerRefusedError

_MAC_LEVEL = 0  # SOL_LOCAL
_MAC_PEERCRED = 1
_MAC_PEERPID = 2
_MAC_XUCRED_BYTES = 76
_PEERGROUPS = 59  # SO_PEERGROUPS, socket(7), Linux 4.13; Python has no name for it
_GROUPS_MAX = 256


@dataclass(frozen=True, slots=True)
class Peer:
    """A process: its id (0 when the system does not tell), its user, its groups (none when it does not tell)."""

    pid: int
    uid: int
    gids: frozenset[int] = frozenset()


def this_process() -> Peer:
    """The process that runs this."""
    return Peer(os.getpid(), os.geteuid())


def peer_of(connection: socket.socket) -> Peer:
    """The peer of a connected unix socket.

    Raises: PeerRefusedError: the system does not tell.
    """
    try:
        if sys.platform == "darwin":
            raw = connection.getsockopt(_MAC_LEVEL, _MAC_PEERCRED, _MAC_XUCRED_BYTES)
            pid = struct.unpack("i", connection.getsockopt(_MAC_LEVEL, _MAC_PEERPID, 4))[0]
            return Peer(pid, struct.unpack_from("I", raw, 4)[0])
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, gid = struct.unpack("3i", raw)
        gids = frozenset({gid & 0xFFFFFFFF, *_groups_of(connection)})
    except (OSError, AttributeError, struct.error) as error:
        raise PeerRefusedError() from error
    return Peer(pid, uid & 0xFFFFFFFF, gids)


def _groups_of(connection: socket.socket) -> tuple[int, ...]:
    """The supplementary groups that the peer had when it connected; none when there are too many, or no such word."""
    size = struct.calcsize("I")
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, _GROUPS_MAX * size)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // size}I", raw)
