"""The part of the control service that is about storage.

A check answers with one JSON object a line: `{"fraction": 0.5}` while it goes on, the whole finding at its end.
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

_HEARTBEAT_S: Final = 5.0


class StorageControl:
    """Handlers of `bakehouse storage`."""

    def __init__(self, storage: Storage) -> None:
        """Answer for one host's storage."""
        self._storage = storage

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/storage/usage", self._usage), Route("/storage/check", self._check, methods=["POST"])]

    async def _usage(self, _request: Request) -> Response:
        return JSONResponse(asdict(await self._storage.usage()))

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
