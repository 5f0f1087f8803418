"""Serial consoles for an account's users, on the API's port: `/serial-console/INSTANCE-ID`.

A request carries a signature of version 4 for the service `ec2`, as every request does; a presigned URL is enough,
which is what a browser can use. As the path is signed, a URL opens one instance's console; as the date is, it opens
none after `X-Amz-Expires`. The same URL gives a browser a page with a plain terminal, and the page its WebSocket
(`serial_socket.py`). A connection that was opened lasts until somebody closes it.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from starlette.responses import HTMLResponse, JSONResponse
from starlette.websockets import WebSocket

from bakehouse.app.app import App
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.protocol.errors import ProtocolError
from bakehouse.server import serial_socket

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH: Final = b"/serial-console/"

_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class SerialConsoles:
    """Answers requests below `PATH`. An ASGI application."""

    def __init__(self, app: App, signer: Callable[[Scope], Awaitable[Caller]]) -> None:
        """Ask `signer` who signed a request; it raises ProtocolError for nobody."""
        self._app = app
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one connection to its end."""
        if scope["type"] == "websocket":
            await self._connect(WebSocket(scope, receive, send))
            return
        try:
            await self._signer(scope)
        except ProtocolError as refusal:
            answer: JSONResponse | HTMLResponse = JSONResponse(
                {"error": refusal.code, "message": refusal.message}, refusal.http_status
            )
        else:
            page, policy = _page()
            # The URL is as good as a key for a while: no other site may learn it, no cache keep it.
            headers = {"content-security-policy": policy, "referrer-policy": "no-referrer", "cache-control": "no-store"}
            answer = HTMLResponse(page, headers=headers)
        await answer(scope, receive, send)

    async def _connect(self, socket: WebSocket) -> None:
        try:
            caller = await self._signer(socket.scope)
            console = await self._app.consoles.connect(
                caller, socket.scope["raw_path"].removeprefix(PATH).decode(errors="replace")
            )
        except ProtocolError as refusal:
            await serial_socket.refuse(socket, refusal.http_status, refusal.code, refusal.message)
        except Ec2Error as refusal:
            await serial_socket.refuse(socket, refusal.status, refusal.code, refusal.message)
        else:
            await serial_socket.hand_on(socket, console)


@cache
def _page() -> tuple[bytes, str]:
    """Return the page, and what it may do: run its own script and connect to where it came from."""
    page = files("bakehouse.server").joinpath("serial_console.html").read_bytes()
    digests = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _SCRIPT.findall(page))
    scripts = " ".join(f"'sha256-{digest}'" for digest in digests)
    return page, (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
