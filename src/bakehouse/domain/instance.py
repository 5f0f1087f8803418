"""Instances: states, what may happen to them, and their options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter
from bakehouse.domain.instance_event import ScheduledEvent
from bakehouse.domain.instance_options import CpuCredits, CpuOptions, Maintenance, PrivateNames
from bakehouse.domain.metadata_options import MetadataOptions
from bakehouse.domain.profile_association import ProfileAssociation


class InstanceState(StrEnum):
    """What EC2 shows. Source: EC2 API Reference, InstanceState."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def code(self) -> int:
        """The low byte of the state's code."""
        return STATE_CODES[self]


class InstanceEvent(StrEnum):
    """What happens to an instance: asked for by the API, seen at the machine, or done by the guest."""

    MACHINE_STARTED = "machine started"
    LAUNCH_FAILED = "launch failed"
    START_REQUESTED = "start requested"
    START_FAILED = "start failed"
    STOP_REQUESTED = "stop requested"
    TERMINATE_REQUESTED = "terminate requested"
    GUEST_POWERED_OFF = "guest powered off"
    GUEST_POWERED_OFF_TO_TERMINATE = "guest powered off, shutdown behaviour terminate"
    MACHINE_GONE = "machine gone"
    MACHINE_LOST = "machine lost"
    """It ended by itself, without the guest shutting down."""
    HOST_RESTARTED = "host restarted"
    RECOVERED = "machine lost, recovered"


S = InstanceState
E = InstanceEvent

STATE_CODES: Final[Mapping[InstanceState, int]] = {
    S.PENDING: 0,
    S.RUNNING: 16,
    S.SHUTTING_DOWN: 32,
    S.TERMINATED: 48,
    S.STOPPING: 64,
    S.STOPPED: 80,
}

#: (state, event) -> next state. A pair that has no row is refused.
#: Source: EC2 User Guide, "Instance lifecycle".
TRANSITIONS: Final[Mapping[tuple[InstanceState, InstanceEvent], InstanceState]] = {
    (S.PENDING, E.MACHINE_STARTED): S.RUNNING,
    (S.PENDING, E.LAUNCH_FAILED): S.TERMINATED,
    (S.PENDING, E.START_FAILED): S.STOPPED,
    (S.PENDING, E.TERMINATE_REQUESTED): S.SHUTTING_DOWN,
    (S.PENDING, E.START_REQUESTED): S.PENDING,
    (S.RUNNING, E.START_REQUESTED): S.RUNNING,  # a second StartInstances succeeds
    (S.RUNNING, E.STOP_REQUESTED): S.STOPPING,
    (S.RUNNING, E.TERMINATE_REQUESTED): S.SHUTTING_DOWN,
    (S.RUNNING, E.GUEST_POWERED_OFF): S.STOPPING,
    (S.RUNNING, E.GUEST_POWERED_OFF_TO_TERMINATE): S.SHUTTING_DOWN,
    (S.RUNNING, E.MACHINE_LOST): S.STOPPING,  # its interface is still there
    (S.RUNNING, E.HOST_RESTARTED): S.PENDING,  # it is started again
    (S.RUNNING, E.RECOVERED): S.PENDING,
    (S.STOPPING, E.STOP_REQUESTED): S.STOPPING,
    (S.STOPPING, E.TERMINATE_REQUESTED): S.SHUTTING_DOWN,
    (S.STOPPING, E.MACHINE_GONE): S.STOPPED,
    (S.STOPPED, E.STOP_REQUESTED): S.STOPPED,  # a second StopInstances succeeds
    (S.STOPPED, E.START_REQUESTED): S.PENDING,
    (S.STOPPED, E.TERMINATE_REQUESTED): S.SHUTTING_DOWN,
    (S.SHUTTING_DOWN, E.TERMINATE_REQUESTED): S.SHUTTING_DOWN,
    (S.SHUTTING_DOWN, E.MACHINE_GONE): S.TERMINATED,
    (S.TERMINATED, E.TERMINATE_REQUESTED): S.TERMINATED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReason:
    """Why an instance is in its state. Source: EC2 API Reference, StateReason."""

    code: str
    message: str


#: Source: EC2 API Reference, StateReason.
USER_SHUTDOWN: Final = StateReason(
    code="Client.UserInitiatedShutdown", message="Client.UserInitiatedShutdown: User initiated shutdown"
)
USER_HIBERNATE: Final = StateReason(
    code="Client.UserInitiatedHibernate", message="Client.UserInitiatedHibernate: User initiated hibernate"
)
GUEST_SHUTDOWN: Final = StateReason(
    code="Client.InstanceInitiatedShutdown", message="Client.InstanceInitiatedShutdown: Instance initiated shutdown"
)
MACHINE_LOST: Final = StateReason(
    code="Server.InternalError", message="Server.InternalError: the virtual machine ended unexpectedly"
)
#: A scheduled event stopped it. Source: EC2 API Reference, StateReason: "stopped due to a scheduled retirement".
SCHEDULED_STOP: Final = StateReason(
    code="Server.ScheduledStop", message="Server.ScheduledStop: Stopped due to a scheduled retirement"
)
LAUNCH_FAILED: Final = StateReason(
    code="Server.InternalError", message="Server.InternalError: Internal error on launch"
)


def user_initiated(now: datetime) -> str:
    """Return the transition reason of what the API asked for, as EC2 writes it."""
    return f"User initiated ({now:%Y-%m-%d %H:%M:%S} GMT)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """That an instance is in a placement group."""

    group_id: str
    group_name: str
    partition: int | None = None
    """Of a partition group, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A virtual server. Its volumes name it in their attachments; its interface in `network_interface_id`."""

    id: str
    account_id: str
    region: str
    reservation_id: str
    launch_index: int
    image_id: str
    type: str
    architecture: str
    state: InstanceState
    launched_at: datetime
    availability_zone: str
    vpc_id: str
    subnet_id: str
    network_interface_id: str
    root_device_name: str
    state_reason: StateReason | None = None
    transition_reason: str = ""
    """StateTransitionReason: `User initiated (2026-11-23 06:18:09 GMT)`, empty when there is none."""
    key_name: str | None = None
    public_key: str | None = None
    """As it was at launch: deleting the key pair takes nothing away from the instance."""
    user_data: bytes = b""
    metadata_options: MetadataOptions = MetadataOptions()
    shutdown_behavior: str = "stop"
    """What a power-off from within does: `stop` or `terminate`."""
    termination_protected: bool = False
    stop_protected: bool = False
    source_dest_check: bool = True
    ebs_optimized: bool = False
    boot_mode: str | None = None
    """What its image says: `legacy-bios`, `uefi`, `uefi-preferred`, or nothing."""
    current_boot_mode: str = "legacy-bios"
    """What became of that: `legacy-bios` or `uefi`."""
    tpm_support: str | None = None
    """`v2.0` if it has a trusted platform module."""
    ephemeral_devices: tuple[tuple[str, str], ...] = ()
    """What its block device mapping says of instance store: virtual name (`ephemeral0`) and device name."""
    uefi_data: str | None = None
    """The UEFI variables that it began with, where its image brought some."""
    sriov_net_support: str | None = None
    """`simple` if its image, or a change since, says so of its network card; nothing takes that away again."""
    disk_bus: str = "nvme"
    """How it sees its volumes: `nvme` or `virtio`."""
    hibernation: bool = False
    """Whether it was enabled for hibernation at launch."""
    hibernated: bool = False
    """Whether its memory was saved when it was stopped; it wakes up with that at its next start."""
    monitoring: bool = False
    cpu_options: CpuOptions | None = None
    """What was asked for; None is what the type has."""
    cpu_credits: CpuCredits | None = None
    """None for a type without credits, and what the type begins with for instances of an earlier version."""
    private_names: PrivateNames = PrivateNames()
    maintenance: Maintenance = Maintenance()
    capacity_preference: str = "open"
    """Whether it would run in a Capacity Reservation that is open, were there one: `open` or `none`."""
    profile: ProfileAssociation | None = None
    answered_at: datetime | None = None
    """When its guest was first heard of since it was started, or was heard of again."""
    silent_since: datetime | None = None
    """Since when its guest does not answer, if that is too long; see `instance_health.py`."""
    machine_silent_since: datetime | None = None
    """Since when its machine runs and does not answer the server; None while all is well."""
    recovered_at: tuple[datetime, ...] = ()
    """When it was recovered, within a day of the last time."""
    events: tuple[ScheduledEvent, ...] = ()
    """Scheduled ones, and those of the last week that are over; oldest first."""
    client_token: str | None = None
    hardware_uuid: str = ""
    terminated_at: datetime | None = None
    impaired_since: datetime | None = None
    storage_full_since: datetime | None = None
    """Since when its guest stands still because the host has no room for what it writes."""
    """When its guest was seen to have panicked; None while all is well."""
    ended_with_server: bool = False
    """Its machine was ended because the server was taken down with its machines; the next server starts it again."""
    membership: Membership | None = None
    """The placement group that it is in."""
    spot_request_id: str | None = None
    """The request that it fulfils, if it is a spot instance."""
    tags: dict[str, str] = field(default_factory=dict)


def next_state(instance: Instance, event: InstanceEvent) -> InstanceState:
    """Return the state after an event, or refuse the event in EC2's words."""
    state = TRANSITIONS.get((instance.state, event))
    if state is None:
        raise _refusal(instance, event)
    return state


def _refusal(instance: Instance, event: InstanceEvent) -> Ec2Error:
    if event is E.START_REQUESTED:
        return instance_cannot_be_started(instance.id)
    if event is E.STOP_REQUESTED:
        return instance_cannot_be_stopped(instance.id)
    return Ec2Error(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is in state '{instance.state}', which does not allow: {event}.",
    )


def instance_cannot_be_started(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IncorrectInstanceState; wording as AWS answers it."""
    return Ec2Error(
        "IncorrectInstanceState",
        f"The instance '{instance_id}' is not in a state from which it can be started.",
    )


def instance_has_no_root(instance_id: str, root_device_name: str) -> Ec2Error:
    """Refuse to start an instance whose root volume was detached."""
    return invalid_parameter(
        f"Invalid value '{instance_id}' for instanceId. Instance does not have a volume attached at root "
        f"({root_device_name})"
    )


def instance_cannot_be_stopped(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IncorrectInstanceState; wording as AWS answers it."""
    return Ec2Error(
        "IncorrectInstanceState",
        f"This instance '{instance_id}' is not in a state from which it can be stopped.",
    )


def instance_must_be(instance_id: str, states: str) -> Ec2Error:
    """Refuse what only an instance in other states can do. Source: EC2 API Reference, IncorrectInstanceState."""
    return Ec2Error("IncorrectInstanceState", f"The instance '{instance_id}' is not in the '{states}' state.")


def launch_is_over() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, IdempotentInstanceTerminated."""
    return Ec2Error(
        "IdempotentInstanceTerminated",
        "The request to launch an instance uses the same client token as a previous request for which the instance has "
        "been terminated.",
    )


def termination_protected(instance_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, OperationNotPermitted; wording as AWS answers it."""
    return Ec2Error(
        "OperationNotPermitted",
        f"The instance '{instance_id}' may not be terminated. Modify its 'disableApiTermination' instance attribute "
        "and try again.",
    )


def stop_protected(instance_id: str) -> Ec2Error:
    """Source: EC2 User Guide, "Enable stop protection"; wording as AWS answers it."""
    return Ec2Error(
        "OperationNotPermitted",
        f"The instance '{instance_id}' may not be stopped. Modify its 'disableApiStop' instance attribute "
        "and try again.",
    )
