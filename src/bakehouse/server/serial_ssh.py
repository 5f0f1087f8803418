"""SSH to serial consoles: the user name says which, a key that was sent a minute ago at the most lets in.

Source: EC2 User Guide, "Connect to the EC2 Serial Console". A session is a shell with or without a terminal; there are
no commands, no file transfers, no forwarding. A break of SSH's (RFC 4335, `~B` in OpenSSH) is one on the serial line.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncssh

from bakehouse.app.serial_sessions import SerialSessions
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance_connect import instance_of_serial_user
from bakehouse.ports.consoles import MachineGone, SerialConsole
from bakehouse.server.host_key import HostKey
from bakehouse.server.terminal_queries import without_queries

#: Source: the same: "The serial console connection typically lasts for one hour unless you terminate it".
SESSION_S: Final = 60 * 60

#: How much may be typed ahead of a guest that does not read: SSH's window, after which the client waits.
_WINDOW_BYTES: Final = 64 * 1024
_PIECES_AHEAD: Final = 64

#: How long clients may take to hear that the server ends.
_GOODBYE_S: Final = 2

#: Typed ahead like any key, for what was typed before comes before it.
_BREAK: Final = object()


class _Session(asyncssh.SSHServerSession[bytes]):
    """One client's shell: a connection to a console."""

    def __init__(self, sessions: SerialSessions, instance_id: str, tasks: set[asyncio.Task[None]]) -> None:
        self._sessions = sessions
        self._instance_id = instance_id
        self._tasks = tasks
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._work: asyncio.Task[None] | None = None
        self._typed: asyncio.Queue[bytes | object | None] = asyncio.Queue()
        """Pieces and breaks; None is the end."""
        self._may_show = asyncio.Event()
        self._may_show.set()

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def shell_requested(self) -> bool:
        return True

    def session_started(self) -> None:
        self._work = asyncio.create_task(self._run())
        self._tasks.add(self._work)
        self._work.add_done_callback(self._tasks.discard)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:  # noqa: ARG002 - there is one kind
        self._typed.put_nowait(data)
        if self._typed.qsize() >= _PIECES_AHEAD:
            self._channel.pause_reading()

    def break_received(self, msec: int) -> bool:  # noqa: ARG002 - the machine's breaks are all of one length
        if self._typed.qsize() >= _PIECES_AHEAD:
            return False
        self._typed.put_nowait(_BREAK)
        return True

    def eof_received(self) -> bool:
        self._typed.put_nowait(None)
        return True

    def pause_writing(self) -> None:
        self._may_show.clear()

    def resume_writing(self) -> None:
        self._may_show.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        if self._work is not None:
            self._work.cancel()

    async def _run(self) -> None:
        status = 1
        try:
            async with self._sessions.session(self._instance_id) as console:
                self._say(await self._converse(console))
            status = 0
        except Ec2Error as refusal:
            self._say(refusal.message)
        finally:
            with suppress(OSError):  # the client was faster
                self._channel.exit(status)

    async def _converse(self, console: SerialConsole) -> str:
        """Hand on both ways until either end hangs up, and return why it ended; nothing when the client did."""
        directions = [asyncio.create_task(work) for work in (self._show(console), self._type(console))]
        try:
            ended, _ = await asyncio.wait(directions, timeout=SESSION_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        if not ended:
            return "The session has lasted an hour: connect again, with a new key."
        return f"{self._instance_id} does not run any more." if directions[0] in ended else ""

    async def _show(self, console: SerialConsole) -> None:
        data = without_queries(await console.read())
        while data:
            self._channel.write(data)
            # What a client does not read stays in the console's log, and holds up nobody.
            await self._may_show.wait()
            data = await console.read()

    async def _type(self, console: SerialConsole) -> None:
        while (said := await self._typed.get()) is not None:
            if self._typed.empty():
                self._channel.resume_reading()
            # When the machine is gone, what it wrote last is still shown; that ends the session.
            with suppress(MachineGone):
                if isinstance(said, bytes):
                    await console.write(said)
                else:
                    await console.send_break()

    def _say(self, text: str) -> None:
        """Say something beside the guest's words, on a terminal that begins no line by itself."""
        if text:
            with suppress(OSError):
                self._channel.write_stderr(f"\r\n{text}\r\n".encode())


class _Server(asyncssh.SSHServer):
    """One client's connection."""

    def __init__(
        self,
        sessions: SerialSessions,
        connections: set[asyncssh.SSHServerConnection],
        tasks: set[asyncio.Task[None]],
    ) -> None:
        self._sessions = sessions
        self._connections = connections
        self._tasks = tasks
        self._connection: asyncssh.SSHServerConnection
        self._had_session = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        instance_id = instance_of_serial_user(username)
        if instance_id is None:
            self._connection.send_auth_banner(
                "The user name of a serial console is its instance's id and port: i-....port0\r\n"
            )
        elif not self._sessions.expects(instance_id):
            self._connection.send_auth_banner(
                f"No key was sent for {instance_id} in the last 60 seconds. Send one, and connect again:\r\n"
                f"aws ec2-instance-connect send-serial-console-ssh-public-key --instance-id {instance_id} "
                "--ssh-public-key file://KEY.pub\r\n"
            )
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        instance_id = instance_of_serial_user(username)
        return instance_id is not None and self._sessions.accepts(instance_id, key.public_data)

    def session_requested(self) -> _Session | bool:
        # A connection that is kept open would outlive its key: it has one session.
        instance_id = instance_of_serial_user(self._connection.get_extra_info("username"))
        if self._had_session or instance_id is None:
            return False
        self._had_session = True
        return _Session(self._sessions, instance_id, self._tasks)


@asynccontextmanager
async def listening(sessions: SerialSessions, key: HostKey, listener: socket.socket) -> AsyncIterator[None]:
    """Let clients in for as long as the block lasts; then hang up, and close the socket."""
    connections: set[asyncssh.SSHServerConnection] = set()
    tasks: set[asyncio.Task[None]] = set()
    options: dict[str, Any] = {
        "server_host_keys": [asyncssh.import_private_key(key.private)],
        "server_version": "Bakehouse",
        "agent_forwarding": False,
        "encoding": None,
        "gss_host": None,
        "line_editor": False,
        "window": _WINDOW_BYTES,
    }
    acceptor = await asyncssh.listen(
        sock=listener, server_factory=lambda: _Server(sessions, connections, tasks), **options
    )
    try:
        yield
    finally:
        acceptor.close()
        leaving = list(connections)
        for connection in leaving:
            connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await asyncio.gather(*(connection.wait_closed() for connection in leaving))
        for connection in list(connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
