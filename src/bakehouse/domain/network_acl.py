"""Network ACLs: numbered entries that let packets into and out of subnets, without memory of connections."""

import ipaddress
from dataclasses import dataclass, field
from typing import Final

from bakehouse.domain.errors import Ec2Error, dependency_violation, invalid_parameter, invalid_value, missing_parameter

#: Source: VPC User Guide, "Amazon VPC quotas": network ACLs of a VPC, and entries of one direction (20, at most 40).
NETWORK_ACLS_MAX: Final = 200
ENTRIES_MAX: Final = 40

#: Source: EC2 API Reference, CreateNetworkAclEntry, RuleNumber: from 1; the rest is reserved.
_NUMBER_MAX: Final = 32_766
#: The entries that end each direction, for IPv4 and IPv6, and deny. Nobody makes them, and nobody can remove them.
FINAL_NUMBER: Final = 32_767
FINAL_IPV6_NUMBER: Final = 32_768

ANYWHERE: Final = "0.0.0.0/0"
ANYWHERE_IPV6: Final = "::/0"

#: Source: IANA, "Protocol Numbers"; EC2 takes these names and shows numbers.
_NUMBERS: Final = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
_ICMP: Final = "1"
_ICMPV6: Final = "58"
_WITH_PORTS: Final = ("6", "17")
_PROTOCOL_MAX: Final = 255
_PORT_MAX: Final = 65_535
_ICMP_MAX: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAclEntry:
    """An entry. Of one direction's the lowest number that fits a packet decides."""

    number: int
    is_egress: bool
    allows: bool
    protocol: str
    """A protocol's number as text; `-1` is any."""
    cidr: str
    """The range of the other side, IPv4 or IPv6."""
    from_port: int | None = None
    to_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    @property
    def is_ipv6(self) -> bool:
        """Whether its range is one of IPv6."""
        return ":" in self.cidr


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAcl:
    """A list of entries. Which subnets use it stands with the subnets."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    is_default: bool
    entries: tuple[NetworkAclEntry, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def entry(self, number: int, *, is_egress: bool) -> NetworkAclEntry | None:
        """Return the entry with this number, or None."""
        for entry in self.entries:
            if (entry.number, entry.is_egress) == (number, is_egress):
                return entry
        return None

    def passes_everything(self, *, ipv6: bool) -> bool:
        """Whether the first entries of both directions let everything pass; of IPv6 too, where it is asked for."""
        families = (ANYWHERE, ANYWHERE_IPV6) if ipv6 else (ANYWHERE,)
        return all(self._is_open(everything, is_egress) for everything in families for is_egress in (True, False))

    def _is_open(self, everything: str, is_egress: bool) -> bool:  # noqa: FBT001 - a direction
        is_ipv6 = everything == ANYWHERE_IPV6
        entries = [it for it in self.entries if it.is_egress is is_egress and it.is_ipv6 is is_ipv6]
        first = min(entries, key=lambda entry: entry.number, default=None)
        return first is not None and first.allows and first.protocol == "-1" and first.cidr == everything


def open_entries(*, ipv6: bool = False) -> tuple[NetworkAclEntry, ...]:
    """Return what a default ACL begins with: everything passes. Source: VPC User Guide, "Default network ACL"."""
    return tuple(
        NetworkAclEntry(number=number, is_egress=is_egress, allows=True, protocol="-1", cidr=cidr)
        for is_egress in (True, False)
        for number, cidr in ((100, ANYWHERE), *(((101, ANYWHERE_IPV6),) if ipv6 else ()))
    )


def final_entries(*, ipv6: bool) -> tuple[NetworkAclEntry, ...]:
    """Return the entries that end every ACL: what none before them let pass is denied."""
    return tuple(
        NetworkAclEntry(number=number, is_egress=is_egress, allows=False, protocol="-1", cidr=cidr)
        for is_egress in (True, False)
        for number, cidr in ((FINAL_NUMBER, ANYWHERE), *(((FINAL_IPV6_NUMBER, ANYWHERE_IPV6),) if ipv6 else ()))
    )


def checked_number(number: int) -> int:
    """Return an entry's number, or refuse it: InvalidParameterValue."""
    if not 1 <= number <= _NUMBER_MAX:
        raise invalid_value(number, "ruleNumber", f"It must be from 1 to {_NUMBER_MAX}.")
    return number


def entry_of(
    *,
    number: int,
    is_egress: bool,
    allows: bool,
    protocol: str,
    cidr: str,
    is_ipv6: bool,
    ports: tuple[int | None, int | None] | None,
    icmp: tuple[int | None, int | None] | None,
) -> NetworkAclEntry:
    """Return a checked entry in its normal form.

    Ports belong to TCP and UDP, where both are needed; type and code to ICMP, and to ICMPv6 with an IPv6 range. With
    any other protocol both are dropped. Source: EC2 API Reference, CreateNetworkAclEntry.
    """
    protocol = _protocol_of(protocol)
    try:
        network = (ipaddress.IPv6Network if is_ipv6 else ipaddress.IPv4Network)(cidr, strict=False)
    except ValueError as err:
        parameter = "ipv6CidrBlock" if is_ipv6 else "cidrBlock"
        raise invalid_value(cidr, parameter, "This is not a valid CIDR block.") from err
    has_icmp = protocol == _ICMP or (protocol == _ICMPV6 and is_ipv6)
    first, last = _ports(ports) if protocol in _WITH_PORTS else (None, None)
    kind, code = _icmp(icmp) if has_icmp else (None, None)
    return NetworkAclEntry(
        number=checked_number(number),
        is_egress=is_egress,
        allows=allows,
        protocol=protocol,
        cidr=str(network),
        from_port=first,
        to_port=last,
        icmp_type=kind,
        icmp_code=code,
    )


def _protocol_of(text: str) -> str:
    protocol = _NUMBERS.get(text.lower(), text)
    if protocol != "-1" and not (protocol.isdecimal() and int(protocol) <= _PROTOCOL_MAX):
        raise invalid_parameter(f"Invalid value '{text}' for IP protocol. Unknown protocol.")
    return protocol if protocol == "-1" else str(int(protocol))


def _ports(ports: tuple[int | None, int | None] | None) -> tuple[int, int]:
    first, last = ports or (None, None)
    if first is None or last is None:
        raise missing_parameter("portRange")
    if not 0 <= first <= last <= _PORT_MAX:
        raise invalid_parameter(f"Invalid TCP/UDP port range ({first}:{last})")
    return first, last


def _icmp(icmp: tuple[int | None, int | None] | None) -> tuple[int, int]:
    kind, code = icmp or (None, None)
    if kind is None or code is None:
        raise missing_parameter("icmpTypeCode")
    if not (-1 <= kind <= _ICMP_MAX and -1 <= code <= _ICMP_MAX):
        raise invalid_parameter(f"Invalid ICMP type and code ({kind}:{code})")
    return kind, code


def entry_exists(number: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, NetworkAclEntryAlreadyExists; wording as AWS answers it."""
    return Ec2Error("NetworkAclEntryAlreadyExists", f"The network acl entry identified by {number} already exists.")


def entry_not_found(number: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidNetworkAclEntry.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidNetworkAclEntry.NotFound", f"The network acl entry identified by {number} does not exist.")


def acl_in_use(acl_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteNetworkAcl: not while subnets use it; wording as AWS answers it."""
    return dependency_violation(f"The networkAcl '{acl_id}' has dependencies and cannot be deleted.")


def default_acl_stays(acl_id: str) -> Ec2Error:
    """Source: EC2 API Reference, DeleteNetworkAcl: "You can't delete the default network ACL"."""
    return invalid_parameter(f"cannot delete default network ACL {acl_id}")


def too_many_acls() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, NetworkAclLimitExceeded."""
    return Ec2Error("NetworkAclLimitExceeded", "The maximum number of network ACLs has been reached.")


def too_many_entries() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, NetworkAclEntryLimitExceeded."""
    return Ec2Error("NetworkAclEntryLimitExceeded", "The maximum number of network ACL entries has been reached.")
