"""Names and addresses that a segment takes on its host. Pure: both the server and the agent compute them."""

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

#: The metadata service, as on EC2.
METADATA_ADDRESS: Final = "169.254.169.254"
METADATA_PORT: Final = 80

#: The resolver at a fixed address, beside the one at the VPC's base plus two. Source: VPC user guide,
#: "Amazon DNS server".
LINK_LOCAL_RESOLVER: Final = "169.254.169.253"

#: The same over IPv6. Source: VPC user guide, "Amazon DNS server".
IPV6_RESOLVER: Final = "fd00:ec2::253"

#: Every IPv6 subnet's prefix. Source: VPC user guide, "Subnet CIDR blocks".
IPV6_SUBNET_PREFIX: Final = 64

#: Ours alone, inside a segment: the host's end and ours of the link between them, and slirp4netns. Out of the
#: shared address space (RFC 6598), so that no network a guest talks to is hidden.
RESERVED: Final = IPv4Network("100.127.0.0/16")
HOST_ADDRESS: Final = "100.127.0.1"
"""The address by which guests see connections from the host."""
LINK_ADDRESS: Final = "100.127.0.2"
UPLINK_NETWORK: Final = "100.127.1.0/24"
UPLINK_RESOLVER: Final = "100.127.1.3"
"""slirp4netns answers there for the host's resolvers (its network's base plus three)."""
FORWARDED_ADDRESS: Final = "100.127.1.101"
"""By which slirp4netns sees what a guest forwards from others, besides its usual guest at 100.127.1.100."""
FORWARDED_ZONE: Final = 1
"""Where connections are tracked that a guest forwards from others: it has sent their packets once already."""

#: Interfaces inside a segment: the link to the host (root only) and slirp4netns. Guests have `tap...`.
HOST_LINK: Final = "up0"
UPLINK: Final = "ext0"
TAP_PREFIX: Final = "tap"

#: Linux allows 15 bytes in an interface name.
_INTERFACE_NAME_BYTES: Final = 15

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,60}")

#: A public address 127.x.y.z is 240.x.y.z on its way from the host into a segment.
_MIDDLE_BASE: Final = int(IPv4Address("240.0.0.0"))
_MIDDLE_HOST_BITS: Final = 0x00FFFFFF

_DIRECTORY: Final = "segments"


def checked_id(identifier: str) -> str:
    """Return an id that may stand in a file name, an interface name or a ruleset.

    Raises:
        ValueError: It has characters that mean something to one of them.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"not an id: {identifier!r}")
    return identifier


def tap_name(interface_id: str) -> str:
    """Return the name of an interface's tap: the end of its id, as far as Linux lets names be long."""
    return TAP_PREFIX + checked_id(interface_id)[-(_INTERFACE_NAME_BYTES - len(TAP_PREFIX)) :]


def gateway(subnet_cidr: str) -> str:
    """Return a subnet's gateway, its first address."""
    return str(IPv4Network(subnet_cidr)[1])


def ipv6_gateway(address: str) -> str:
    """Return the gateway of an IPv6 address's subnet, which is always a /64: its first address."""
    return str(IPv6Network((address, IPV6_SUBNET_PREFIX), strict=False)[1])


def resolver(vpc_cidr: str) -> str:
    """Return a VPC's resolver, its base plus two."""
    return str(IPv4Network(vpc_cidr)[2])


def middle_address(public_ip: str) -> str:
    """Return the address that stands for a public address between the host and a segment (root only).

    Private addresses of different VPCs may be equal, and 127.0.0.0/8 is not routed, so something unique has to be.
    240.0.0.0/4 is reserved for ever and in nobody's network, yet Linux routes it; nothing outside sees it. (The
    shared address space 100.64.0.0/10 is not free: Tailscale uses it and drops it on other interfaces.)
    """
    return str(IPv4Address(_MIDDLE_BASE | (int(IPv4Address(public_ip)) & _MIDDLE_HOST_BITS)))


@dataclass(frozen=True, slots=True)
class SegmentLayout:
    """Where a segment keeps its files, and what it is called in the host's own namespace."""

    home: Path
    vpc_id: str

    @property
    def directory(self) -> Path:
        """Private to the server's user."""
        return self.home / _DIRECTORY / checked_id(self.vpc_id)

    @classmethod
    def existing(cls, home: Path) -> list[str]:
        """Return the VPCs that have, or had, a segment in a home. Reads the disk."""
        try:
            return sorted(entry.name for entry in (home / _DIRECTORY).iterdir())
        except FileNotFoundError:
            return []

    @property
    def log(self) -> Path:
        """What the agent and its programs say."""
        return self.directory / "agent.log"

    @property
    def tag(self) -> str:
        """Twelve hexadecimal digits that tell this segment from those of other homes on the host."""
        return hashlib.sha256(f"{self.home}\0{self.vpc_id}".encode()).hexdigest()[:12]

    @property
    def host_interface(self) -> str:
        """The host's end of the link (root only)."""
        return f"bh{self.tag}"

    @property
    def new_link(self) -> str:
        """What the segment's end is called until it is moved inside."""
        return f"bh{self.tag}p"

    @property
    def host_table(self) -> str:
        """The nftables table in the host's namespace (root only)."""
        return f"bakehouse_{self.tag}"

    @property
    def shared_directory(self) -> Path:
        """What dnsmasq reads as root, when it has become `nobody`, who cannot enter the home."""
        return Path("/run/bakehouse") / self.tag

    def names(self, *, rootless: bool) -> Path:
        """What dnsmasq has its files in."""
        return self.directory / "names" if rootless else self.shared_directory
