"""NAT gateways: what lets private subnets reach out."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class NatGatewayState(StrEnum):
    """Source: EC2 API Reference, NatGateway, state."""

    PENDING = "pending"
    """What the answer to CreateNatGateway says; the record is `available` by then."""
    AVAILABLE = "available"
    DELETED = "deleted"
    """Shown for an hour. Source: EC2 API Reference, DescribeNatGateways: usually about an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGateway:
    """A NAT gateway. Its addresses stand in its interface, `network_interface_id`, while it is there."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    subnet_id: str
    is_public: bool
    state: NatGatewayState
    created_at: datetime
    network_interface_id: str
    private_ip: str
    public_ip: str | None = None
    allocation_id: str | None = None
    association_id: str | None = None
    deleted_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
