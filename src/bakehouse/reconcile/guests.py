"""What a machine does by itself, and what follows for its instance.

The guest shuts down, panics, or its machine ends; the API hears nothing of it before the state is changed here.
"""

import asyncio
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Final

import structlog

from bakehouse.domain.instance import (
    GUEST_SHUTDOWN,
    MACHINE_LOST,
    Instance,
    InstanceEvent,
    InstanceState,
    StateReason,
    next_state,
)
from bakehouse.domain.instance_health import may_recover, recovered
from bakehouse.ports.hypervisor import MachineState, MonitorLost
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import SagaEngine
from bakehouse.sagas.machine import shut_down_guest, shut_down_machine
from bakehouse.sagas.start_instance import START_INSTANCE, StartInstance
from bakehouse.sagas.stop_instance import STOP_INSTANCE, StopInstance
from bakehouse.sagas.terminate_instance import TERMINATE_INSTANCE, TerminateInstance

_log: Final = structlog.get_logger(__name__)


class Guests:
    """Brings instances to what their machines are."""

    def __init__(self, context: SagaContext, sagas: SagaEngine) -> None:
        """Change these records through these sagas."""
        self._context = context
        self._sagas = sagas

    async def obey(self, instance_id: str, machine: MachineState, *, host_restarted: bool = False) -> None:
        """Follow a machine's state. An instance that a saga is changing is left to it.

        A machine that is gone because the host restarted is started again. One that ended by itself is too, where
        its instance is recovered (`instance_health.may_recover`); otherwise its instance is stopped.
        """
        instance = self._context.store.instances.get(instance_id)
        if instance is None or instance.ended_with_server or self._sagas.is_changing(instance_id):
            return
        if instance.state is InstanceState.STOPPING:
            await self._stop(instance, InstanceEvent.STOP_REQUESTED, instance.state_reason)
        elif instance.state is InstanceState.SHUTTING_DOWN:
            await self._terminate(instance, InstanceEvent.TERMINATE_REQUESTED, instance.state_reason)
        elif instance.state is InstanceState.RUNNING:
            await self._obey_running(instance, machine, host_restarted=host_restarted)

    def noting_changes(self) -> AbstractContextManager[AbstractSet[str]]:
        """Give a set of the instances that are changed while the block lasts: see `SagaEngine.noting_changes`."""
        return self._sagas.noting_changes()

    async def bring_back(self) -> None:
        """Start what was ended with the last server."""
        instances = self._context.store.instances
        for instance_id in [it.id for it in instances if it.ended_with_server]:
            instance = instances.get(instance_id)  # sagas of the last server may go on meanwhile
            if instance is None or instance.state is not InstanceState.RUNNING or self._sagas.is_changing(instance_id):
                continue
            # Its guest may be shut down while its machine is still there, if the last server did not get further.
            await self._context.hypervisor.kill(instance_id, keep_local_disks=True)
            await self._start_again(instances[instance_id])

    async def start_anew(self, instance: Instance, deadline_s: float) -> None:
        """End the machine of a running instance, its guest shut down if it does so in time, and start it again.

        An instance that somebody changes meanwhile is left to that.
        """
        with self._sagas.noting_changes() as changed:
            with suppress(MonitorLost):
                await shut_down_guest(self._context, instance.id, deadline_s)
            if instance.id in changed:
                return
            await self._context.hypervisor.kill(instance.id, keep_local_disks=True)
            now = self._context.store.instances.get(instance.id)
            if now is not None and now.state is InstanceState.RUNNING and instance.id not in changed:
                await self._start_again(now)

    async def end_all(self) -> None:
        """Shut down every guest and end its machine; the instances stay `running` for the next server to start."""
        store = self._context.store
        running = [it for it in store.instances if it.state is InstanceState.RUNNING]
        async with store.transaction() as tx:
            for instance in running:
                tx.put(replace(instance, ended_with_server=True))
        await asyncio.gather(
            *(
                shut_down_machine(self._context, it.id, self._context.stop_deadline_s, keep_local_disks=True)
                for it in running
            )
        )

    async def _obey_running(self, instance: Instance, machine: MachineState, *, host_restarted: bool) -> None:
        if machine is MachineState.POWERED_OFF:
            _log.info("the guest shut down", instance=instance.id, then=instance.shutdown_behavior)
            if instance.shutdown_behavior == "terminate":
                await self._terminate(instance, InstanceEvent.GUEST_POWERED_OFF_TO_TERMINATE, GUEST_SHUTDOWN)
            else:
                await self._stop(instance, InstanceEvent.GUEST_POWERED_OFF, GUEST_SHUTDOWN)
        elif machine is MachineState.GONE and host_restarted:
            _log.info("the host restarted; starting the instance again", instance=instance.id)
            await self._start_again(instance)
        elif machine is MachineState.GONE and may_recover(instance, self._context.now()):
            _log.warning("the machine ended unexpectedly; recovering the instance", instance=instance.id)
            await self._start_again(recovered(instance, self._context.now()), InstanceEvent.RECOVERED)
        elif machine is MachineState.GONE:
            _log.warning("the machine ended unexpectedly", instance=instance.id)
            await self._stop(instance, InstanceEvent.MACHINE_LOST, MACHINE_LOST)
        elif machine is MachineState.PANICKED and instance.impaired_since is None:
            _log.warning("the guest's kernel panicked", instance=instance.id)
            async with self._context.store.transaction() as tx:
                tx.put(replace(instance, impaired_since=self._context.now()))

        elif machine is MachineState.STALLED and instance.storage_full_since is None:
            _log.warning("the guest stands still: the host has no room for what it writes", instance=instance.id)
            async with self._context.store.transaction() as tx:
                tx.put(replace(instance, storage_full_since=self._context.now()))
        elif machine is MachineState.RUNNING and instance.storage_full_since is not None:
            _log.info("the guest goes on", instance=instance.id)
            async with self._context.store.transaction() as tx:
                tx.put(replace(instance, storage_full_since=None))

    async def _stop(self, instance: Instance, event: InstanceEvent, reason: StateReason | None) -> None:
        async with self._context.store.transaction() as tx:
            tx.put(replace(instance, state=next_state(instance, event), state_reason=reason))
            saga = self._sagas.enlist(tx, STOP_INSTANCE, StopInstance(instance.id, force=True), subject_id=instance.id)
        self._sagas.begin(saga)

    async def _terminate(self, instance: Instance, event: InstanceEvent, reason: StateReason | None) -> None:
        async with self._context.store.transaction() as tx:
            tx.put(replace(instance, state=next_state(instance, event), state_reason=reason))
            saga = self._sagas.enlist(
                tx, TERMINATE_INSTANCE, TerminateInstance(instance.id, force=True), subject_id=instance.id
            )
        self._sagas.begin(saga)

    async def _start_again(self, instance: Instance, event: InstanceEvent = InstanceEvent.HOST_RESTARTED) -> None:
        async with self._context.store.transaction() as tx:
            state = next_state(instance, event)
            well = replace(instance, impaired_since=None, storage_full_since=None, answered_at=None, silent_since=None)
            tx.put(replace(well, state=state, ended_with_server=False))
            saga = self._sagas.enlist(tx, START_INSTANCE, StartInstance(instance.id), subject_id=instance.id)
        self._sagas.begin(saga)
