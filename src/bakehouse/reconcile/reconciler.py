"""The reconciler: keeps records and host in agreement, from the start of a server to its end."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog

from bakehouse.domain import shown_afterwards
from bakehouse.domain.instance import InstanceState
from bakehouse.ports.hypervisor import MachineState
from bakehouse.reconcile.earlier_networks import complete_networks
from bakehouse.reconcile.guests import Guests
from bakehouse.reconcile.host_room import HostRoom
from bakehouse.reconcile.host_storage import HostStorage
from bakehouse.reconcile.lost_networks import SHUT_DOWN_S, cut_off, end_stranded, lost_segments
from bakehouse.reconcile.orphans import Orphans, find_orphans, remove_orphans
from bakehouse.reconcile.segments import restored, tend_segments
from bakehouse.reconcile.spot_interruptions import SpotInterruptions
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import SagaEngine
from bakehouse.sagas.machine import plug_interfaces

_log: Final = structlog.get_logger(__name__)

#: How long the start of a server waits for what an earlier one left unfinished; the rest goes on beside requests.
_RESUME_WAIT_S: Final = 15.0


class RecordsLost(Exception):
    """The host holds machines, volumes or snapshots, and the database is empty. Nothing was changed."""


class Reconciler:
    """Brings the records to what machines really do, and the host to what the records say."""

    def __init__(
        self,
        context: SagaContext,
        sagas: SagaEngine,
        *,
        host_restarted: bool = False,
        period_s: float = 30.0,
        chores: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """Begin with nothing looked at.

        Args:
            context: Records and drivers.
            sagas: By which everything is changed.
            host_restarted: The host has booted since the last server ran, so no machine can have survived.
            period_s: Time between sweeps.
            chores: What else each sweep does, such as forgetting old client tokens.
        """
        self._context = context
        self._sagas = sagas
        self._guests = Guests(context, sagas)
        self._storage = HostStorage(context)
        self._room = HostRoom(context, self._guests)
        self._spot = SpotInterruptions(context, sagas)
        self._host_restarted = host_restarted
        self._period_s = period_s
        self._chores = chores
        self._following = asyncio.Lock()

    async def start(self) -> Orphans:
        """Adopt what runs, finish what was begun, remove what nobody wants. Call it before requests are served.

        Returns what was found without a record, and is removed.

        Raises:
            RecordsLost: Nobody can be asked what is wanted here.
        """
        await complete_networks(self._context.store)
        machines = await self._observe()
        lost = await lost_segments(self._context)
        await self._restore_networks(machines)
        await self._resume(_RESUME_WAIT_S)
        await self._guests.bring_back()
        alive = [it for it, state in machines.items() if state is not MachineState.GONE]
        await end_stranded(self._context, self._sagas, lost, alive)
        await self._settle_instances(lost & self._context.segments, host_restarted=self._host_restarted)
        await self._start_cut_off()
        return await self._remove_orphans()

    async def run(self) -> None:
        """Follow the machines and sweep now and then, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_machines(), name="follow machines")
            tasks.create_task(self._sweep_forever(), name="sweep")
            tasks.create_task(self._room.watch_forever(), name="watch room")
            tasks.create_task(self._spot.watch_forever(), name="interrupt spot instances")
            tasks.create_task(self._storage.tend_forever(self._period_s), name="tend storage")

    async def shut_down_machines(self) -> None:
        """Take every machine and segment off the host, as before it is switched off; the next server starts them.

        Call it when no more requests are served, and this object is not used any more afterwards.
        """
        await self._sagas.suspend()
        await self._sagas.settle()
        await self._guests.end_all()
        fabric = await self._context.network.observe()
        for vpc_id in fabric.vpc_ids:
            await self._context.metadata.close(vpc_id)
            await self._context.network.delete_segment(vpc_id)
        self._context.segments.clear()

    async def sweep(self) -> None:
        """Do once what `run` does every period: all of it, whatever fails.

        Raises:
            Exception: What failed first. A chore that fails each time must not keep the disk from being tidied.
        """
        failures: list[Exception] = []
        for part in (
            self._resume,
            self._tend_segments,
            self._start_cut_off,
            self._settle_instances,
            self._forget_terminated,
            *self._chores,
            self._storage.remove_unrecorded,
            self._remove_unneeded,
        ):
            try:
                await part()
            except Exception as err:  # noqa: BLE001 - it is raised when the others are done
                failures.append(err)
        for failure in failures[1:]:
            _log.error("a part of a sweep failed", exc_info=failure)
        for failure in failures:
            raise failure

    async def _observe(self) -> dict[str, MachineState]:
        return {status.machine_id: status.state for status in await self._context.hypervisor.observe()}

    async def _restore_networks(self, machines: dict[str, MachineState]) -> None:
        """Make sure of the segments that instances live in, and of the interfaces of those whose machines run."""
        await tend_segments(self._context)
        running = [it.id for it in self._context.store.instances if it.state is InstanceState.RUNNING]
        live = [it for it in running if machines.get(it, MachineState.GONE) is not MachineState.GONE]
        await restored(plug_interfaces(self._context, instance_id) for instance_id in live)

    async def _tend_segments(self) -> None:
        await tend_segments(self._context)

    async def _remove_unneeded(self) -> None:
        report = await self._context.volumes.sweep(remove=True)
        if report.files:
            _log.info("removed files that nothing needs", files=len(report.files), bytes=report.bytes_freed)

    async def _resume(self, wait_s: float = 0) -> None:
        """Take up journaled sagas; those that need longer than `wait_s` go on by themselves."""
        resumed = asyncio.create_task(self._sagas.resume(), name="resume")
        await asyncio.wait([resumed], timeout=wait_s)

    async def _settle_instances(self, lost: Collection[str] = (), *, host_restarted: bool = False) -> None:
        """Follow every machine; those that went with the host, or with their networks, are started again."""
        instances = self._context.store.instances
        with self._sagas.noting_changes() as changed:
            before = [it for it in instances if not self._sagas.is_changing(it.id)]
            machines = await self._observe()
            for instance in before:
                if instance.id in changed or instances.get(instance.id) is not instance:
                    continue  # started or rebooted since, maybe, and what was observed is of before that
                machine = machines.get(instance.id, MachineState.GONE)
                await self._guests.obey(instance.id, machine, host_restarted=host_restarted or instance.vpc_id in lost)

    async def _start_cut_off(self) -> None:
        """Start instances again whose machines nothing reaches any more, nor they anything."""
        for instance in await cut_off(self._context, self._sagas):
            _log.warning("the network of a machine was made again; its instance starts again", instance=instance.id)
            async with self._following:  # or its end would be taken for the guest's own doing
                await self._guests.start_anew(instance, min(self._context.stop_deadline_s, SHUT_DOWN_S))

    async def _remove_orphans(self) -> Orphans:
        orphans = await find_orphans(self._context, self._sagas)
        if not len(self._context.store.accounts):
            # A server without accounts has lost its database, or never had one: what is there is not ours to judge.
            if orphans.machines or orphans.volumes or orphans.snapshots:
                raise RecordsLost(
                    f"{len(orphans.machines)} machines, {len(orphans.volumes)} volumes and {len(orphans.snapshots)} "
                    "snapshots are here, and the database has no record at all"
                )
            return Orphans()
        await remove_orphans(self._context, orphans)
        return orphans

    async def _follow_machines(self) -> None:
        async with asyncio.TaskGroup() as following:
            async for change in self._context.hypervisor.changes():
                following.create_task(self._follow(change.machine_id), name=f"follow {change.machine_id}")

    async def _follow(self, machine_id: str) -> None:
        """Look at a machine of which something was told, once the saga that changes its instance has ended."""
        try:
            instances, is_followed = self._context.store.instances, False
            while not is_followed:
                await self._sagas.quiet(machine_id)
                # What one begins, the next one sees.
                async with self._following:
                    # What was told may be over by now: a reboot passes through a power-off.
                    before = instances.get(machine_id)
                    with self._sagas.noting_changes() as changed:
                        machines = await self._observe()
                    is_followed = machine_id not in changed and instances.get(machine_id) is before
                    if is_followed:
                        await self._guests.obey(machine_id, machines.get(machine_id, MachineState.GONE))
        except Exception:  # noqa: BLE001 - the next change is followed all the same
            _log.exception("could not follow a machine", machine=machine_id)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - the next sweep comes all the same
                _log.exception("a sweep failed")

    async def _forget_terminated(self) -> None:
        """Forget instances that were terminated an hour ago, with their console logs."""
        oldest = self._context.now() - shown_afterwards.INSTANCE
        for instance in list(self._context.store.instances):
            if instance.terminated_at is not None and instance.terminated_at < oldest:
                await self._context.hypervisor.forget(instance.id)
                async with self._context.store.transaction() as tx:
                    tx.delete(instance)
