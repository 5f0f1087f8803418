"""The names of public addresses: of EC2's form, below a domain that is nobody's.

A name is its address, written otherwise: `ec2-127-16-0-10.compute-1.bakehouse.internal` is 127.16.0.10, whatever has it
at the moment. So every Bakehouse of a host knows all of them, and any one can answer for the others.
"""

import re
from enum import Enum
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from bakehouse.domain.region import REGIONS

#: No server of the internet will ever answer for it: `.internal` is reserved for private use and never delegated.
#: Source: ICANN, "Proposed Top-Level Domain String for Private Use" (2024), after SSAC advisory SAC113. EC2's own
#: private names are elsewhere in it, in `ec2.internal` and `REGION.compute.internal`.
PUBLIC_DOMAIN: Final = "bakehouse.internal"

_NAME: Final = re.compile(r"ec2-(\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})\.(.+)", re.ASCII)


class PublicNaming(Enum):
    """What answers call the public addresses of a VPC."""

    NONE = "none"
    """Nothing. Source: VPC User Guide, "DNS attributes for your VPC": without enableDnsHostnames instances "do not
    receive public DNS hostnames"."""
    ADDRESS = "address"
    """By their text, to which every client can connect."""
    NAME = "name"
    """By their names, which this host is proved to resolve."""

    def of(self, public_ip: str | None, region: str) -> str:
        """Return PublicDnsName of an address; empty where it has no name, or where there is no address."""
        if public_ip is None or self is PublicNaming.NONE:
            return ""
        return public_name(public_ip, region) if self is PublicNaming.NAME else public_ip


def public_zone(region: str) -> str:
    """Return the domain of a region's public names.

    Source: VPC User Guide, "DNS attributes for your VPC": `compute-1` in us-east-1, `REGION.compute` in every other.
    """
    return f"{'compute-1' if region == 'us-east-1' else f'{region}.compute'}.{PUBLIC_DOMAIN}"


def public_name(public_ip: str, region: str) -> str:
    """Return the name of a public IPv4 address, such as `ec2-127-16-0-10.compute-1.bakehouse.internal`."""
    return f"ec2-{public_ip.replace('.', '-')}.{public_zone(region)}"


def address_of(name: str) -> str | None:
    """Return the address that a public name stands for; None when it is none. Case and a final dot do not count."""
    found = _NAME.fullmatch(name.lower().removesuffix("."))
    if found is None or found[2] not in _ZONES:
        return None
    try:
        return str(IPv4Address(found[1].replace("-", ".")))
    except AddressValueError:
        return None


_ZONES: Final = frozenset(map(public_zone, REGIONS))
