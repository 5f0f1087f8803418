"""Subnet CIDR reservations: parts of a subnet whose addresses nobody is given who does not ask for them by name."""

from dataclasses import dataclass, field

from bakehouse.domain.cidr import is_within, overlaps, subnet_part
from bakehouse.domain.errors import Ec2Error, invalid_parameter
from bakehouse.domain.network import Subnet


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetCidrReservation:
    """A reserved part of a subnet's IPv4 range. Source: VPC User Guide, "Subnet CIDR reservations"."""

    id: str
    account_id: str
    region: str
    subnet_id: str
    cidr: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)


def reserved_part(subnet: Subnet, text: str, others: list[str]) -> str:
    """Return a part of a subnet in canonical form. Refuses what is none, and what another reservation has."""
    cidr = subnet_part(text)
    if not is_within(cidr, [subnet.cidr]):
        raise invalid_parameter(f"The CIDR '{cidr}' is not within the IPv4 range of subnet '{subnet.id}'.")
    if overlaps(cidr, others):
        raise reservation_conflict(cidr)
    return cidr


def reservation_conflict(cidr: str) -> Ec2Error:
    """Source: VPC User Guide, "Subnet CIDR reservations": they do not overlap each other."""
    return invalid_parameter(f"The CIDR '{cidr}' overlaps another reservation of the subnet.")
