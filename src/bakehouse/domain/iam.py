"""Roles, instance profiles and policies of an account, as IAM has them. No policy is evaluated.

Codes and wording of refusals: IAM API Reference, errors of each action, and answers seen by clients.
"""

import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.temporary_credentials import Session

#: Source: IAM User Guide, "IAM identifiers", unique ID prefixes.
_ID_PREFIXES: Final = {"role": "AROA", "instance-profile": "AIPA", "policy": "ANPA"}
_ID_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

Kind = Literal["role", "instance-profile", "policy"]

#: Longest names. Source: IAM API Reference, CreateRole, CreateInstanceProfile, CreatePolicy.
_NAME_MAX: Final[dict[Kind, int]] = {"role": 64, "instance-profile": 128, "policy": 128}
_NAME: Final = re.compile(r"[\w+=,.@-]+", re.ASCII)
_PATH: Final = re.compile(r"/|/[\x21-\x7e]+/")
_TAGS_MAX: Final = 50
#: Source: IAM User Guide, "IAM and AWS STS quotas": managed policies attached to a role, by default.
ATTACHED_MAX: Final = 10

#: Policies that AWS provides; any name is taken for one, as there is no list of them here.
_OF_AWS: Final = re.compile(r"arn:aws:iam::aws:policy/[\x21-\x7e]+")
_POLICY_ARN: Final = re.compile(r"arn:aws:iam::\d{12}:policy/[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What an instance, or whoever assumes it, acts as. `id` is its unique id: a later role of its name has another."""

    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime
    trust_policy: str
    """Who may assume it, as JSON; kept, not evaluated."""
    description: str | None = None
    max_session_s: int = 3600
    inline_policies: dict[str, str] = field(default_factory=dict)
    """Name to document."""
    attached_policies: tuple[str, ...] = ()
    """ARNs, in the order of their attachment."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The name that the rest of AWS knows it by."""
        return arn_of("role", self.account_id, self.path, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceProfile:
    """What hands a role to an instance: one at most."""

    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime
    role_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The name that the rest of AWS knows it by."""
        return arn_of("instance-profile", self.account_id, self.path, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicy:
    """A policy of an account's own, with its one version."""

    id: str
    account_id: str
    name: str
    path: str
    created_at: datetime
    document: str
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The name that the rest of AWS knows it by."""
        return arn_of("policy", self.account_id, self.path, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceCredentials:
    """What the metadata service tells of an instance's profile."""

    profile: InstanceProfile
    role: Role
    updated_at: datetime
    session: Session


def arn_of(kind: Kind, account_id: str, path: str, name: str) -> str:
    """Return an ARN. Source: IAM User Guide, "IAM ARNs"."""
    return f"arn:aws:iam::{account_id}:{kind}{path}{name}"


def new_unique_id(kind: Kind) -> str:
    """Return an id such as `AROA` and 17 characters."""
    return _ID_PREFIXES[kind] + "".join(secrets.choice(_ID_ALPHABET) for _ in range(17))


def check_name(kind: Kind, name: str, path: str = "/") -> None:
    """Refuse a name or a path that IAM does not take."""
    member = {"role": "roleName", "instance-profile": "instanceProfileName", "policy": "policyName"}[kind]
    if not (_NAME.fullmatch(name) and len(name) <= _NAME_MAX[kind]):
        raise invalid(name, member, r"Member must satisfy regular expression pattern: [\w+=,.@-]+")
    if not _PATH.fullmatch(path):
        raise invalid(path, "path", r"Member must satisfy regular expression pattern: (/)|(/[\x21-\x7e]+/)")


def check_document(document: str) -> None:
    """Refuse a policy that is no JSON object with statements; what these say is not looked at."""
    try:
        parsed = json.loads(document)
    except ValueError as err:
        raise malformed_policy("This policy contains invalid Json") from err
    if not isinstance(parsed, dict) or not isinstance(parsed.get("Statement"), list | dict):
        raise malformed_policy("Syntax errors in policy.")


def check_role_tags(tags: dict[str, str]) -> None:
    """Refuse more tags than an entity may have."""
    if len(tags) > _TAGS_MAX:
        raise Ec2Error("LimitExceeded", f"Cannot exceed quota for TagsPerEntity: {_TAGS_MAX}", 409)


def is_policy_of_aws(arn: str) -> bool:
    """Tell whether an ARN names a policy that AWS provides. Refuses what is no ARN of a policy."""
    if _OF_AWS.fullmatch(arn):
        return True
    if not _POLICY_ARN.fullmatch(arn):
        raise Ec2Error("ValidationError", f"ARN {arn} is not valid.")
    return False


def no_such(kind: Kind, name: str) -> Ec2Error:
    """Refuse a name that there is nothing of."""
    noun = {
        "role": f"The role with name {name} cannot be found.",
        "instance-profile": f"Instance Profile {name} cannot be found.",
        "policy": f"Policy {name} was not found.",
    }[kind]
    return no_such_entity(noun)


def no_such_entity(message: str) -> Ec2Error:
    """Source: IAM API Reference, NoSuchEntity: 404."""
    return Ec2Error("NoSuchEntity", message, 404)


def exists_already(kind: Kind, name: str) -> Ec2Error:
    """Source: IAM API Reference, EntityAlreadyExists: 409."""
    message = {
        "role": f"Role with name {name} already exists.",
        "instance-profile": f"Instance Profile {name} already exists.",
        "policy": f"A policy called {name} already exists. Duplicate names are not allowed.",
    }[kind]
    return Ec2Error("EntityAlreadyExists", message, 409)


def delete_conflict(what_first: str) -> Ec2Error:
    """Source: IAM API Reference, DeleteConflict: 409."""
    return Ec2Error("DeleteConflict", f"Cannot delete {what_first}", 409)


def quota_exceeded(quota: str, limit: int) -> Ec2Error:
    """Source: IAM API Reference, LimitExceeded: 409."""
    return Ec2Error("LimitExceeded", f"Cannot exceed quota for {quota}: {limit}", 409)


def malformed_policy(message: str) -> Ec2Error:
    """Source: IAM API Reference, MalformedPolicyDocument: 400."""
    return Ec2Error("MalformedPolicyDocument", message)


def invalid(value: str, member: str, constraint: str) -> Ec2Error:
    """Refuse a value in the words of AWS's query services."""
    return Ec2Error(
        "ValidationError",
        f"1 validation error detected: Value '{value[:100]}' at '{member}' failed to satisfy constraint: {constraint}",
    )
