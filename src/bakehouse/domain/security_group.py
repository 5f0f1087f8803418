"""Security groups and their rules."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from bakehouse.domain.errors import Ec2Error, invalid_parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a rule permits, in its normal form. Two rules that permit the same are the same rule."""

    protocol: str
    """`tcp`, `udp`, `icmp`, `icmpv6`, `-1`, or a protocol number as text."""
    from_port: int | None
    to_port: int | None
    cidr_ipv4: str | None = None
    cidr_ipv6: str | None = None
    referenced_group_id: str | None = None
    prefix_list_id: str | None = None
    description: str | None = field(default=None, compare=False)

    def text(self) -> str:
        """Return it as EC2's messages name a rule."""
        peer = self.cidr_ipv4 or self.cidr_ipv6 or self.referenced_group_id or self.prefix_list_id
        if self.protocol == "-1":
            return f"peer: {peer}, ALL, ALLOW"
        return f"peer: {peer}, {self.protocol.upper()}, from port: {self.from_port}, to port: {self.to_port}, ALLOW"


#: Source: EC2 API Reference, IpPermission: these numbers are shown by name.
_PROTOCOL_NAMES: Final = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_PROTOCOL_NUMBER_MAX: Final = 255
_PORT_MAX: Final = 65_535
_ICMP_MAX: Final = 255


def protocol_of(text: str) -> str:
    """Return a protocol in its normal form. Refuses what is no protocol: InvalidParameterValue."""
    protocol = _PROTOCOL_NAMES.get(text.lower(), text.lower())
    if protocol in ("tcp", "udp", "icmp", "icmpv6", "-1"):
        return protocol
    if protocol.isdecimal() and int(protocol) <= _PROTOCOL_NUMBER_MAX:
        return str(int(protocol))
    raise invalid_parameter(f"Invalid value '{text}' for IP protocol. Unknown protocol.")


def ports_of(protocol: str, first: int | None, last: int | None) -> tuple[int | None, int | None]:
    """Return a port range, or an ICMP type and code, in normal form; a protocol without ports has none.

    Source: EC2 API Reference, IpPermission: with `-1` or another protocol all ports are open, whatever is given.
    """
    if protocol in ("tcp", "udp"):
        if first is None or last is None:
            raise invalid_parameter("Invalid value for portRange. Must specify both from and to ports with TCP/UDP.")
        if first == last == -1:
            return 0, _PORT_MAX
        if not 0 <= first <= last <= _PORT_MAX:
            raise invalid_parameter(f"Invalid TCP/UDP port range ({first}:{last})")
        return first, last
    if protocol in ("icmp", "icmpv6"):
        kind, code = -1 if first is None else first, -1 if last is None else last
        if not (-1 <= kind <= _ICMP_MAX and -1 <= code <= _ICMP_MAX):
            raise invalid_parameter(f"Invalid ICMP type and code ({kind}:{code})")
        return kind, code
    return None, None


def cidr_of(text: str, version: int) -> str:
    """Return a range in canonical form, host bits cleared as EC2 does. Refuses what is none: InvalidParameterValue."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as err:
        raise invalid_parameter(f"CIDR block {text} is malformed") from err
    if network.version != version or "/" not in text:
        raise invalid_parameter(f"CIDR block {text} is malformed")
    return str(network)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupRule:
    """One permission: one protocol and port range from or to one peer. Exactly one peer member is set."""

    id: str
    is_egress: bool
    protocol: str
    """`tcp`, `udp`, `icmp`, `icmpv6`, `-1`, or a protocol number as text."""
    from_port: int | None
    to_port: int | None
    cidr_ipv4: str | None = None
    cidr_ipv6: str | None = None
    referenced_group_id: str | None = None
    prefix_list_id: str | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, permission: Permission, *, rule_id: str, is_egress: bool, tags: Mapping[str, str]) -> Self:
        """Return the rule that permits this, and is described so."""
        return cls(
            id=rule_id,
            is_egress=is_egress,
            protocol=permission.protocol,
            from_port=permission.from_port,
            to_port=permission.to_port,
            cidr_ipv4=permission.cidr_ipv4,
            cidr_ipv6=permission.cidr_ipv6,
            referenced_group_id=permission.referenced_group_id,
            prefix_list_id=permission.prefix_list_id,
            description=permission.description,
            tags=dict(tags),
        )

    @property
    def permission(self) -> Permission:
        """What it permits, to compare it by."""
        return Permission(
            protocol=self.protocol,
            from_port=self.from_port,
            to_port=self.to_port,
            cidr_ipv4=self.cidr_ipv4,
            cidr_ipv6=self.cidr_ipv6,
            referenced_group_id=self.referenced_group_id,
            prefix_list_id=self.prefix_list_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A set of rules that interfaces carry."""

    id: str
    account_id: str
    region: str
    vpc_id: str
    name: str
    description: str
    rules: tuple[SecurityGroupRule, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


def group_name_taken(name: str, vpc_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidGroup.Duplicate; wording as AWS answers it."""
    return Ec2Error("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'")


def group_name_not_found(name: str, vpc_id: str | None) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidGroup.NotFound; wording as AWS answers it."""
    where = f"VPC '{vpc_id}'" if vpc_id else "default VPC"
    return Ec2Error("InvalidGroup.NotFound", f"The security group '{name}' does not exist in {where}")


def group_reserved(name: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidGroup.Reserved."""
    return Ec2Error("InvalidGroup.Reserved", f"The security group '{name}' is reserved")


def default_group_stays(group_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, CannotDelete."""
    return Ec2Error("CannotDelete", f'the specified group: "{group_id}" name: "default" cannot be deleted by a user')


def too_many_rules() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, RulesPerSecurityGroupLimitExceeded."""
    return Ec2Error("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per group is reached.")


def rule_exists(text: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPermission.Duplicate; wording as AWS answers it."""
    return Ec2Error("InvalidPermission.Duplicate", f'the specified rule "{text}" already exists')


def rule_not_found() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPermission.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
