"""Scheduled events for the host's owner, over the control socket."""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bakehouse.app.instance_events import InstanceEvents
from bakehouse.domain.instance_event import ScheduledEvent


class EventControl:
    """Handlers for `bakehouse event`."""

    def __init__(self, events: InstanceEvents) -> None:
        """Announce and take back these."""
        self._events = events

    def routes(self) -> list[Route]:
        """Return where they answer."""
        return [
            Route("/instances/{instance_id}/events", self._schedule, methods=["POST"]),
            Route("/instances/{instance_id}/events/{event_id}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _schedule(self, request: Request) -> Response:
        wanted = await request.json()
        event = await self._events.schedule(
            request.path_params["instance_id"], wanted["code"], timedelta(seconds=wanted["in_s"])
        )
        return JSONResponse(_view(event), status_code=201)

    async def _cancel(self, request: Request) -> Response:
        event = await self._events.cancel(request.path_params["instance_id"], request.path_params["event_id"])
        return JSONResponse(_view(event))


def _view(event: ScheduledEvent) -> dict[str, str]:
    return {"event_id": event.id, "code": event.code.value, "not_before": event.not_before.isoformat()}
