"""Status checks: what is seen of a running instance from outside.

Source: EC2 User Guide, "Status checks for Amazon EC2 instances". System: its host. Instance: EC2 asks the guest by ARP,
and its kernel has to live. Attached EBS: its volumes complete what it writes.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.domain.instance_type import INSTANCE_TYPES

#: How long a guest may be silent before it counts as unreachable: two checks of EC2's, which come every minute.
_SILENT: Final = timedelta(minutes=2)
#: How long a guest may take to begin. Emulated ones take up to a minute; EC2 calls them `initializing` for as long.
_BEGINNING: Final = timedelta(minutes=5)

#: How long a machine may be silent: a busy host keeps one waiting for a few seconds.
_SILENT_MACHINE: Final = timedelta(seconds=30)

#: How often an instance is recovered in a day. Source: EC2 User Guide, "Troubleshoot instance recovery failures".
_RECOVERIES_MAX: Final = 3
_RECOVERIES_IN: Final = timedelta(days=1)


class Health(StrEnum):
    """What a check says. Source: EC2 API Reference, InstanceStatusSummary, status."""

    OK = "ok"
    IMPAIRED = "impaired"
    INITIALIZING = "initializing"
    NOT_APPLICABLE = "not-applicable"


def guest_health(instance: Instance) -> tuple[Health, datetime | None]:
    """Return how the guest is, and since when if it is impaired."""
    if instance.state is not InstanceState.RUNNING:
        return Health.NOT_APPLICABLE, None
    since = instance.impaired_since or instance.storage_full_since or _of_this_start(instance, instance.silent_since)
    if since is not None:
        return Health.IMPAIRED, since
    return (Health.OK if has_answered(instance) else Health.INITIALIZING), None


def host_health(instance: Instance) -> tuple[Health, datetime | None]:
    """Return how the host serves it: whether its machine answers, and has room for what it writes."""
    if instance.state is not InstanceState.RUNNING:
        return Health.NOT_APPLICABLE, None
    since = instance.storage_full_since or _of_this_start(instance, instance.machine_silent_since)
    return (Health.OK if since is None else Health.IMPAIRED), since


def volume_health(instance: Instance) -> tuple[Health, datetime | None]:
    """Return whether its volumes complete what it writes."""
    if instance.state is not InstanceState.RUNNING:
        return Health.NOT_APPLICABLE, None
    since = instance.storage_full_since
    return (Health.OK if since is None else Health.IMPAIRED), since


def has_answered(instance: Instance) -> bool:
    """Tell whether the guest has answered since it was started."""
    return _of_this_start(instance, instance.answered_at) is not None


def heard(instance: Instance, now: datetime) -> Instance:
    """Return the instance when its guest has answered."""
    if has_answered(instance) and instance.silent_since is None:
        return instance
    return replace(instance, answered_at=now, silent_since=None)


def unheard(instance: Instance, silent_since: datetime, now: datetime) -> Instance:
    """Return the instance when its guest has not answered, now and since then."""
    if _of_this_start(instance, instance.silent_since) is not None:
        return instance
    patience = _SILENT if has_answered(instance) else _BEGINNING
    return instance if now - silent_since < patience else replace(instance, silent_since=silent_since)


def machine_unheard(instance: Instance, silent_since: datetime | None, now: datetime) -> Instance:
    """Return the instance when its machine has not answered the server since then; None is that it answers."""
    if silent_since is not None and now - silent_since < _SILENT_MACHINE:
        return instance
    known = instance.machine_silent_since
    if (silent_since is None) == (_of_this_start(instance, known) is None):
        return instance
    return replace(instance, machine_silent_since=silent_since)


def may_recover(instance: Instance, now: datetime) -> bool:
    """Tell whether an instance whose machine has ended by itself is started again, as on another host.

    Source: EC2 User Guide, "Automatic instance recovery": by default, for types that support it, three times a day.
    """
    lately = [at for at in instance.recovered_at if now - at < _RECOVERIES_IN]
    is_wanted = instance.maintenance.auto_recovery == "default"
    return is_wanted and INSTANCE_TYPES[instance.type].is_recovered and len(lately) < _RECOVERIES_MAX


def recovered(instance: Instance, now: datetime) -> Instance:
    """Return an instance that is started again: its guest begins anew."""
    lately = (at for at in instance.recovered_at if now - at < _RECOVERIES_IN)
    return replace(instance, recovered_at=(*lately, now))


def _of_this_start(instance: Instance, moment: datetime | None) -> datetime | None:
    """Return a moment, unless it is of an earlier start."""
    return moment if moment is not None and moment >= instance.launched_at else None
