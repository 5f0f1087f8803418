"""Spot instance requests: what was asked for, and how that stands.

Here every request is a one-time one that is fulfilled by the launch that makes it, or not made. How it stands follows
from its instance, so it is worked out when it is asked for; what outlives the instance is written down.

Source: EC2 User Guide, "State changes for a Spot request" and "Spot request status codes".
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, not_honoured
from bakehouse.domain.instance import Instance, InstanceState, StateReason

#: What an hour costs here, in the form of EC2's spot prices: a machine of one's own is not billed, so it is the least
#: that this form can say. Clients take nothing for no price at all (Packer: "No candidate spot prices found!").
SPOT_PRICE: Final = "0.000001"

#: How long before an interruption a guest is told.
#: Source: EC2 User Guide, "Spot Instance interruption notices": two minutes.
NOTICE: Final = timedelta(minutes=2)

#: Source: EC2 API Reference, RequestSpotInstances, ValidUntil: 7 days by default.
VALID_FOR: Final = timedelta(days=7)

#: Source: EC2 API Reference, StateReason.
INTERRUPTED: Final = StateReason(
    code="Server.SpotInstanceTermination", message="Server.SpotInstanceTermination: Spot instance termination"
)

_ENDED: Final = frozenset({InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED})


class SpotState(StrEnum):
    """How a request stands. Source: EC2 API Reference, SpotInstanceRequest, state."""

    OPEN = "open"
    ACTIVE = "active"
    CLOSED = "closed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotStatus:
    """How a request stands and why, in EC2's words, since when."""

    state: SpotState
    code: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """The instance is taken away at a time that its guest was told of."""

    noticed_at: datetime
    at: datetime
    action: str = "terminate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotVolume:
    """A volume that the launch asked for or its image brought."""

    device_name: str
    delete_on_termination: bool
    size_gib: int
    type: str
    snapshot_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotLaunch:
    """What was launched, for whoever asks later."""

    image_id: str
    instance_type: str
    availability_zone: str
    subnet_id: str
    groups: tuple[tuple[str, str], ...]
    """Id and name of each security group."""
    volumes: tuple[SpotVolume, ...]
    key_name: str | None = None
    ebs_optimized: bool = False
    monitoring: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotRequest:
    """One request for one instance."""

    id: str
    account_id: str
    region: str
    instance_id: str
    created_at: datetime
    valid_until: datetime
    launch: SpotLaunch
    max_price: str = SPOT_PRICE
    interruption: Interruption | None = None
    cancelled_at: datetime | None = None
    ended_at: datetime | None = None
    """When its instance was seen to have ended; it is forgotten a while later."""
    ended_code: str = ""
    tags: dict[str, str] = field(default_factory=dict)


#: Status code to EC2's sentence of it.
_MESSAGES: Final = {
    "pending-evaluation": "Your Spot request has been submitted for review, and is pending evaluation.",
    "fulfilled": "Your spot request is fulfilled.",
    "marked-for-termination": "Your Spot instance is marked for termination.",
    "request-canceled-and-instance-running": "Your spot request is canceled, but your instance {} is still running.",
    "instance-terminated-by-user": "Spot Instance terminated due to user-initiated termination.",
    "instance-terminated-no-capacity": "Your Spot instance was terminated because there is no Spot capacity available.",
    "system-error": "There was an unexpected system error.",
}


def status_of(request: SpotRequest, instance: Instance | None) -> SpotStatus:
    """Return how a request stands; the instance is None when it has been forgotten."""
    code, at = _code(request, instance)
    if request.cancelled_at is not None:
        state = SpotState.CANCELLED
    elif code in ("fulfilled", "marked-for-termination"):
        state = SpotState.ACTIVE
    else:
        state = SpotState.CLOSED
    return SpotStatus(state=state, code=code, message=_MESSAGES[code].format(request.instance_id), at=at)


def pending_evaluation(request: SpotRequest) -> SpotStatus:
    """Return how a request stands in the answer to who makes it, as on EC2."""
    code = "pending-evaluation"
    return SpotStatus(state=SpotState.OPEN, code=code, message=_MESSAGES[code], at=request.created_at)


def _code(request: SpotRequest, instance: Instance | None) -> tuple[str, datetime]:
    if request.ended_at is not None:
        return request.ended_code, request.ended_at
    if instance is None or instance.state in _ENDED:
        return end_code(request, instance), ended_at(request, instance)
    if request.interruption is not None:
        return "marked-for-termination", request.interruption.noticed_at
    if request.cancelled_at is not None:
        return "request-canceled-and-instance-running", request.cancelled_at
    return "fulfilled", request.created_at


def end_code(request: SpotRequest, instance: Instance | None) -> str:
    """Return the code that tells why an instance has ended."""
    reason = instance.state_reason if instance is not None else None
    if reason is not None and reason.code == INTERRUPTED.code:
        return "instance-terminated-no-capacity"
    if reason is not None and reason.code.startswith("Server."):
        return "system-error"
    interrupted = instance is None and request.interruption is not None
    return "instance-terminated-no-capacity" if interrupted else "instance-terminated-by-user"


def ended_at(request: SpotRequest, instance: Instance | None) -> datetime:
    """Return when an instance ended, as far as it is known."""
    if instance is not None and instance.terminated_at is not None:
        return instance.terminated_at
    return request.interruption.at if request.interruption is not None else request.created_at


def persistent_not_honoured() -> Ec2Error:
    """Refuse a request that would be opened again after an interruption: there is no market that gives it back."""
    return not_honoured("SpotInstanceType=persistent", "Only one-time Spot requests are honoured.")


def not_modifiable(attribute: str) -> Ec2Error:
    """Refuse to change an attribute that a spot instance has not: nothing but its market protects or stops it.

    Source: cloud-custodian/cloud-custodian issue 2083, as AWS answers it.
    """
    return Ec2Error("UnsupportedOperation", f"Modifying '{attribute}' is not supported for spot instances.")


def check_unprotected(*, termination_protected: bool, stop_protected: bool) -> None:
    """Refuse to launch a spot instance that is protected.

    Source: EC2 User Guide, "Change instance termination protection" and "Enable stop protection": neither can be
    enabled for Spot Instances.
    """
    for parameter, given in (("DisableApiTermination", termination_protected), ("DisableApiStop", stop_protected)):
        if given:
            raise invalid_combination(f"The parameter {parameter} cannot be enabled for Spot Instances.")


def check_valid_until(valid_until: datetime, now: datetime) -> None:
    """Refuse a request that has ended before it begins. Source: EC2 API Reference, Error codes, InvalidTime."""
    if valid_until <= now:
        raise Ec2Error("InvalidTime", "The end date of the request, validUntil, must be later than now.")


def price_too_low(price: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, SpotMaxPriceTooLow; wording as AWS answers it."""
    return Ec2Error(
        "SpotMaxPriceTooLow",
        f"Your Spot request price of {price} is lower than the minimum required Spot request fulfillment price of "
        f"{SPOT_PRICE}.",
    )


def interruption_needs_persistence(behavior: str) -> Ec2Error:
    """Source: harmony-one/harmony-ops issue 285, as AWS answers it."""
    return invalid_combination(
        f"The request with type 'one-time' is not supported when instanceInterruptionBehavior is set to '{behavior}'."
    )


def valid_until_needs_persistence() -> Ec2Error:
    """Source: aws/aws-cli issue 4679, as AWS answers it."""
    return invalid_combination(
        "The parameter validUntil cannot be specified when the SpotRequestType is set to 'one-time'."
    )


def one_time_cannot_be_stopped(instance_id: str) -> Ec2Error:
    """Source: EC2 User Guide, "Manage your Spot Instances": only those of persistent requests can be stopped."""
    return Ec2Error(
        "UnsupportedOperation",
        f"You can't stop the Spot Instance '{instance_id}' because it is associated with a one-time Spot Instance "
        "request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
    )


def not_a_spot_instance(instance_id: str) -> Ec2Error:
    """Refuse to interrupt what is not a spot instance that runs."""
    return Ec2Error("UnsupportedOperation", f"The instance '{instance_id}' is not a running Spot Instance.")
