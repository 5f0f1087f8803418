"""Where SSH reaches serial consoles: a port of 127.0.0.1, and who waits there until the first client comes."""

import asyncio
import importlib
import socket
from typing import Final

import structlog

from bakehouse.app.serial_sessions import SerialSessions
from bakehouse.server.host_key import HostKey
from bakehouse.server.listener import tcp_socket

#: The first is the port of a server that is asked for none; the others are those of servers beside it. Those of the API
#: (8773) come after.
SERIAL_PORTS: Final = range(8722, 8772)

_log = structlog.get_logger()


def serial_console_socket(port: int | None) -> socket.socket:
    """Return a socket listening on a port of 127.0.0.1, or on the first one of `SERIAL_PORTS` that is free.

    Raises:
        OSError: The port is taken.
    """
    if port is not None:
        return tcp_socket(port)
    for usual in SERIAL_PORTS:
        try:
            return tcp_socket(usual)
        except OSError:
            continue
    return tcp_socket(0)


async def serve_serial_consoles(
    sessions: SerialSessions, key: HostKey, listener: socket.socket, stop: asyncio.Event
) -> None:
    """Serve SSH until `stop` is set; then hang up on everybody.

    What speaks SSH takes 0.4 s to load, which most servers never need: it is loaded when the first client knocks. A
    server that cannot load it goes on without.
    """
    try:
        if not await _knocked(listener, stop):
            return
        # In a thread: the server answers others meanwhile.
        await asyncio.to_thread(importlib.import_module, "bakehouse.server.serial_ssh")
        from bakehouse.server.serial_ssh import listening  # noqa: PLC0415 - loaded just now

        async with listening(sessions, key, listener):
            await stop.wait()
    except Exception as err:  # noqa: BLE001 - the API goes on, and the log has the reason
        _log.error("serial consoles are not served to SSH", exc_info=err)
    finally:
        listener.close()


async def _knocked(listener: socket.socket, stop: asyncio.Event) -> bool:
    """Wait until a client waits to be let in, and tell so; or until `stop` is set."""
    loop = asyncio.get_running_loop()
    knock = asyncio.Event()
    loop.add_reader(listener, knock.set)
    waiting = [asyncio.create_task(event.wait()) for event in (knock, stop)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(listener)
        for task in waiting:
            task.cancel()
    return not stop.is_set()
