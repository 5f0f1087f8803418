"""The control service: what the command line asks of its own server, on a Unix socket that only its owner may open.

Nothing of it is EC2's: server status, accounts, images from files of this host, consoles, shutdown. Answers are JSON;
imports and exports answer with one JSON object a line: `{"fraction": 0.5}` while they go on, `{"image_id": ...}` or
`{"bytes": ...}` at the end, or `{"error": ..., "message": ...}`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from bakehouse.app.app import App
from bakehouse.app.image_imports import ImportImage
from bakehouse.domain.account import AccessKey, Account
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.spot_request import NOTICE
from bakehouse.server import serial_socket
from bakehouse.server.event_control import EventControl
from bakehouse.server.key_control import KeyControl
from bakehouse.server.name_control import NameControl
from bakehouse.server.storage_control import StorageControl

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What does not change in a server's life."""

    version: str
    pid: int
    endpoint_url: str
    serial_console: str
    """Where SSH reaches serial consoles: an address and a port."""
    serial_host_key: str
    """The fingerprint of the key by which it is known there."""
    home: str
    region: str
    simulated: bool


class Control:
    """The handlers of the control service."""

    def __init__(self, app: App, facts: ServerFacts, shut_down: Callable[[bool], None]) -> None:
        """Answer for one server; `shut_down` takes whether the machines end too."""
        self._app = app
        self._facts = facts
        self._shut_down = shut_down

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/status", self._status),
                Route("/shutdown", self._shutdown, methods=["POST"]),
                Route("/accounts", self._accounts),
                Route("/accounts", self._create_account, methods=["POST"]),
                Route("/images/export", self._export_image, methods=["POST"]),
                Route("/images/import", self._import_image, methods=["POST"]),
                *StorageControl(self._app.storage).routes(),
                *EventControl(self._app.instance_events).routes(),
                *KeyControl(self._app.keys, self._app.accounts).routes(),
                *NameControl(self._app.public_names).routes(),
                Route("/instances/{instance_id}/console", self._console),
                WebSocketRoute("/instances/{instance_id}/serial", self._serial),
                Route("/instances/{instance_id}/sysrq", self._sysrq, methods=["POST"]),
                Route("/instances/{instance_id}/interruption", self._interrupt, methods=["POST"]),
                Route("/instances/{instance_id}/reach/{port:int}", self._reach),
            ],
            exception_handlers={Ec2Error: _refusal},
        )

    async def _status(self, _request: Request) -> Response:
        return JSONResponse(asdict(self._facts) | msgspec.to_builtins(await self._app.host.status()))

    async def _shutdown(self, request: Request) -> Response:
        self._shut_down(bool((await request.json()).get("machines")))
        return JSONResponse({})

    async def _accounts(self, _request: Request) -> Response:
        return JSONResponse([_account_view(account, keys) for account, keys in self._app.accounts.all()])

    async def _create_account(self, request: Request) -> Response:
        key = await self._app.accounts.create((await request.json())["name"])
        account, keys = next(entry for entry in self._app.accounts.all() if entry[0].id == key.account_id)
        return JSONResponse(_account_view(account, keys), status_code=201)

    async def _import_image(self, request: Request) -> Response:
        wanted = await request.json()
        caller = Caller(account_id=wanted.pop("account_id"), region=wanted.pop("region"))
        order = ImportImage(**{**wanted, "path": Path(wanted["path"])})

        async def importing(progress: Progress) -> dict[str, Any]:
            return {"image_id": (await self._app.images.import_file(caller, order, progress=progress)).id}

        return StreamingResponse(_lines(importing), media_type="application/x-ndjson")

    async def _export_image(self, request: Request) -> Response:
        wanted = await request.json()
        caller = Caller(account_id=wanted["account_id"], region=wanted["region"])
        image_id, path, file_format = wanted["image_id"], Path(wanted["path"]), wanted["format"]

        async def exporting(progress: Progress) -> dict[str, Any]:
            export = self._app.export_tasks.export_file
            return {"bytes": await export(caller, image_id, path, file_format, progress=progress)}

        return StreamingResponse(_lines(exporting), media_type="application/x-ndjson")

    async def _console(self, request: Request) -> Response:
        return Response(
            await self._app.host.console(request.path_params["instance_id"]), media_type="application/octet-stream"
        )

    async def _serial(self, socket: WebSocket) -> None:
        position = socket.query_params.get("position", "")
        try:
            console = await self._app.consoles.connect_owner(
                socket.path_params["instance_id"], position=int(position) if position.isdecimal() else None
            )
        except Ec2Error as refusal:
            await serial_socket.refuse(socket, 400, refusal.code, refusal.message)
            return
        await serial_socket.hand_on(socket, console)

    async def _sysrq(self, request: Request) -> Response:
        key = str((await request.json())["key"])
        await self._app.consoles.press_sysrq(request.path_params["instance_id"], key)
        return JSONResponse({})

    async def _interrupt(self, request: Request) -> Response:
        wanted = (await request.json()).get("in_s")
        after = NOTICE if wanted is None else timedelta(seconds=float(wanted))
        interruption = await self._app.spot_requests.interrupt(request.path_params["instance_id"], after)
        return JSONResponse({"at": interruption.at.isoformat(timespec="seconds")})

    async def _reach(self, request: Request) -> Response:
        where = await self._app.host.reach(request.path_params["instance_id"], request.path_params["port"])
        if where is None:
            return PlainTextResponse("the instance has no public address now", status_code=409)
        return JSONResponse(asdict(where))


async def _lines(work: Callable[[Progress], Awaitable[dict[str, Any]]]) -> AsyncIterator[str]:
    """Yield how far some work is, and at its end what it returned or why it was refused."""
    loop = asyncio.get_running_loop()
    fractions: asyncio.Queue[float | None] = asyncio.Queue()

    def progress(fraction: float) -> None:
        loop.call_soon_threadsafe(fractions.put_nowait, fraction)

    working = asyncio.ensure_future(work(progress))
    working.add_done_callback(lambda _done: fractions.put_nowait(None))
    try:
        while (fraction := await fractions.get()) is not None:
            yield _line(fraction=fraction)
    finally:
        # An import is a task of the server's and goes on; an export is nobody's when its client is gone.
        working.cancel()
    try:
        result = working.result()
    except Ec2Error as refusal:
        yield _line(error=refusal.code, message=refusal.message)
    else:
        yield _line(**result)


async def _refusal(_request: Request, error: Exception) -> Response:
    code, message = (error.code, error.message) if isinstance(error, Ec2Error) else ("InternalError", str(error))
    return JSONResponse({"error": code, "message": message}, status_code=400)


def _account_view(account: Account, keys: list[AccessKey]) -> dict[str, Any]:
    return {
        "account_id": account.id,
        "name": account.name,
        "created_at": account.created_at.isoformat(),
        "access_keys": [{"access_key_id": key.id, "secret_access_key": key.secret} for key in keys],
    }


def _line(**members: Any) -> str:  # noqa: ANN401 - plain JSON values
    return json.dumps(members) + "\n"
