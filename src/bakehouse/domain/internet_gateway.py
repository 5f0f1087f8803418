"""Internet gateways, and those that let IPv6 out only."""

from dataclasses import dataclass, field
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter

#: EC2's quota is 5 in each region and goes with that of VPCs, which is 100 here (`domain/vpc.py`).
INTERNET_GATEWAYS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetGateway:
    """A way to the outside, of one VPC at a time."""

    id: str
    account_id: str
    region: str
    vpc_id: str | None = None
    """The VPC that it is attached to."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressOnlyInternetGateway:
    """A way to the outside for IPv6, by which nobody comes in. It is attached from its making to its deletion."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    tags: dict[str, str] = field(default_factory=dict)


def gateway_attached(gateway_id: str, vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, Resource.AlreadyAssociated; wording as AWS answers it."""
    return Ec2Error("Resource.AlreadyAssociated", f"resource {gateway_id} is already attached to network {vpc_id}")


def vpc_has_gateway(vpc_id: str) -> Ec2Error:
    """Source: VPC User Guide, "Internet gateways": one for each VPC; wording as AWS answers it."""
    return invalid_parameter(f"Network {vpc_id} already has an internet gateway attached")


def gateway_not_attached(gateway_id: str, vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, Gateway.NotAttached; wording as AWS answers it."""
    return Ec2Error("Gateway.NotAttached", f"resource {gateway_id} is not attached to network {vpc_id}")


def addresses_mapped(vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DetachInternetGateway: no instance may have a public address; wording as AWS's."""
    return Ec2Error(
        "DependencyViolation",
        f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before detaching "
        "the gateway.",
    )


def gateway_in_use(gateway_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteInternetGateway: it must be detached first; wording as AWS answers it."""
    return Ec2Error(
        "DependencyViolation", f"The internetGateway '{gateway_id}' has dependencies and cannot be deleted."
    )


def too_many_gateways() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InternetGatewayLimitExceeded."""
    return Ec2Error("InternetGatewayLimitExceeded", "The maximum number of internet gateways has been reached.")


def gateway_not_found(gateway_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidGatewayID.NotFound: how a route's gateway is refused."""
    return Ec2Error("InvalidGatewayID.NotFound", f"The gateway ID '{gateway_id}' does not exist")
