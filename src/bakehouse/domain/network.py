"""VPCs and subnets, and the names and addresses in them."""

import ipaddress
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from bakehouse.domain.dhcp_options import NO_OPTIONS
from bakehouse.domain.errors import Ec2Error, service_unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class CidrAssociation:
    """A range that was added to a VPC or subnet."""

    id: str
    """Such as `vpc-cidr-assoc-0123456789abcdef0`."""
    cidr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """A virtual network."""

    id: str
    account_id: str
    region: str
    cidr: str
    """The primary range, which never changes."""
    is_default: bool
    secondary_cidrs: tuple[CidrAssociation, ...] = ()
    ipv6_cidr: CidrAssociation | None = None
    dns_support: bool = True
    dns_hostnames: bool = False
    usage_metrics: bool = False
    dhcp_options_id: str = NO_OPTIONS
    main_route_table_id: str = ""
    """Empty in records of a version that had no route tables; the next server's start gives it one."""
    main_association_id: str = ""
    network_acl_id: str = ""
    """Its default ACL."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def cidr_association_id(self) -> str:
        """The id of the association of its primary range."""
        return self.id.replace("vpc-", "vpc-cidr-assoc-")

    @property
    def gives_public_names(self) -> bool:
        """Whether public addresses have names. Source: VPC User Guide, "DNS attributes for your VPC": it wants both."""
        return self.dns_support and self.dns_hostnames

    @property
    def cidrs(self) -> tuple[str, ...]:
        """Its IPv4 ranges, the primary one first."""
        return (self.cidr, *(association.cidr for association in self.secondary_cidrs))

    @property
    def local_destinations(self) -> tuple[str, ...]:
        """What its route tables route within it: every range, IPv6 last."""
        return self.cidrs if self.ipv6_cidr is None else (*self.cidrs, self.ipv6_cidr.cidr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A range of a VPC in one zone."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    cidr: str
    availability_zone: str
    default_for_az: bool
    map_public_ip: bool
    ipv6_cidr: CidrAssociation | None = None
    assign_ipv6: bool = False
    """Whether interfaces made here get an IPv6 address."""
    hostname_type: Literal["ip-name", "resource-name"] = "ip-name"
    """How instances that are launched here are called."""
    resource_name_a_record: bool = False
    """Whether the ids of instances that are launched here resolve to their private addresses."""
    resource_name_aaaa_record: bool = False
    """Whether they resolve to their IPv6 addresses."""
    route_table_id: str | None = None
    """What it is associated with; None stands for the VPC's main table."""
    route_table_association_id: str | None = None
    network_acl_id: str = ""
    network_acl_association_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)


def host_name_of(private_ip: str) -> str:
    """Return the IP name of an address, without domain. Source: EC2 User Guide, "EC2 instance hostname types"."""
    return "ip-" + private_ip.replace(".", "-")


def private_domain(region: str) -> str:
    """Return the domain of private names. Source: VPC User Guide, "DNS attributes for your VPC"."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def free_addresses(cidr: str, reserved: Collection[str]) -> Iterator[str]:
    """Yield the addresses that may be given, lowest first: the first four and the last of a subnet are its own.

    Those in reserved ranges are given by name only. Source: VPC User Guide, "Subnet CIDR blocks": network, router, DNS,
    future use and broadcast; "Subnet CIDR reservations".
    """
    network = ipaddress.IPv4Network(cidr)
    kept = [ipaddress.IPv4Network(text) for text in reserved]
    for number in range(int(network.network_address) + 4, int(network.broadcast_address)):
        address = ipaddress.IPv4Address(number)
        if not any(address in part for part in kept):
            yield str(address)


def is_assignable(cidr: str, address: str) -> bool:
    """Tell whether an interface in this subnet may have this address."""
    try:
        number = int(ipaddress.IPv4Address(address))
    except ipaddress.AddressValueError:
        return False
    network = ipaddress.IPv4Network(cidr)
    return int(network.network_address) + 4 <= number < int(network.broadcast_address)


def free_addresses_left(cidr: str, taken: int) -> int:
    """Return AvailableIpAddressCount: five addresses of each subnet are reserved."""
    return ipaddress.IPv4Network(cidr).num_addresses - 5 - taken


def address_in_use(address: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidIPAddress.InUse."""
    return Ec2Error("InvalidIPAddress.InUse", f"Address {address} is in use.")


def address_outside_subnet(address: str) -> Ec2Error:
    """Source: EC2 answers InvalidParameterValue for an address that its subnet does not have."""
    return Ec2Error("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range")


def subnet_full(subnet_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InsufficientFreeAddressesInSubnet."""
    return Ec2Error(
        "InsufficientFreeAddressesInSubnet",
        f"There are not enough free addresses in subnet '{subnet_id}' to satisfy the requested number of instances.",
    )


def no_default_vpc() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, VPCIdNotSpecified."""
    return Ec2Error("VPCIdNotSpecified", "No default VPC for this user")


def no_default_subnet(zone: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, MissingInput; wording as AWS answers it."""
    return Ec2Error("MissingInput", f"No default subnet for availability zone: '{zone}'.")


def group_in_other_network(group_id: str, subnet_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidParameter; wording as AWS answers it."""
    return Ec2Error(
        "InvalidParameter", f"Security group {group_id} and subnet {subnet_id} belong to different networks."
    )


def public_addresses_used_up() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InsufficientAddressCapacity."""
    return Ec2Error(
        "InsufficientAddressCapacity", "There are not enough free public IP addresses to satisfy your request.", 500
    )


def network_behind(subject_id: str, reason: str) -> Ec2Error:
    """Say that a change is kept and not yet in the host's network."""
    return service_unavailable(
        f"The change of '{subject_id}' is written down, and the network of this host could not follow: "
        f"{reason.rstrip('.')}. It is tried again by itself; if it stays so, `bakehouse doctor` tells what the host "
        "lacks."
    )
