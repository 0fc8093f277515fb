"""The KMS's own process: a private unix socket, the kernel's word on who asks, bounds on everything.

``run_kms`` serves until SIGTERM (``hygie kms``).  It logs ids and codes, never a key, a passphrase or a share.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket as sockets
from collections.abc import Iterable
from pathlib import Path

from hygie.base.errors import HygieError
from hygie.base.hardening import harden_process
from hygie.keys.desk import Desk
from hygie.keys.errors import KmsRequestError, KmsSettingsError, KmsUnavailableError, PeerRefusedError
from hygie.keys.file_kms import FileKms
from hygie.keys.messages import CALL, HEAD, QUESTION_BYTES_MAX, AnyQuestion, answer_frame, read_question
from hygie.keys.peer import Peer, peer_of
from hygie.keys.sealing import Secret

CONNECTIONS_MAX = 64  # one per hosting process and a few commands; a process has at most a few dozen
IN_FLIGHT_MAX = 64  # questions under way per connection, answers not yet read included; beyond, its reading waits
FRAME_TIMEOUT_S = 10.0  # a frame that began is whole within this, or its connection ends
SOCKET_PATH_BYTES_MAX = 100  # sun_path has 104 bytes on macOS, 108 on Linux
SAVE_INTERVAL_S = 5.0
ROOT = 0

log = logging.getLogger("hygie.keys")


class KmsServer:
    """Serves one opened FileKms on one socket."""

    def __init__(
        self,
        kms: FileKms,
        socket: Path,
        *,
        allowed_uids: Iterable[int] = (),
        admin_uids: Iterable[int] | None = None,
        admin_gids: Iterable[int] = (),
        frame_timeout_s: float = FRAME_TIMEOUT_S,
    ) -> None:
        """Args: allowed_uids: users besides this process's own; admin_uids: who may sign, destroy, rotate, export,
        unseal (default: this process's own user, and root); admin_gids: allowed users who are in one of these groups
        may too."""
        self._desk = Desk(kms)
        self._socket = socket
        self._admin_uids = frozenset({os.geteuid(), ROOT} if admin_uids is None else admin_uids)
        self._admin_gids = frozenset(admin_gids)
        self._allowed_uids = frozenset({os.geteuid(), *allowed_uids}) | self._admin_uids
        self._frame_timeout_s = frame_timeout_s
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._saver: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. The file KMS holds the folder's lock, so a socket file found here is a dead one's.

        Raises: KmsSettingsError: the path is too long, or its folder is open to other users.
        """
        listener = _listen(self._socket, shared=bool(self._allowed_uids - {os.geteuid(), ROOT}))
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=QUESTION_BYTES_MAX)
        self._saver = asyncio.create_task(self._save())

    async def stop(self) -> None:
        """Stop listening, end the connections, finish what is under way."""
        assert self._server is not None
        assert self._saver is not None
        self._server.close()
        self._saver.cancel()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(self._saver, *self._connections, return_exceptions=True)
        await self._server.wait_closed()
        await self._desk.close()
        self._socket.unlink(missing_ok=True)

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            try:
                await self._desk.save_counts()
            except HygieError as error:
                log.warning("counts not saved: %s", error.code)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            peer = peer_of(writer.get_extra_info("socket"))
            if peer.uid not in self._allowed_uids or len(self._connections) > CONNECTIONS_MAX:
                log.warning("connection refused: pid %d uid %d", peer.pid, peer.uid)
                writer.write(answer_frame(0, PeerRefusedError()))
                return
            await self._serve(reader, writer, peer)
        except (OSError, HygieError) as error:
            log.warning("connection ended: %s", type(error).__name__)
        except asyncio.CancelledError:
            log.debug("connection ended: the service stops")
            writer.transport.abort()  # a peer that reads no answer would hold up the stop for ever
        finally:
            await self._hang_up(writer)
            self._connections.discard(task)

    async def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        """Close a connection; one whose peer does not take its last answers is dropped."""
        writer.close()
        try:
            async with asyncio.timeout(self._frame_timeout_s):
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        room = asyncio.Semaphore(IN_FLIGHT_MAX)
        administers = peer.uid in self._admin_uids or bool(peer.gids & self._admin_gids)
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    body = await self._frame(reader)
                except (OSError, EOFError, TimeoutError, KmsRequestError) as error:
                    log.warning("connection ended: %s, pid %d uid %d", type(error).__name__, peer.pid, peer.uid)
                    return
                if not body:
                    return
                await room.acquire()
                group.create_task(self._answer(body, writer, peer, administers, room))

    async def _frame(self, reader: asyncio.StreamReader) -> bytes:
        """The next question's bytes; empty: the peer closed between two. Waits for ever for its first byte only."""
        head = await reader.read(1)
        if not head:
            return b""
        async with asyncio.timeout(self._frame_timeout_s):
            size = HEAD.unpack(head + await reader.readexactly(HEAD.size - 1))[0]
            if not CALL.size < size <= QUESTION_BYTES_MAX:
                raise KmsRequestError(reason=f"a frame has {CALL.size + 1} to {QUESTION_BYTES_MAX} bytes")
            return await reader.readexactly(size)

    async def _answer(
        self, body: bytes, writer: asyncio.StreamWriter, peer: Peer, administers: bool, room: asyncio.Semaphore
    ) -> None:
        call = CALL.unpack_from(body)[0]
        value: object
        question: AnyQuestion | None = None
        try:
            call, question = read_question(body)
            value = await self._desk.answer(question, peer, administers=administers)
        except HygieError as error:
            log.info("%s: %s, pid %d uid %d", type(question).__name__, error.code, peer.pid, peer.uid)
            value = error
        except Exception as error:
            # A programming mistake must not leave the caller waiting; its text may hold keys, so only its type is told.
            log.error("%s failed: %s", type(question).__name__, type(error).__name__)
            value = KmsUnavailableError(part="kms failure")
        try:
            writer.write(answer_frame(call, value))
            await writer.drain()
        except OSError:
            return  # the peer went away: what waits for it is dropped
        finally:
            room.release()  # only now: a peer that reads no answer is asked for no further question


def _listen(path: Path, *, shared: bool) -> sockets.socket:
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise KmsSettingsError(setting="kms.socket", reason=f"longer than {SOCKET_PATH_BYTES_MAX} bytes")
    folder = path.parent.stat()
    if folder.st_uid not in {os.geteuid(), 0} or (folder.st_mode & 0o022 and not folder.st_mode & 0o1000):
        raise KmsSettingsError(setting="kms.socket", reason="its folder can be written by other users")
    path.unlink(missing_ok=True)
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        if shared:  # the folder and SO_PEERCRED decide; the file itself must let the allowed users connect
            path.chmod(0o666)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve_kms(server: KmsServer, *, ready_fd: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT. ready_fd: gets one newline once the socket listens, then is closed."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await server.start()
    if ready_fd is not None:
        os.write(ready_fd, b"\n")
        os.close(ready_fd)
    try:
        await stopping.wait()
    finally:
        await server.stop()


def run_kms(
    state: Path,
    socket: Path,
    *,
    secret: Secret | None,
    production: bool = False,
    allowed_uids: Iterable[int] = (),
    admin_uids: Iterable[int] | None = None,
    admin_gids: Iterable[int] = (),
    ready_fd: int | None = None,
) -> None:
    """The whole life of the KMS's process. Blocks.

    Args: secret: opens the root at once; None: it waits sealed for :meth:`KmsClient.unseal`; the others: see
    :class:`KmsServer`.
    Raises: SettingsError, IntegrityError, WrongPassphraseError: it does not start.
    """
    harden_process()
    kms = FileKms(state, production=production)
    kms.open()
    try:
        if secret is not None:
            kms.unseal(secret)
        server = KmsServer(kms, socket, allowed_uids=allowed_uids, admin_uids=admin_uids, admin_gids=admin_gids)
        asyncio.run(serve_kms(server, ready_fd=ready_fd))
    finally:
        kms.close()
