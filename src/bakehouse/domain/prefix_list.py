"""Managed prefix lists: ranges under one name, which security group rules and routes name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_parameter

#: Source: VPC User Guide, "Prefix lists" quotas: 1,000 entries.
ENTRIES_MAX: Final = 1000
#: Source: EC2 API Reference, CreateManagedPrefixList: up to 255 characters.
NAME_MAX: Final = 255


class AddressFamily(StrEnum):
    """Source: EC2 API Reference, CreateManagedPrefixList, AddressFamily."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    @property
    def number(self) -> int:
        """4 or 6."""
        return 4 if self is AddressFamily.IPV4 else 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixEntry:
    """A range of a list."""

    cidr: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixList:
    """A list with all its versions: the last one counts."""

    id: str
    account_id: str
    region: str
    name: str
    family: AddressFamily
    max_entries: int
    versions: tuple[tuple[PrefixEntry, ...], ...]
    """The entries of version 1, 2, and so on."""
    state: str = "create-complete"
    """`create-complete`, `modify-complete`, `modify-failed` or `restore-complete`."""
    state_message: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """The number of the version that counts."""
        return len(self.versions)

    @property
    def entries(self) -> tuple[PrefixEntry, ...]:
        """What it has now."""
        return self.versions[-1]


def check_entries(entries: Sequence[PrefixEntry], most: int) -> None:
    """Refuse more entries than the list was made for, and a range given twice."""
    if len({entry.cidr for entry in entries}) < len(entries):
        raise invalid_parameter("The prefix list entries contain a duplicate CIDR.")
    if len(entries) > most:
        raise Ec2Error(
            "PrefixListMaxEntriesExceeded",
            f"You've reached the maximum number of entries for the prefix list, which is {most}.",
        )


def resize_failed(prefix_list: PrefixList, full: Sequence[str]) -> PrefixList:
    """Return a list as it is when another size was too large for what names it.

    Source: EC2 API Reference, ModifyManagedPrefixList, MaxEntries: the message has the first ten of these.
    """
    message = f"The following resources do not support the new maximum size: {', '.join(full[:10])}"
    return replace(prefix_list, state="modify-failed", state_message=message)


def version_mismatch(prefix_list_id: str, version: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, PrefixListVersionMismatch."""
    return Ec2Error(
        "PrefixListVersionMismatch",
        f"The prefix list '{prefix_list_id}' has the version {version}; the request names another one.",
    )


def version_not_found(prefix_list_id: str, version: int) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, PrefixListVersionNotFound."""
    return Ec2Error("PrefixListVersionNotFound", f"The prefix list '{prefix_list_id}' has no version {version}.")


def prefix_list_in_use(prefix_list_id: str, group_ids: Sequence[str]) -> Ec2Error:
    """Source: VPC User Guide, "Delete a prefix list": first remove the references to it."""
    return Ec2Error(
        "DependencyViolation", f"The prefix list '{prefix_list_id}' is referenced by {', '.join(group_ids)}."
    )
