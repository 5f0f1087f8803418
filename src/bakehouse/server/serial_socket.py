"""A serial console over a WebSocket.

Binary messages are what the guest writes and what is typed. Text messages are JSON: the server begins with
`{"position": N}`, as `SerialConsole.position`, and ends with `{"ended": true}` when the machine is gone; a client may
send `{"break": true}`, or `{"sysrq": "h"}` for a BREAK and a key.
"""

import asyncio
import json
from contextlib import suppress
from typing import Final

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from bakehouse.domain.console import check_sysrq_key
from bakehouse.domain.errors import Ec2Error
from bakehouse.ports.consoles import MachineGone, SerialConsole
from bakehouse.server.terminal_queries import without_queries

#: Messages that wait for a guest that does not read. What is typed beyond is lost, as on a real line.
_TYPED_AHEAD: Final = 1024


async def refuse(socket: WebSocket, status: int, code: str, message: str) -> None:
    """Answer a request for a connection with an error."""
    await socket.send_denial_response(JSONResponse({"error": code, "message": message}, status_code=status))


async def hand_on(socket: WebSocket, console: SerialConsole) -> None:
    """Accept a connection and hand on both ways, until either end hangs up; the console is closed in any case."""
    typed: asyncio.Queue[bytes | str] = asyncio.Queue(_TYPED_AHEAD)
    try:
        await socket.accept()
        await socket.send_text(json.dumps({"position": console.position}))
        directions = [
            asyncio.create_task(work)
            for work in (_show(socket, console), _type(typed, console), _listen(socket, typed))
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
    except WebSocketDisconnect:
        return
    finally:
        await console.close()


async def _show(socket: WebSocket, console: SerialConsole) -> None:
    # What was written before comes in one piece.
    data = without_queries(await console.read())
    while data:
        await socket.send_bytes(data)
        data = await console.read()
    await socket.send_text(json.dumps({"ended": True}))
    await socket.close()


async def _listen(socket: WebSocket, typed: asyncio.Queue[bytes | str]) -> None:
    while (message := await socket.receive())["type"] == "websocket.receive":
        said = message.get("bytes")
        with suppress(asyncio.QueueFull):
            typed.put_nowait(message["text"] if said is None else said)


async def _type(typed: asyncio.Queue[bytes | str], console: SerialConsole) -> None:
    while True:
        said = await typed.get()
        # When the machine is gone, what it wrote last is still shown; that ends the connection.
        with suppress(MachineGone):
            if isinstance(said, bytes):
                await console.write(said)
            else:
                await _obey(said, console)


async def _obey(said: str, console: SerialConsole) -> None:
    """Do what a text message says; one that says nothing known is no harm."""
    try:
        order = json.loads(said)
        key = "" if order.get("break") is True else order["sysrq"]
        if key:
            check_sysrq_key(key)
    except (ValueError, LookupError, TypeError, AttributeError, Ec2Error):
        return
    await console.send_break()
    await console.write(key.encode())
