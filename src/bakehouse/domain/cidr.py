"""Address ranges: which ones a VPC and its subnets may have."""

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_value

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Prefix lengths of VPCs and subnets. Source: VPC User Guide, "VPC CIDR blocks" and "Subnet sizing".
_LARGEST: Final = 16
_SMALLEST: Final = 28
#: Source: VPC User Guide, "IPv6 VPC CIDR blocks": Amazon provides a /56, and a subnet may have a /64 of it.
_IPV6_SUBNET: Final = 64

#: What routers do not forward, and what the host uses in every VPC (`docs/reference/network.md`).
_UNUSABLE: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in ("0.0.0.0/8", "100.127.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
)


def vpc_range(text: str) -> str:
    """Return a VPC's range in canonical form. Refuses what is none, or has another size than /16 to /28."""
    network = _ipv4(text, "cidrBlock")
    if not _LARGEST <= network.prefixlen <= _SMALLEST or any(network.overlaps(other) for other in _UNUSABLE):
        raise invalid_vpc_range(text)
    return str(network)


def subnet_range(text: str, vpc_ranges: Iterable[str], taken: Iterable[str]) -> str:
    """Return a subnet's range in canonical form: within one of its VPC's, and apart from the other subnets'."""
    network = _ipv4(text, "cidrBlock")
    if not _LARGEST <= network.prefixlen <= _SMALLEST or not is_within(str(network), vpc_ranges):
        raise invalid_subnet_range(text)
    if overlaps(str(network), taken):
        raise subnet_conflict(text)
    return str(network)


def subnet_part(text: str) -> str:
    """Return a part of a subnet in canonical form: of any size."""
    return str(_ipv4(text, "cidr"))


def ipv6_subnet_range(text: str, vpc_range: str | None, taken: Iterable[str]) -> str:
    """Return a subnet's IPv6 range in canonical form: a /64 of its VPC's, apart from the other subnets'."""
    try:
        network = ipaddress.IPv6Network(text)
    except ValueError as err:
        raise invalid_value(text, "ipv6CidrBlock", "This is not a valid IPv6 CIDR block.") from err
    if network.prefixlen != _IPV6_SUBNET or vpc_range is None or not is_within(str(network), [vpc_range]):
        raise invalid_subnet_range(text)
    if overlaps(str(network), taken):
        raise subnet_conflict(text)
    return str(network)


def provided_ipv6_range(vpc_id: str) -> str:
    """Return the /56 that follows from a VPC's id: below fdba::/16, of the addresses that nobody routes outside.

    EC2 gives one of Amazon's public ranges, which lead here from nowhere. RFC 4193 has this prefix for networks that
    meet nobody else's; `fdba` keeps clear of fd00:ec2::/32, where instances find EC2's own services.
    """
    digits = hashlib.sha256(vpc_id.encode()).hexdigest()[:10]
    return str(ipaddress.IPv6Network(f"fdba:{digits[:4]}:{digits[4:8]}:{digits[8:]}00::/56"))


def free_range(vpc_range: str, taken: Iterable[str], prefix: int) -> str | None:
    """Return the lowest range of this size that overlaps none of those taken; None when there is none."""
    used = [ipaddress.ip_network(text) for text in taken]
    for network in _pieces(vpc_range, prefix):
        if not any(network.overlaps(other) for other in used):
            return str(network)
    return None


def is_within(cidr: str, ranges: Iterable[str]) -> bool:
    """Tell whether one of these ranges holds the whole of another."""
    network = ipaddress.ip_network(cidr)
    others = (ipaddress.ip_network(text) for text in ranges)
    return any(network.version == it.version and network.subnet_of(it) for it in others)  # type: ignore[arg-type]


def overlaps(cidr: str, ranges: Iterable[str]) -> bool:
    """Tell whether a range has an address in common with one of these."""
    network = ipaddress.ip_network(cidr)
    others = (ipaddress.ip_network(text) for text in ranges)
    return any(network.version == it.version and network.overlaps(it) for it in others)


def _pieces(cidr: str, prefix: int) -> Iterator[ipaddress.IPv4Network]:
    network = ipaddress.IPv4Network(cidr)
    return iter(network.subnets(new_prefix=prefix)) if prefix >= network.prefixlen else iter(())


def _ipv4(text: str, parameter: str) -> ipaddress.IPv4Network:
    """Read a range, clearing its host bits as EC2 does. Source: EC2 API Reference, CreateVpc, CidrBlock."""
    try:
        return ipaddress.IPv4Network(text if "/" in text else "none", strict=False)
    except ValueError as err:
        raise invalid_value(text, parameter, "This is not a valid CIDR block.") from err


def invalid_vpc_range(cidr: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidVpcRange, which the API spells `InvalidVpc.Range`."""
    return Ec2Error("InvalidVpc.Range", f"The CIDR '{cidr}' is invalid.")


def vpc_range_conflict(cidr: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidVpcRange: it "overlaps with a CIDR block of the VPC"."""
    return Ec2Error("InvalidVpc.Range", f"The CIDR '{cidr}' conflicts with another CIDR of the VPC.")


def invalid_subnet_range(cidr: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidSubnet.Range; wording as AWS answers it."""
    return Ec2Error("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")


def subnet_conflict(cidr: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidSubnet.Conflict; wording as AWS answers it."""
    return Ec2Error("InvalidSubnet.Conflict", f"The CIDR '{cidr}' conflicts with another subnet")
