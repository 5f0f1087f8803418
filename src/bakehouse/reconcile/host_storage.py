"""The host's storage while the server runs: layers are merged and summed up, and what nobody wants is removed."""

import asyncio
from typing import Final

import structlog

from bakehouse.ports.storage_upkeep import Tended
from bakehouse.ports.volumes import VolumeInUse
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.unrecorded import Unrecorded, delete_all, unrecorded

_log: Final = structlog.get_logger(__name__)


class HostStorage:
    """Tends the volume store beside everything else."""

    def __init__(self, context: SagaContext) -> None:
        """Begin with nothing seen."""
        self._context = context
        self._seen = Unrecorded()

    async def tend_forever(self, period_s: float) -> None:
        """Do what upkeep there is, one step after the other, and look for more every period; until cancelled."""
        while True:
            try:
                did = await self._tend()
            except Exception:  # noqa: BLE001 - the next period comes all the same
                _log.exception("the upkeep of the storage failed")
                did = None
            if did in (None, Tended.FAILED):
                await asyncio.sleep(period_s)

    async def remove_unrecorded(self) -> Unrecorded:
        """Remove the bytes of volumes and snapshots that had no record at the last look either; return them."""
        found = unrecorded(self._context.store, await self._context.volumes.inventory())
        unwanted, self._seen = found & self._seen, found
        for resource_id in unwanted.ids:
            _log.warning("nobody knows of these bytes; deleting them", id=resource_id)
        try:
            await delete_all(unwanted, self._context.volumes)
        except VolumeInUse as err:
            _log.warning("a process holds a volume that nobody knows of", volume=str(err))
        return unwanted

    async def _tend(self) -> Tended | None:
        step = await self._context.volumes.upkeep.tend()
        if step is None:
            return None
        if step.did is Tended.FAILED:
            _log.error("the storage could not be tended", subject=step.subject, error=step.detail)
        elif step.did is not Tended.SUMMED:
            _log.info("tended the storage", did=step.did.value, subject=step.subject, detail=step.detail)
        return step.did
