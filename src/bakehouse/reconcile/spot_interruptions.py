"""Spot instances end when their guests were told that they would.

The notice is a record, so it outlives a server; one that was due while no server ran is followed by the next.
"""

import asyncio
from dataclasses import replace
from typing import Final

import structlog

from bakehouse.domain.instance import Instance, InstanceEvent, InstanceState, next_state
from bakehouse.domain.spot_request import INTERRUPTED
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import SagaEngine
from bakehouse.sagas.terminate_instance import TERMINATE_INSTANCE, TerminateInstance

_log: Final = structlog.get_logger(__name__)

_PERIOD_S: Final = 0.5

#: States of instances that are still there to be taken away.
_THERE: Final = frozenset({InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.STOPPED})


class SpotInterruptions:
    """Ends interrupted spot instances in time."""

    def __init__(self, context: SagaContext, sagas: SagaEngine) -> None:
        """Change these records through these sagas."""
        self._context = context
        self._sagas = sagas

    async def watch_forever(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the next look comes all the same
                _log.exception("could not interrupt a spot instance")
            await asyncio.sleep(_PERIOD_S)

    async def look(self) -> None:
        """End those whose time has come."""
        store, now = self._context.store, self._context.now()
        for request in list(store.spot_requests.by("interrupted")[True].values()):
            instance = store.instances.get(request.instance_id)
            is_due = request.interruption is not None and request.interruption.at <= now
            if is_due and instance is not None and instance.state in _THERE:
                await self._terminate(instance)

    async def _terminate(self, instance: Instance) -> None:
        _log.info("the spot instance is interrupted", instance=instance.id)
        async with self._context.store.transaction() as tx:
            state = next_state(instance, InstanceEvent.TERMINATE_REQUESTED)
            ending = replace(instance, state=state, state_reason=INTERRUPTED, transition_reason=INTERRUPTED.code)
            tx.put(ending)
            params = TerminateInstance(instance.id, force=instance.state is InstanceState.STOPPED)
            saga = self._sagas.enlist(tx, TERMINATE_INSTANCE, params, subject_id=instance.id)
        self._sagas.begin(saga)
