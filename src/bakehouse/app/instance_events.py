"""Scheduled events of instances: announced by the host's owner, moved by the instance's, carried out in time."""

from dataclasses import replace
from datetime import datetime, timedelta

from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_parameter, not_found
from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import (
    SCHEDULED_STOP,
    Instance,
    InstanceEvent,
    InstanceState,
    instance_must_be,
    next_state,
)
from bakehouse.domain.instance_event import (
    REBOOTS,
    STOPS,
    EventCode,
    EventState,
    ScheduledEvent,
    check_movable,
    new_event,
    no_such_event,
    shown_events,
)
from bakehouse.sagas.reboot_instance import REBOOT_INSTANCE, RebootInstance
from bakehouse.sagas.stop_instance import STOP_INSTANCE, StopInstance

_GONE = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


class InstanceEvents:
    """Use cases on scheduled events."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def schedule(self, instance_id: str, code: str, after: timedelta) -> ScheduledEvent:
        """Announce an event of any account's instance, which is carried out when its time has come.

        Refuses a code that there is not (InvalidParameterValue), a second active event of one code, and an instance
        that is gone (IncorrectInstanceState).
        """
        instance, now = self._any(instance_id), self._context.now()
        if code not in set(EventCode):
            raise invalid_parameter(f"There is no event '{code}': {', '.join(EventCode)}.")
        if instance.state in _GONE:
            raise instance_must_be(instance.id, "running', 'stopped")
        if any(it.code == code and it.state == "active" for it in instance.events):
            raise Ec2Error("IncorrectState", f"The instance '{instance.id}' has an event '{code}' already.")
        event = new_event(new_id("instance-event"), EventCode(code), (now + after).replace(microsecond=0))
        kept = shown_events(instance.events, now)
        await self._put(replace(instance, events=(*kept, event)))
        return event

    async def cancel(self, instance_id: str, event_id: str) -> ScheduledEvent:
        """Take an active event back; its owner reads `[Canceled]` for a week."""
        instance = self._any(instance_id)
        event = _found(instance, event_id)
        if event.state != "active":
            raise Ec2Error("IncorrectState", f"The event '{event.id}' is {event.state}.")
        return await self._end(instance, event, "canceled")

    async def move(self, caller: Caller, instance_id: str, event_id: str, not_before: datetime) -> ScheduledEvent:
        """Let an event begin at another time (ModifyInstanceEventStartTime)."""
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        event = _found(instance, event_id)
        check_movable(event, not_before, self._context.now())
        takes = None if event.not_after is None else event.not_after - event.not_before
        moved = replace(event, not_before=not_before, not_after=None if takes is None else not_before + takes)
        await self._put(_with(instance, moved))
        return moved

    async def carry_out_due(self) -> None:
        """Reboot and stop what is due, and end the events that are over."""
        now = self._context.now()
        for instance in list(self._context.store.instances):
            for event in instance.events:
                if event.state == "active" and _is_due(event, now):
                    await self._carry_out(instance.id, event)

    async def forget_ended(self) -> None:
        """Forget events that ended a week ago, of instances that are still there."""
        now = self._context.now()
        async with self._context.store.transaction() as tx:
            for instance in list(self._context.store.instances):
                shown = tuple(event for event in instance.events if event.is_shown(now))
                if shown != instance.events:
                    tx.put(replace(instance, events=shown))

    async def _carry_out(self, instance_id: str, event: ScheduledEvent) -> None:
        """End an event and begin what it announced, in one transaction: it comes once."""
        store, now = self._context.store, self._context.now()
        saga = None
        async with store.transaction() as tx:
            instance = _with(store.instances[instance_id], replace(event, state="completed", ended_at=now))
            if instance.state is InstanceState.RUNNING and event.code in REBOOTS:
                saga = self._context.sagas.enlist(
                    tx, REBOOT_INSTANCE, RebootInstance(instance.id), subject_id=instance.id
                )
            elif instance.state is InstanceState.RUNNING and event.code in STOPS:
                state = next_state(instance, InstanceEvent.STOP_REQUESTED)
                instance = replace(
                    instance, state=state, state_reason=SCHEDULED_STOP, transition_reason=SCHEDULED_STOP.code
                )
                params = StopInstance(instance.id, force=False)
                saga = self._context.sagas.enlist(tx, STOP_INSTANCE, params, subject_id=instance.id)
            tx.put(instance)
        if saga is not None:
            self._context.sagas.begin(saga)

    async def _end(self, instance: Instance, event: ScheduledEvent, state: EventState) -> ScheduledEvent:
        ended = replace(event, state=state, ended_at=self._context.now())
        await self._put(_with(instance, ended))
        return ended

    def _any(self, instance_id: str) -> Instance:
        instance = self._context.store.instances.get(instance_id)
        if instance is None:
            raise not_found("instance", [instance_id])
        return instance

    async def _put(self, instance: Instance) -> None:
        async with self._context.store.transaction() as tx:
            tx.put(instance)


def _is_due(event: ScheduledEvent, now: datetime) -> bool:
    """Tell whether an event is to be carried out; maintenance, which does nothing here, when it is over."""
    over = event.not_after if event.code is EventCode.SYSTEM_MAINTENANCE else None
    return (over or event.not_before) <= now


def _found(instance: Instance, event_id: str) -> ScheduledEvent:
    for event in instance.events:
        if event.id == event_id:
            return event
    raise no_such_event(event_id)


def _with(instance: Instance, changed: ScheduledEvent) -> Instance:
    return replace(instance, events=tuple(changed if it.id == changed.id else it for it in instance.events))
