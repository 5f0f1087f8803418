"""Instances: launching them, what may be done to them, and what is told of them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bakehouse.app import instance_changes
from bakehouse.app.capacity import check_room_to_start
from bakehouse.app.context import AppContext, owned
from bakehouse.app.instance_changes import InstanceChange
from bakehouse.app.instance_details import InstanceDetails, InstanceGatherer
from bakehouse.app.launch import LaunchRequest
from bakehouse.app.launches import Launches
from bakehouse.app.placement_groups import check_start
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import insufficient_capacity, invalid_combination
from bakehouse.domain.hibernation import not_enabled
from bakehouse.domain.image_boot import host_unable
from bakehouse.domain.instance import (
    USER_HIBERNATE,
    USER_SHUTDOWN,
    Instance,
    InstanceEvent,
    InstanceState,
    instance_has_no_root,
    instance_must_be,
    launch_is_over,
    next_state,
    stop_protected,
    termination_protected,
    user_initiated,
)
from bakehouse.domain.network import public_addresses_used_up
from bakehouse.domain.spot_request import one_time_cannot_be_stopped
from bakehouse.ports.hypervisor import MachineUnsupported
from bakehouse.sagas.machine import interfaces_of
from bakehouse.sagas.reboot_instance import REBOOT_INSTANCE, RebootInstance
from bakehouse.sagas.start_instance import START_INSTANCE, StartInstance
from bakehouse.sagas.stop_instance import STOP_INSTANCE, StopInstance
from bakehouse.sagas.terminate_instance import TERMINATE_INSTANCE, TerminateInstance
from bakehouse.store.store import Transaction

#: How much of the console is told. Source: EC2 API Reference, GetConsoleOutput: the most recent 64 KB.
CONSOLE_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What a request did to an instance's state, which may be nothing."""

    instance_id: str
    previous: InstanceState
    current: InstanceState


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOutput:
    """The end of what a guest wrote to its serial console."""

    instance_id: str
    text: bytes
    at: datetime


class Instances:
    """Use cases on instances."""

    def __init__(self, context: AppContext, public_addresses: PublicAddresses) -> None:
        """Work on these records."""
        self._context = context
        self._details = InstanceGatherer(context)
        self._public_addresses = public_addresses
        self._launches = Launches(context, public_addresses)

    async def run(self, caller: Caller, request: LaunchRequest) -> list[InstanceDetails]:
        """Launch instances and return those whose machines run, as they were when they were reserved: `pending`.

        When fewer than `min_count` machines start, none is kept: InsufficientInstanceCapacity; or what is true of a
        snapshot that was archived or deleted in the meantime.
        """
        guests = await self._launches.ready(caller)
        async with self._context.store.transaction() as tx:
            begun = self._launches.reserve(tx, caller, request, guests)
        reserved = [self._details.of(instance) for instance in begun.instances]
        outcomes = await asyncio.gather(
            *(self._context.sagas.run(saga) for saga in begun.sagas), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if outcome is not None]
        if len(reserved) - len(failures) < request.min_count:
            await self._take_back(caller, begun.instances)
            raise self._launches.refusal(caller, failures) from failures[0]
        return [details for details, outcome in zip(reserved, outcomes, strict=True) if outcome is None]

    def describe(self, caller: Caller, instance_ids: Iterable[str] | None = None) -> list[InstanceDetails]:
        """Return the caller's instances, all (oldest first) or these."""
        if instance_ids is None:
            return self._details.all_of(caller)
        return [
            self._details.of(instance)
            for instance in owned(self._context.store.instances, caller, "instance", instance_ids)
        ]

    def reservation(self, caller: Caller, reservation_id: str) -> list[InstanceDetails]:
        """Return the instances of one launch."""
        return [details for details in self.describe(caller) if details.instance.reservation_id == reservation_id]

    def repeated(self, caller: Caller, reservation_id: str) -> list[InstanceDetails]:
        """Return the instances of a launch that is asked for again; refuse it once all of them are terminated."""
        launched = self.reservation(caller, reservation_id)
        if all(it.instance.state is InstanceState.TERMINATED for it in launched):
            raise launch_is_over()
        return launched

    async def start(self, caller: Caller, instance_ids: Iterable[str]) -> list[StateChange]:
        """Start stopped instances; returns when their machines run.

        Refuses those in other states (IncorrectInstanceState), and those without a root volume (InvalidParameterValue),
        all or none. InsufficientInstanceCapacity when a machine
        did not start, Unsupported when this host cannot run it at all; its instance is stopped again, the others run.
        """
        instances = self._owned(caller, instance_ids)
        changes = [_changed(instance, InstanceEvent.START_REQUESTED) for instance in instances]
        for instance in instances:
            self._check_root(instance)
        check_room_to_start(self._context, caller, instances)
        check_start(self._context.store, instances)
        sagas = []
        async with self._context.store.transaction() as tx:
            for instance in instances:
                if instance.state is InstanceState.STOPPED:
                    self._begin_again(tx, instance)
                    saga = self._context.sagas.enlist(
                        tx, START_INSTANCE, StartInstance(instance.id), subject_id=instance.id
                    )
                    sagas.append(saga)
        outcomes = await asyncio.gather(*(self._context.sagas.run(saga) for saga in sagas), return_exceptions=True)
        for failure in outcomes:
            if isinstance(failure, MachineUnsupported):
                raise host_unable(str(failure)) from failure
            if failure is not None:
                raise insufficient_capacity(f"The instance could not be started: {failure}") from failure
        return changes

    async def stop(
        self, caller: Caller, instance_ids: Iterable[str], *, force: bool = False, hibernate: bool = False
    ) -> list[StateChange]:
        """Begin to stop instances; with `force` their guests are not asked, with `hibernate` they sleep.

        Refuses protected ones (OperationNotPermitted), those that are not running or stopped
        (IncorrectInstanceState), and those that are to hibernate and were not enabled for it
        (UnsupportedHibernationConfiguration), all or none. One that cannot hibernate for once is shut down.
        """
        instances = self._owned(caller, instance_ids)
        if hibernate and force:
            raise invalid_combination("An instance that hibernates cannot be forced to stop")
        for instance in instances:
            if hibernate and not instance.hibernation:
                raise not_enabled(instance.id)
        for instance in instances:
            if instance.stop_protected and instance.state is InstanceState.RUNNING:
                raise stop_protected(instance.id)
            if instance.spot_request_id is not None:
                raise one_time_cannot_be_stopped(instance.id)
        changes = [_changed(instance, InstanceEvent.STOP_REQUESTED) for instance in instances]
        sagas = []
        async with self._context.store.transaction() as tx:
            for instance in instances:
                if instance.state is InstanceState.RUNNING:
                    reason = USER_HIBERNATE if hibernate else USER_SHUTDOWN
                    tx.put(replace(self._ending(instance, InstanceEvent.STOP_REQUESTED), state_reason=reason))
                    params = StopInstance(instance.id, force=force, hibernate=hibernate)
                    sagas.append(self._context.sagas.enlist(tx, STOP_INSTANCE, params, subject_id=instance.id))
        self._begin(sagas)
        await self._hasten(instances if force else (), InstanceState.STOPPING)
        return changes

    async def reboot(self, caller: Caller, instance_ids: Iterable[str]) -> None:
        """Begin to reboot running instances. Refuses others (IncorrectInstanceState), all or none."""
        instances = self._owned(caller, instance_ids)
        for instance in instances:
            if instance.state is not InstanceState.RUNNING:
                raise instance_must_be(instance.id, "running")
        under_way = self._context.store.sagas.by("subject")
        async with self._context.store.transaction() as tx:
            sagas = [
                self._context.sagas.enlist(tx, REBOOT_INSTANCE, RebootInstance(instance.id), subject_id=instance.id)
                for instance in instances
                if not any(saga.name == REBOOT_INSTANCE.name for saga in under_way[instance.id].values())
            ]
        self._begin(sagas)

    async def terminate(
        self, caller: Caller, instance_ids: Iterable[str], *, skip_shutdown: bool = False
    ) -> list[StateChange]:
        """Begin to terminate instances; with `skip_shutdown` their guests are not asked to shut down.

        Refuses protected ones (OperationNotPermitted), and then terminates none.
        """
        instances = self._owned(caller, instance_ids)
        changes = [_changed(instance, InstanceEvent.TERMINATE_REQUESTED) for instance in instances]
        async with self._context.store.transaction() as tx:
            sagas = self.enlist_termination(tx, instances, skip_shutdown=skip_shutdown)
        self._begin(sagas)
        await self._hasten(instances if skip_shutdown else (), InstanceState.SHUTTING_DOWN)
        return changes

    def enlist_termination(
        self, tx: Transaction, instances: Sequence[Instance], *, skip_shutdown: bool = False
    ) -> list[str]:
        """Put instances that begin to end, and return the sagas that are to begin once that is on disk.

        Refuses protected ones (OperationNotPermitted), and then puts none.
        """
        for instance in instances:
            if instance.termination_protected and instance.state is not InstanceState.TERMINATED:
                raise termination_protected(instance.id)
        return [self._enlist_terminate(tx, instance, force=skip_shutdown) for instance in _not_ending(instances)]

    async def modify(self, caller: Caller, instance_id: str, change: InstanceChange) -> None:
        """Change attributes (`instance_changes.py`)."""
        await instance_changes.modify(self._context, caller, instance_id, change)

    async def console_output(self, caller: Caller, instance_id: str) -> ConsoleOutput:
        """Return the last 64 KiB that the guest wrote, up to this moment."""
        (instance,) = self._owned(caller, [instance_id])
        written = await self._context.hypervisor.console_output(instance.id)
        return ConsoleOutput(instance_id=instance.id, text=written[-CONSOLE_MAX:], at=self._context.now())

    def _owned(self, caller: Caller, instance_ids: Iterable[str]) -> list[Instance]:
        return owned(self._context.store.instances, caller, "instance", instance_ids)

    def _check_root(self, instance: Instance) -> None:
        attachments = [it.attachment for it in self._context.store.volumes.by("instance")[instance.id].values()]
        if not any(it is not None and it.device_name == instance.root_device_name for it in attachments):
            raise instance_has_no_root(instance.id, instance.root_device_name)

    def _begin(self, sagas: Sequence[str]) -> None:
        for saga in sagas:
            self._context.sagas.begin(saga)

    def _begin_again(self, tx: Transaction, instance: Instance) -> None:
        """Put a stopped instance's records as a start begins with them: `pending`, with a new public address."""
        store = self._context.store
        interfaces = interfaces_of(store, instance.id)
        # Source: EC2 User Guide, "Public IPv4 addresses": one with several interfaces gets no new one.
        if len(interfaces) == 1 and interfaces[0].wants_public_ip and interfaces[0].public_ip is None:
            public_ip = self._public_addresses.next_free()
            if public_ip is None:
                raise public_addresses_used_up()
            tx.put(replace(interfaces[0], public_ip=public_ip))
        tx.put(
            replace(
                instance,
                state=next_state(instance, InstanceEvent.START_REQUESTED),
                state_reason=None,
                transition_reason="",
                launched_at=self._context.now().replace(microsecond=0),
            )
        )

    def _ending(self, instance: Instance, event: InstanceEvent) -> Instance:
        return replace(
            instance,
            state=next_state(instance, event),
            state_reason=USER_SHUTDOWN,
            transition_reason=user_initiated(self._context.now()),
        )

    def _enlist_terminate(self, tx: Transaction, instance: Instance, *, force: bool) -> str:
        tx.put(self._ending(instance, InstanceEvent.TERMINATE_REQUESTED))
        params = TerminateInstance(instance.id, force=force or instance.state is InstanceState.STOPPED)
        return self._context.sagas.enlist(tx, TERMINATE_INSTANCE, params, subject_id=instance.id)

    async def _take_back(self, caller: Caller, launched: Sequence[Instance]) -> None:
        """Terminate what a launch that failed as a whole has started, and forget its client token."""
        store = self._context.store
        instances = [store.instances[instance.id] for instance in launched]
        async with store.transaction() as tx:
            sagas = [self._enlist_terminate(tx, instance, force=True) for instance in _not_ending(instances)]
            tx.forget(caller)  # SDKs repeat a request that met InsufficientInstanceCapacity, with the same token
        await asyncio.gather(*(self._context.sagas.run(saga) for saga in sagas), return_exceptions=True)

    async def _hasten(self, instances: Iterable[Instance], state: InstanceState) -> None:
        """End the machines of instances that were already on their way to this state when `force` came."""
        for instance in instances:
            # Those before it took their time: it may have ended since, and been started again.
            if instance.state is state and self._context.store.instances[instance.id].state is state:
                await self._context.hypervisor.kill(instance.id)


def _changed(instance: Instance, event: InstanceEvent) -> StateChange:
    return StateChange(instance_id=instance.id, previous=instance.state, current=next_state(instance, event))


def _not_ending(instances: Iterable[Instance]) -> list[Instance]:
    ending = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)
    return [instance for instance in instances if instance.state not in ending]
