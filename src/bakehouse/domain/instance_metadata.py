"""What a guest may read about its instance at the metadata service, gathered from the records."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bakehouse.domain.errors import invalid_parameter
from bakehouse.domain.iam import InstanceCredentials
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_event import ScheduledEvent
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.network import Subnet, Vpc, host_name_of, private_domain
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.domain.public_names import PublicNaming
from bakehouse.domain.security_group import SecurityGroup
from bakehouse.domain.spot_request import Interruption

#: Tag keys that can be names in a path.
#: Source: EC2 User Guide, "View tags for your EC2 instances using instance metadata".
_SHOWN_TAG_KEY: Final = re.compile(r"[A-Za-z0-9+\-=.,_:@]+")
_RESERVED_TAG_KEYS: Final = frozenset({".", "..", "_index"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceMetadata:
    """One interface of an instance, and where it is."""

    interface: NetworkInterface
    vpc: Vpc
    subnet: Subnet
    groups: tuple[SecurityGroup, ...]
    """The interface's groups, in its order."""
    naming: PublicNaming = PublicNaming.ADDRESS
    """Of the VPC's public addresses."""

    @property
    def public_hostname(self) -> str | None:
        """The public name, None without a public address, and in a VPC without such names."""
        return self.naming.of(self.interface.public_ip, self.interface.region) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMetadata:
    """One instance as its guest sees it."""

    instance: Instance
    interfaces: tuple[InterfaceMetadata, ...]
    """By device index: the first is the primary one."""
    data_devices: tuple[str, ...] = ()
    """Device names of the attached volumes beside the root, such as `/dev/sdf`."""
    ephemeral_devices: tuple[tuple[str, str], ...] = ()
    """Virtual name (`ephemeral0`) and device name, as the image's mapping has them."""
    credentials: InstanceCredentials | None = None
    """Of the role that its profile hands out."""
    events: tuple[ScheduledEvent, ...] = ()
    """Those that are still told of."""
    login_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """User to the public keys that may log in as them at this moment, each an authorized_keys entry with comments."""

    interruption: Interruption | None = None
    """That its guest was told of, if it is a spot instance that is to be taken away."""

    @property
    def interface(self) -> NetworkInterface:
        """The primary one."""
        return self.interfaces[0].interface

    @property
    def groups(self) -> tuple[SecurityGroup, ...]:
        """The primary interface's."""
        return self.interfaces[0].groups

    @property
    def local_hostname(self) -> str:
        """The private name with its domain, such as `ip-172-31-5-10.ec2.internal`."""
        names, ip_name = self.instance.private_names, host_name_of(self.interface.private_ip)
        return f"{names.host_name(self.instance.id, ip_name)}.{private_domain(self.instance.region)}"

    @property
    def public_hostname(self) -> str | None:
        """The public name, None without a public address."""
        return self.interfaces[0].public_hostname

    @property
    def hypervisor(self) -> str:
        """What EC2 runs this instance type on: `nitro` or `xen`."""
        return INSTANCE_TYPES[self.instance.type].hypervisor

    @property
    def tags(self) -> dict[str, str]:
        """The instance's tags that its guest may read: none unless the metadata options allow it."""
        if not self.instance.metadata_options.tags_enabled:
            return {}
        return {key: value for key, value in self.instance.tags.items() if is_shown_tag_key(key)}


def is_shown_tag_key(key: str) -> bool:
    """Tell whether a tag of this key can be read by a guest.

    EC2 refuses other keys on an instance whose metadata shows tags; where one is there anyhow, it is left out.
    """
    return _SHOWN_TAG_KEY.fullmatch(key) is not None and key not in _RESERVED_TAG_KEYS


def check_shown_tag_keys(keys: Iterable[str]) -> None:
    """Refuse tag keys that cannot be names in a path, of an instance whose metadata shows tags."""
    for key in keys:
        if not is_shown_tag_key(key):
            raise invalid_parameter(
                f"'{key}' is not a valid tag key. Tag keys must match pattern "
                "([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')"
            )
