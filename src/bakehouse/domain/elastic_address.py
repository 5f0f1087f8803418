"""Elastic IP addresses: public addresses that an account keeps until it releases them."""

from dataclasses import dataclass, field

from bakehouse.domain.errors import Ec2Error


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticAddress:
    """An address of the pool in 127.0.0.0/8, held by an account.

    Where it leads stands in the interface's `associations`; here is only which interface that is.
    """

    id: str
    """The allocation's, such as `eipalloc-0123456789abcdef0`."""
    account_id: str
    region: str
    public_ip: str
    interface_id: str | None = None
    association_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


def address_not_found(public_ip: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAddress.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidAddress.NotFound", f"Address '{public_ip}' not found.")


def address_not_yours(public_ip: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, AuthFailure: an address that another account, or nobody, holds."""
    return Ec2Error("AuthFailure", f"The address '{public_ip}' does not belong to you.", 403)


def address_associated(public_ip: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidIPAddress.InUse: release what is associated."""
    return Ec2Error("InvalidIPAddress.InUse", f"Address {public_ip} is in use.")


def already_associated(allocation_id: str, association_id: str | None) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, Resource.AlreadyAssociated; wording as AWS answers it."""
    return Ec2Error(
        "Resource.AlreadyAssociated",
        f"resource {allocation_id} is already associated with associate-id {association_id}",
    )


def association_not_found(association_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidAssociationID.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidAssociationID.NotFound", f"The association ID '{association_id}' does not exist")


def gateway_not_attached(vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, Gateway.NotAttached."""
    return Ec2Error("Gateway.NotAttached", f"Network {vpc_id} is not attached to any internet gateway")
