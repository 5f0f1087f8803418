"""DHCP options sets: what a VPC's instances are told when they ask for an address."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bakehouse.domain.errors import Ec2Error, dependency_violation, invalid_value, missing_parameter

#: What a VPC has that no set is associated with, and what AssociateDhcpOptions takes for it.
NO_OPTIONS: Final = "default"

#: Stands for the VPC's own resolver.
PROVIDED_DNS: Final = "AmazonProvidedDNS"

_DOMAIN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpOptions:
    """A set of options, which never changes. Which VPCs use it stands with the VPCs."""

    id: str
    account_id: str
    region: str
    options: dict[str, tuple[str, ...]]
    """Name, as `domain-name-servers`, to its values."""
    is_default: bool = False
    """Whether new VPCs of the region begin with it."""
    tags: dict[str, str] = field(default_factory=dict)


def checked_options(options: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return options as a set has them, or refuse them. Source: EC2 API Reference, CreateDhcpOptions.

    Several servers may stand in one value, with commas between.
    """
    if not options:
        raise missing_parameter("dhcpConfigurations")
    checked: dict[str, tuple[str, ...]] = {}
    for name, given in options.items():
        if name not in _CHECKS:
            raise invalid_value(name, "dhcpConfiguration", "This is not a DHCP option that can be set.")
        values = tuple(part.strip() for value in given for part in value.split(",") if part.strip())
        most, is_valid = _CHECKS[name]
        if not values or len(values) > most or not all(map(is_valid, values)):
            raise invalid_value(", ".join(values), name)
        checked[name] = values
    return checked


def _is_domain(text: str) -> bool:
    return all(_DOMAIN.fullmatch(word) for word in text.split(" "))


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


#: option -> (most values, what makes one valid).
_CHECKS: Final[Mapping[str, tuple[int, Callable[[str], bool]]]] = {
    "domain-name": (1, _is_domain),
    "domain-name-servers": (4, lambda text: text == PROVIDED_DNS or _is_address(text)),
    "ntp-servers": (8, _is_address),
    "netbios-name-servers": (4, _is_ipv4),
    "netbios-node-type": (1, lambda text: text in ("1", "2", "4", "8")),
}


def options_in_use(options_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteDhcpOptions: not while VPCs use it; wording as AWS answers it."""
    return dependency_violation(f"The dhcpOptions '{options_id}' has dependencies and cannot be deleted.")
