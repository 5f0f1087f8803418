"""A session on a serial console: this terminal becomes the guest's, until its escape key or the machine's end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from bakehouse.cli.escape_keys import Command, EscapeKeys, SysRq, key_name
from bakehouse.cli.home import control_address, with_home
from bakehouse.cli.terminal import CommandFailed

_READ_BYTES: Final = 4096
#: How often a server that went away is looked for.
_RETRY_S: Final = 0.3
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


class Detached(Exception):
    """The session was left on purpose."""


class MachineEnded(Exception):
    """There is no machine any more."""


def converse(home: Path, instance_id: str, escape: bytes) -> str:
    """Connect this terminal to an instance's serial console and return why it ended, in a few words.

    The terminal is as it was before, however it ends. A server that goes away is waited for.
    """
    session = _Session(home, instance_id, escape)
    with _raw_terminal():
        try:
            asyncio.run(session.run())
        except Detached:
            return "detached"
        except MachineEnded:
            return f"{instance_id} does not run any more"
    raise AssertionError("a session ends by an exception")


class _Session:
    def __init__(self, home: Path, instance_id: str, escape: bytes) -> None:
        self._home = home
        self._instance_id = instance_id
        self._escape = key_name(escape)
        self._keys = EscapeKeys(escape)
        self._typed: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._connection: ClientConnection | None = None
        self._position: int | None = None

    async def run(self) -> None:
        """Go on until `Detached`, `MachineEnded` or `CommandFailed`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                typing = tasks.create_task(self._type())
                for number in _SIGNALS:
                    loop.add_signal_handler(number, self._typed.put_nowait, None)
                tasks.create_task(self._watch())
                await typing
        except ExceptionGroup as group:
            # Not `except*`: what that raises comes in a group of its own until Python 3.11.4.
            ends = group.subgroup((Detached, MachineEnded, CommandFailed))
            if ends is None:
                raise
            raise ends.exceptions[0] from None

    async def _watch(self) -> None:
        """Show what the guest writes, over as many servers as it takes."""
        async for connection in self._connections():
            self._connection = connection
            try:
                await self._show(connection)
            except ConnectionClosed:
                self._say(f"the server is gone; waiting for it, {self._escape} d leaves")
            finally:
                self._connection = None

    async def _connections(self) -> AsyncIterator[ClientConnection]:
        first = True
        while True:
            try:
                with control_address(self._home) as address:
                    connection = await unix_connect(address, self._uri(), proxy=None, compression=None, max_size=None)
            except InvalidStatus as err:
                raise CommandFailed(_reason(err.response.body)) from err
            except (CommandFailed, OSError, InvalidHandshake, EOFError) as err:
                if first and isinstance(err, CommandFailed):
                    raise
                if first:
                    log = with_home("bakehouse logs", self._home)
                    raise CommandFailed(f"the server does not answer: {err}", f"its log: `{log}`") from err
                await asyncio.sleep(_RETRY_S)
                continue
            async with connection:
                if first:
                    # Some kinds of files cannot be waited for, so a thread reads them all.
                    threading.Thread(target=self._read_keys, args=(asyncio.get_running_loop(),), daemon=True).start()
                    self._say(
                        f"{self._instance_id}: {self._escape} d detaches, {self._escape} ? says what else it does"
                    )
                else:
                    self._say("the server is back")
                first = False
                yield connection

    def _uri(self) -> str:
        place = "" if self._position is None else f"?position={self._position}"
        return f"ws://bakehouse/instances/{self._instance_id}/serial{place}"

    async def _show(self, connection: ClientConnection) -> None:
        async for message in connection:
            if isinstance(message, bytes):
                _write(sys.stdout.fileno(), message)
                self._position = (self._position or 0) + len(message)
                continue
            said: dict[str, Any] = json.loads(message)
            if said.get("ended"):
                raise MachineEnded
            self._position = said.get("position", self._position)
        # A server that ends says goodbye, which is no error to the library.
        raise ConnectionClosed(None, None)

    def _read_keys(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the loop may be closed by now
            while data := os.read(sys.stdin.fileno(), _READ_BYTES):
                loop.call_soon_threadsafe(self._typed.put_nowait, data)
            loop.call_soon_threadsafe(self._typed.put_nowait, None)

    async def _type(self) -> None:
        while (data := await self._typed.get()) is not None:
            for pressed in self._keys.feed(data):
                match pressed:
                    case Command.DETACH:
                        raise Detached
                    case Command.HELP:
                        self._say(_HELP.format(key=self._escape))
                    case Command.BREAK:
                        await self._send(json.dumps({"break": True}))
                    case SysRq(key):
                        await self._send(json.dumps({"sysrq": key}))
                    case bytes():
                        await self._send(pressed)
        raise Detached

    async def _send(self, message: bytes | str) -> None:
        """Send to the server; what is typed while there is none is lost."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._connection.send(message)

    def _say(self, text: str) -> None:
        """Say something beside the guest's words, on a terminal that begins no line by itself."""
        _write(sys.stderr.fileno(), b"\r\n".join([b"", *text.encode().splitlines(), b""]))


_HELP: Final = """{key} d  detach; the machine runs on
{key} b  send a BREAK
{key} s KEY  SysRq and a key: a BREAK, then the key
{key} {key}  send {key} itself"""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _reason(body: bytes | bytearray | None) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        message: str = json.loads(body or b"")["message"]
        return message
    return "the server refused the connection"


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Let every key through to the program for as long as the block lasts; nothing where there is no terminal."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
