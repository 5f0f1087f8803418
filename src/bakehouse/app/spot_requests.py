"""Spot instance requests: how they stand, their end, and interruptions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.domain import shown_afterwards
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import not_found
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.spot_request import (
    Interruption,
    SpotRequest,
    SpotState,
    SpotStatus,
    end_code,
    ended_at,
    not_a_spot_instance,
    status_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotDetails:
    """A request and how it stands."""

    request: SpotRequest
    status: SpotStatus


class SpotRequests:
    """Use cases on spot requests."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, request_ids: Sequence[str] | None = None) -> list[SpotDetails]:
        """Return the caller's requests, all or these; refuse those that are not there."""
        store = self._context.store
        if not request_ids:
            return [self._details(it) for it in scope(store.spot_requests, caller)]
        return [self._details(it) for it in owned(store.spot_requests, caller, "spot-instances-request", request_ids)]

    def of_instance(self, instance_id: str) -> SpotDetails | None:
        """Return the request that an instance fulfils, None when it is no spot instance."""
        found = self._context.store.spot_requests.by("instance")[instance_id].values()
        return next((self._details(it) for it in found), None)

    async def cancel(self, caller: Caller, request_ids: Sequence[str]) -> list[SpotDetails]:
        """Cancel requests; their instances run on. One that has ended stays as it is."""
        requests = owned(self._context.store.spot_requests, caller, "spot-instances-request", request_ids)
        async with self._context.store.transaction() as tx:
            for request in requests:
                if self._details(request).status.state is SpotState.ACTIVE:
                    tx.put(replace(request, cancelled_at=self._context.now()))
            # Here, since one that ended hours ago may be forgotten while this is written.
            return [self._details(self._context.store.spot_requests[request.id]) for request in requests]

    async def interrupt(self, instance_id: str, after: timedelta) -> Interruption:
        """Tell a spot instance's guest that it ends after so long; the reconciler ends it then.

        Refuses an instance that is not there or runs no more, or is no spot instance: InvalidInstanceID.NotFound,
        UnsupportedOperation. A second notice does not put off the first.
        """
        store = self._context.store
        instance = store.instances.get(instance_id)
        if instance is None:
            raise not_found("instance", [instance_id])
        request = next(iter(store.spot_requests.by("instance")[instance_id].values()), None)
        if request is None or instance.state is not InstanceState.RUNNING:
            raise not_a_spot_instance(instance_id)
        if request.interruption is not None:
            return request.interruption
        now = self._context.now()
        interruption = Interruption(noticed_at=now, at=now + after)
        async with store.transaction() as tx:
            tx.put(replace(request, interruption=interruption))
        return interruption

    async def settle(self) -> None:
        """Write down which requests have ended with their instances, and forget those that ended hours ago."""
        store, now = self._context.store, self._context.now()
        async with store.transaction() as tx:
            for request in list(store.spot_requests):
                instance = store.instances.get(request.instance_id)
                if request.ended_at is not None:
                    if request.ended_at + shown_afterwards.SPOT_REQUEST < now:
                        tx.delete(request)
                elif instance is None or instance.state is InstanceState.TERMINATED:
                    ended = min(ended_at(request, instance), now)
                    tx.put(replace(request, ended_at=ended, ended_code=end_code(request, instance)))

    def _details(self, request: SpotRequest) -> SpotDetails:
        instance = self._context.store.instances.get(request.instance_id)
        return SpotDetails(request=request, status=status_of(request, instance))
