"""Scheduled events: what the host's keeper will do to an instance, told ahead.

Source: EC2 User Guide, "Scheduled events for your instances".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from bakehouse.domain import shown_afterwards
from bakehouse.domain.errors import Ec2Error

#: How long a maintenance or a reboot is said to take. Source: examples of the same page, some 15 minutes.
WINDOW: Final = timedelta(minutes=15)


class EventCode(StrEnum):
    """What is going to happen. Source: EC2 API Reference, InstanceStatusEvent, code."""

    INSTANCE_REBOOT = "instance-reboot"
    SYSTEM_REBOOT = "system-reboot"
    SYSTEM_MAINTENANCE = "system-maintenance"
    INSTANCE_RETIREMENT = "instance-retirement"
    INSTANCE_STOP = "instance-stop"


#: Those that are a reboot when they are due, and those that are a stop; maintenance comes and goes.
REBOOTS: Final = frozenset({EventCode.INSTANCE_REBOOT, EventCode.SYSTEM_REBOOT})
STOPS: Final = frozenset({EventCode.INSTANCE_RETIREMENT, EventCode.INSTANCE_STOP})

#: What may be moved. Source: EC2 User Guide, "Reschedule a scheduled event": reboots, and not once retired or stopped.
_MOVABLE: Final = REBOOTS | {EventCode.SYSTEM_MAINTENANCE}

_DESCRIPTIONS: Final = {
    EventCode.INSTANCE_REBOOT: "The instance is scheduled for a reboot",
    EventCode.SYSTEM_REBOOT: "The host is scheduled for a reboot",
    EventCode.SYSTEM_MAINTENANCE: "The host is scheduled for maintenance",
    EventCode.INSTANCE_RETIREMENT: "The instance is running on degraded hardware",
    EventCode.INSTANCE_STOP: "The instance is scheduled to be stopped",
}

EventState = Literal["active", "completed", "canceled"]
_PREFIXES: Final[dict[EventState, str]] = {"active": "", "completed": "[Completed] ", "canceled": "[Canceled] "}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledEvent:
    """One event of an instance. `id` is `instance-event-...`."""

    id: str
    code: EventCode
    not_before: datetime
    not_after: datetime | None = None
    deadline: datetime | None = None
    """The latest beginning that its owner may choose; None where there is no choice."""
    state: EventState = "active"
    ended_at: datetime | None = None

    @property
    def description(self) -> str:
        """The sentence that EC2 shows: it begins with what became of the event."""
        return _PREFIXES[self.state] + _DESCRIPTIONS[self.code]

    def is_shown(self, now: datetime) -> bool:
        """Tell whether it is still told of."""
        return self.ended_at is None or now < self.ended_at + shown_afterwards.INSTANCE_EVENT


def new_event(event_id: str, code: EventCode, not_before: datetime) -> ScheduledEvent:
    """Return an event as EC2 announces it: its owner may put off a reboot by a week."""
    takes_a_while = code not in STOPS
    return ScheduledEvent(
        id=event_id,
        code=code,
        not_before=not_before,
        not_after=not_before + WINDOW if takes_a_while else None,
        deadline=not_before + timedelta(days=7) if code in _MOVABLE else None,
    )


def shown_events(events: Iterable[ScheduledEvent], now: datetime) -> list[ScheduledEvent]:
    """Return those that are still told of."""
    return [event for event in events if event.is_shown(now)]


def check_movable(event: ScheduledEvent, not_before: datetime, now: datetime) -> None:
    """Refuse a new beginning that an event cannot have.

    Source: EC2 User Guide, "Reschedule a scheduled event", limitations: only active events with a deadline, at least
    five minutes before they begin, to a time before the deadline and at least 60 minutes from now.
    """
    if event.state != "active" or event.deadline is None:
        raise _cannot_change(f"The event '{event.id}' cannot be rescheduled.")
    if event.not_before - now < timedelta(minutes=5):
        raise _cannot_change(f"The event '{event.id}' begins too soon to be rescheduled.")
    if not_before > event.deadline:
        raise _wrong_start_time("The new start time must be before the deadline of the event.")
    if not_before - now < timedelta(minutes=60):
        raise _wrong_start_time("The new start time must be at least 60 minutes from now.")


def _cannot_change(message: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InstanceEventStartTimeCannotChange."""
    return Ec2Error("InstanceEventStartTimeCannotChange", message)


def _wrong_start_time(message: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidInstanceEventStartTime."""
    return Ec2Error("InvalidInstanceEventStartTime", message)


def no_such_event(event_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidInstanceEventIDNotFound."""
    return Ec2Error("InvalidInstanceEventIDNotFound", f"The event '{event_id}' does not exist")
