"""Security groups and their rules."""

from dataclasses import dataclass, field

from bakehouse.domain.errors import Ec2Error


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
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


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


def rule_exists(text: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPermission.Duplicate; wording as AWS answers it."""
    return Ec2Error("InvalidPermission.Duplicate", f'the specified rule "{text}" already exists')


def rule_not_found() -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidPermission.NotFound; wording as AWS answers it."""
    return Ec2Error("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
