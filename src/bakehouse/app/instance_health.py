"""Status checks of instances: guests are asked whether they are there, regularly and when somebody wants to know."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import structlog

from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.domain.instance_health import has_answered, heard, machine_unheard, unheard
from bakehouse.ports.network import NetworkUnavailable

_log: Final = structlog.get_logger(__name__)

#: A guest that was silent is not asked more often, whoever wants to know.
_PAUSE_S: Final = 2.0


class InstanceHealth:
    """Use cases on instances' health."""

    def __init__(self, context: AppContext) -> None:
        """Begin with nothing known but the records."""
        self._context = context
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._silent_since: dict[str, datetime] = {}
        """When a guest was first found silent, of those that were so the last time."""
        self._mute_since: dict[str, datetime] = {}
        """The same of machines."""

    async def look(self) -> None:
        """Ask every machine and every guest whether it is there, and write down what has changed by that."""
        machines = await self._context.hypervisor.observe()
        now = self._context.now()
        mute = {it.machine_id for it in machines if not it.answers}
        self._mute_since = {it: self._mute_since.get(it, now) for it in mute}
        async with self._context.store.transaction() as tx:
            for instance in self._running():
                changed = machine_unheard(instance, self._mute_since.get(instance.id), now)
                if changed is not instance:
                    tx.put(changed)
        async with self._asking:
            await self._look()

    async def look_for(self, instances: Iterable[Instance]) -> None:
        """Look if one of these has not been heard of since it was started, unless it was asked just now."""
        unheard_of = [it.id for it in instances if it.state is InstanceState.RUNNING and not has_answered(it)]
        if not unheard_of:
            return
        async with self._asking:
            were_asked = all(it in self._silent_since for it in unheard_of)
            if not were_asked or asyncio.get_running_loop().time() - self._asked_at >= _PAUSE_S:
                await self._look()

    async def report(self, caller: Caller, instance_ids: Iterable[str], *, status: str, reasons: Iterable[str]) -> None:
        """Take note of what an owner says of running instances, in the server's log; no status follows from it.

        Source: EC2 API Reference, ReportInstanceStatus: "Use of this action does not change the value returned by
        DescribeInstanceStatus."
        """
        for instance in owned(self._context.store.instances, caller, "instance", instance_ids):
            if instance.state is not InstanceState.RUNNING:
                raise instance_must_be(instance.id, "running")
            _log.info("an owner reports", instance=instance.id, status=status, reasons=sorted(reasons))

    async def _look(self) -> None:
        context = self._context
        if not self._running():
            return
        try:
            status = await context.network.observe(ask_guests=True)
        except NetworkUnavailable as err:
            _log.warning("guests cannot be asked", reason=str(err))
            return
        self._asked_at = asyncio.get_running_loop().time()
        now = context.now()
        running = self._running()
        silent = {it.id for it in running if it.network_interface_id not in status.answering}
        self._silent_since = {it: self._silent_since.get(it, now) for it in silent}
        async with context.store.transaction() as tx:
            for instance in running:
                since = self._silent_since.get(instance.id)
                changed = heard(instance, now) if since is None else unheard(instance, since, now)
                if changed is not instance:
                    tx.put(changed)

    def _running(self) -> list[Instance]:
        return [it for it in self._context.store.instances if it.state is InstanceState.RUNNING]
