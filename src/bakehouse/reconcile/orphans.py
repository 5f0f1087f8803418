"""Orphans: what is on the host without a record that wants it there.

Whatever has no record was left by a crash: in the middle of a removal, or of the import of an image, whose record comes
last. It is reported first, then removed, and only before requests are served: nothing new is being made then.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from bakehouse.domain.instance import InstanceState
from bakehouse.ports.hypervisor import MachineState
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import SagaEngine
from bakehouse.sagas.unrecorded import unrecorded

_log: Final = structlog.get_logger(__name__)

_ALIVE: Final = frozenset({InstanceState.PENDING, InstanceState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Their ids, by what they are."""

    machines: frozenset[str] = field(default_factory=frozenset)
    machine_remains: frozenset[str] = field(default_factory=frozenset)
    """Logs of machines whose instances are forgotten."""
    volumes: frozenset[str] = field(default_factory=frozenset)
    snapshots: frozenset[str] = field(default_factory=frozenset)
    archives: frozenset[str] = field(default_factory=frozenset)
    """Snapshots that only the archive has."""
    interfaces: frozenset[str] = field(default_factory=frozenset)
    segments: frozenset[str] = field(default_factory=frozenset)
    workspaces: frozenset[str] = field(default_factory=frozenset)
    """Folders of imports, exports, stores and restores that have ended."""

    def __iter__(self) -> Iterator[str]:
        """Yield all ids."""
        volumes = (self.volumes, self.snapshots, self.archives, self.workspaces)
        for ids in (self.machines, self.machine_remains, *volumes, self.interfaces, self.segments):
            yield from sorted(ids)


async def find_orphans(context: SagaContext, sagas: SagaEngine) -> Orphans:
    """Hold the host against the records; what a saga is changing is not looked at."""
    store = context.store
    machines = await context.hypervisor.observe()
    inventory = await context.volumes.inventory()
    fabric = await context.network.observe()
    workspaces = await context.objects.workspaces()
    archived = await context.archive.ids()
    # From here on nothing is awaited: the records are of one moment, and not older than what was seen.
    wanted = {instance.id for instance in store.instances if instance.state in _ALIVE or sagas.is_changing(instance.id)}
    plugged = {interface.id for interface in store.network_interfaces if interface.instance_id in wanted}
    # A copy of a volume has its snapshot without a record, and may go on for minutes.
    unwanted = unrecorded(store, inventory)
    gone = {status.machine_id for status in machines if status.state is MachineState.GONE}
    return Orphans(
        machines=frozenset({status.machine_id for status in machines} - gone - wanted),
        machine_remains=frozenset(machine_id for machine_id in gone if machine_id not in store.instances),
        volumes=unwanted.volume_ids,
        snapshots=unwanted.snapshot_ids,
        archives=frozenset(_unrecorded(archived, store.snapshots, store.recycle_bin)),
        interfaces=frozenset(fabric.interface_ids - plugged),
        segments=frozenset(vpc_id for vpc_id in fabric.vpc_ids if vpc_id not in store.vpcs),
        workspaces=frozenset(task_id for task_id in workspaces if not sagas.is_changing(task_id)),
    )


def _unrecorded(ids: Iterable[str], *records: Container[str]) -> Iterator[str]:
    return (resource_id for resource_id in ids if not any(resource_id in kept for kept in records))


async def remove_orphans(context: SagaContext, orphans: Orphans) -> None:
    """Report and remove them: machines first, for they hold the rest."""
    for machine_id in sorted(orphans.machines):
        _log.warning("a machine runs that no instance wants; ending it", machine=machine_id)
        await context.hypervisor.kill(machine_id)
    for machine_id in sorted(orphans.machine_remains | orphans.machines):
        if machine_id not in context.store.instances:
            await context.hypervisor.forget(machine_id)
    fabric = await context.network.observe()
    for interface_id in sorted(orphans.interfaces):
        _log.warning("an interface is plugged that no instance wants; unplugging it", interface=interface_id)
        for vpc_id in fabric.vpc_ids:
            await context.network.unplug(vpc_id, interface_id)
    for vpc_id in sorted(orphans.segments):
        _log.warning("a segment has no VPC; removing it", segment=vpc_id)
        await context.metadata.close(vpc_id)
        await context.network.delete_segment(vpc_id)
    await _remove_disks(context, orphans)
    for task_id in sorted(orphans.workspaces):
        _log.warning("a folder belongs to no task; removing it", task=task_id)
        await context.objects.clear_workspace(task_id)


async def _remove_disks(context: SagaContext, orphans: Orphans) -> None:
    for volume_id in sorted(orphans.volumes):
        _log.warning("a volume has no record; deleting it", volume=volume_id)
        await context.volumes.delete(volume_id)
    for snapshot_id in sorted(orphans.snapshots):
        _log.warning("a snapshot has no record; deleting it", snapshot=snapshot_id)
        await context.volumes.delete_snapshot(snapshot_id)
    for snapshot_id in sorted(orphans.archives):
        _log.warning("an archived snapshot has no record; deleting it", snapshot=snapshot_id)
        await context.archive.discard(snapshot_id)
