"""The part of the control service that is about storage.

What takes its time answers with one JSON object a line: `{"fraction": 0.5}` while a check goes on, `{}` while a volume
is flattened, and at the end what came of it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bakehouse.app.storage import Storage
from bakehouse.domain.errors import Ec2Error

_HEARTBEAT_S: Final = 5.0


class StorageControl:
    """Handlers of `bakehouse storage`."""

    def __init__(self, storage: Storage) -> None:
        """Answer for one host's storage."""
        self._storage = storage

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/storage/usage", self._usage),
            Route("/storage/check", self._check, methods=["POST"]),
            Route("/storage/flatten", self._flatten, methods=["POST"]),
        ]

    async def _usage(self, _request: Request) -> Response:
        return JSONResponse(asdict(await self._storage.usage()))

    async def _flatten(self, request: Request) -> Response:
        volume_id = str((await request.json())["volume_id"])
        return StreamingResponse(self._flattening(volume_id), media_type="application/x-ndjson")

    async def _flattening(self, volume_id: str) -> AsyncIterator[str]:
        working = asyncio.create_task(self._storage.flatten(volume_id))
        try:
            while not (await asyncio.wait({working}, timeout=_HEARTBEAT_S))[0]:
                yield "{}\n"
            yield json.dumps({"layers": working.result()}) + "\n"
        except Ec2Error as refusal:
            yield json.dumps({"error": refusal.code, "message": refusal.message}) + "\n"
        finally:
            working.cancel()  # Whoever asked has gone away; the volume is as it was. Ended, nothing is left to cancel.

    async def _check(self, request: Request) -> Response:
        repair = bool((await request.json()).get("repair"))
        return StreamingResponse(self._checking(repair=repair), media_type="application/x-ndjson")

    async def _checking(self, *, repair: bool) -> AsyncIterator[str]:
        fractions: asyncio.Queue[float | None] = asyncio.Queue()
        checking = asyncio.create_task(self._storage.check(repair=repair, progress=fractions.put_nowait))
        checking.add_done_callback(lambda _done: fractions.put_nowait(None))
        try:
            fraction: float | None = 0.0
            while fraction is not None:
                yield json.dumps({"fraction": fraction}) + "\n"
                with suppress(TimeoutError):  # A large layer takes its time; who waits hears that we are there.
                    async with asyncio.timeout(_HEARTBEAT_S):
                        fraction = await fractions.get()
            found = checking.result()
            yield json.dumps(asdict(found) | {"is_whole": found.is_whole}) + "\n"
        finally:
            checking.cancel()  # Whoever asked has gone away; ended, nothing is left to cancel.
