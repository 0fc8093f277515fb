"""What the kernel says of sockets: TCP from Linux's /proc/net, unix sockets and who is at both ends from its sock_diag.

Sources: proc(5), sock_diag(7).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ESTABLISHED = "01"
ASKING = "02"  # SYN_SENT
LISTENING = "0A"
UNIX_LISTENING = 10
UNIX_ESTABLISHED = 1
ANSWER_S_MAX = 5.0

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2
_SHOW_NAME, _SHOW_PEER, _SHOW_UID = 0x1, 0x4, 0x40
_NAME, _PEER, _UID = 0, 2, 7
_HEAD = struct.Struct("=IHHII")
_ASK = struct.Struct("=BBHIIIII")
_TOLD = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_ALL = 0xFFFFFFFF


class TcpSocket(NamedTuple):
    """One TCP socket. state: as the kernel codes it; uid: the account that opened it."""

    inode: str
    state: str
    address: str
    port: int
    far_address: str
    far_port: int
    uid: int


class UnixSocket(NamedTuple):
    """One unix socket. name: its path, ``@…`` when it is abstract, nothing when it has none; peer: the inode of the
    other end, nothing when there is none; uid: the account that made it, -1 when the kernel does not tell."""

    inode: str
    state: int
    name: str
    peer: str
    uid: int


def tcp_sockets(proc: Path) -> Iterator[TcpSocket]:
    """Every TCP socket of this network namespace."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            near, far = _place(fields[1]), _place(fields[2])
            yield TcpSocket(fields[9], fields[3], *near, *far, int(fields[7]))


def unix_sockets() -> list[UnixSocket]:
    """Every unix stream socket of this network namespace. Raises: OSError: the kernel does not tell (not Linux)."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError("sock_diag")
    ask = _ASK.pack(socket.AF_UNIX, 0, 0, _ALL, 0, _SHOW_NAME | _SHOW_PEER | _SHOW_UID, _ALL, _ALL)
    found: list[UnixSocket] = []
    with socket.socket(family, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(ANSWER_S_MAX)
        netlink.send(_HEAD.pack(_HEAD.size + len(ask), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + ask)
        while True:
            data, at = netlink.recv(1 << 17), 0
            while at < len(data):
                length, kind, *_ = _HEAD.unpack_from(data, at)
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", data, at + _HEAD.size)[0], "sock_diag")
                found += _unix_socket(data[at + _HEAD.size : at + length])
                at += _aligned(length)


def socket_inodes(folder: Path) -> Iterator[str]:
    """Inodes of the sockets in a process's ``fd`` folder. Raises: PermissionError, FileNotFoundError."""
    for entry in list(folder.iterdir()):
        try:
            link = str(entry.readlink())
        except FileNotFoundError:
            continue
        if link.startswith("socket:["):
            yield link[8:-1]


def holders(proc: Path) -> dict[str, int]:
    """Inode → a process that holds it, for the sockets of every process that this account may look into."""
    held: dict[str, int] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(PermissionError, FileNotFoundError, ProcessLookupError):
                held.update(dict.fromkeys(socket_inodes(entry / "fd"), int(entry.name)))
    return held


def _place(text: str) -> tuple[str, int]:
    address, port = text.split(":")
    return _readable(address), int(port, 16)


def _readable(address: str) -> str:
    """Words of 32 bits in the machine's order; an IPv4 address inside IPv6 is told as itself."""
    raw = bytes.fromhex(address)
    words = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    told = ipaddress.ip_address(words)
    return str(getattr(told, "ipv4_mapped", None) or told)


def _unix_socket(message: bytes) -> Iterator[UnixSocket]:
    _, kind, state, _, inode, *_ = _TOLD.unpack_from(message)
    if kind != socket.SOCK_STREAM:
        return
    name, peer, uid, at = "", "", -1, _TOLD.size
    while at < len(message):
        length, what = _ATTRIBUTE.unpack_from(message, at)
        value = message[at + _ATTRIBUTE.size : at + length]
        if what == _NAME:
            name = "@" + _plain(value[1:]) if value[:1] == b"\0" else _plain(value.rstrip(b"\0"))
        elif what == _PEER:
            peer = str(struct.unpack("=I", value)[0])
        elif what == _UID:
            uid = struct.unpack("=I", value)[0]
        at += _aligned(length)
    yield UnixSocket(str(inode), state, name, peer, uid)


def _plain(name: bytes) -> str:
    """A name of any bytes as a text that can be kept and shown: no UTF-8, or a control, is told in hexadecimal."""
    told = name.decode(errors="backslashreplace")
    return "".join(f"\\x{ord(one):02x}" if unicodedata.category(one) == "Cc" else one for one in told)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
