"""A segment, as its agent keeps it: what was last asked for, and the kernel's objects that fulfil it."""

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from bakehouse.drivers.network.linux import borders, ruleset
from bakehouse.drivers.network.linux.host_link import HostLink
from bakehouse.drivers.network.linux.layout import (
    FORWARDED_ADDRESS,
    HOST_ADDRESS,
    IPV6_RESOLVER,
    LINK_LOCAL_RESOLVER,
    METADATA_ADDRESS,
    METADATA_PORT,
    RESERVED,
    resolver,
)
from bakehouse.drivers.network.linux.name_service import NameService
from bakehouse.drivers.network.linux.nftables import Nftables, NftablesRefused
from bakehouse.drivers.network.linux.rtnetlink import RouteNetlink
from bakehouse.drivers.network.linux.taps import NoTap, Taps
from bakehouse.drivers.network.linux.ways import Numbers
from bakehouse.ports.network import GroupSpec, InterfaceSpec, SegmentSpec, addresses_of

_METADATA_BACKLOG: Final = 128
_SETTINGS: Final = Path("/proc/sys/net")


class SegmentRefused(Exception):
    """What was asked cannot be, in words for the server. Nothing of it was done."""


class Segment:
    """Everything inside one namespace. This process is in it.

    Args:
        tun_device: The clone device for taps.
        names: DHCP and DNS.
        links: Made inside the namespace.
        firewall: Made inside the namespace.
        host_link: The way to the host (root), or None where the server forwards (rootless).
    """

    def __init__(
        self,
        *,
        tun_device: Path,
        names: NameService,
        links: RouteNetlink,
        firewall: Nftables,
        host_link: HostLink | None,
    ) -> None:
        self._numbers = Numbers()
        self._taps = Taps(tun_device, links, self._numbers)
        self._names = names
        self._links = links
        self._firewall = firewall
        self._host_link = host_link
        self._description: SegmentSpec | None = None
        self._groups: dict[str, GroupSpec] = {}
        self._interfaces: dict[str, InterfaceSpec] = {}
        #: Address to the hardware address that dnsmasq may have leased it to.
        self._leased: dict[str, str] = {}
        #: What the ruleset for routes and ACLs was made of that holds now, and the addresses that it lets outside.
        self._borders: tuple[SegmentSpec, frozenset[str]] | None = None
        self._public = frozenset[str]()
        self._metadata: socket.socket | None = None

    @property
    def is_described(self) -> bool:
        """Whether a server has said what this segment is; one that died on the way has not."""
        return self._description is not None

    @property
    def interface_ids(self) -> tuple[str, ...]:
        """The plugged interfaces."""
        return tuple(self._interfaces)

    @property
    def interfaces(self) -> tuple[InterfaceSpec, ...]:
        """What the plugged interfaces are."""
        return tuple(self._interfaces.values())

    @property
    def unheld(self) -> tuple[str, ...]:
        """The plugged interfaces that no machine has open."""
        return tuple(key for key, interface in self._interfaces.items() if not self._taps.is_held(interface))

    async def ensure(self, description: SegmentSpec, metadata_fd: int | None) -> None:
        """Bring the namespace to this description.

        Args:
            description: The segment.
            metadata_fd: The metadata service's socket, when a server has it from an agent before us.
        """
        for cidr in (description.cidr, *description.extra_cidrs):
            if RESERVED.overlaps(IPv4Network(cidr)):
                raise SegmentRefused(f"{cidr} overlaps {RESERVED}, which Bakehouse needs itself")
        before = self._description
        if before is None:
            self._prepare(description)
            self._metadata = self._metadata or _listen(metadata_fd)
        elif before.cidr != description.cidr:
            raise SegmentRefused(f"the VPC has {before.cidr}; its range cannot be changed")
        await self._names.serve(description)
        self._draw_borders(description, self._interfaces)
        further = _further_ranges(description)
        for cidr in further:
            self._links.add_blackhole(cidr)
        for cidr in () if before is None else _further_ranges(before) - further:
            self._links.delete_blackhole(cidr)
        self._description = description

    def _draw_borders(self, description: SegmentSpec, interfaces: Mapping[str, InterfaceSpec]) -> None:
        """Put routes, ACLs and public addresses into force, if they have changed."""
        plugged = tuple(interfaces.values())
        shape, public = (description, borders.forwarding(plugged)), borders.with_public(plugged)
        if shape != self._borders:
            self._firewall.apply(borders.borders(*shape, public, self._numbers))
        elif public != self._public:
            self._firewall.apply(borders.change_public(self._public, public))
        self._borders, self._public = shape, public

    def _prepare(self, description: SegmentSpec) -> None:
        loopback = self._links.index("lo")
        self._links.set_up(loopback)
        own = [METADATA_ADDRESS, LINK_LOCAL_RESOLVER, FORWARDED_ADDRESS, resolver(description.cidr)]
        if self._host_link is None:
            own.append(HOST_ADDRESS)  # the forwarder's connections come from it
        for address in own:
            self._links.add_address(loopback, address)
        # Addresses without an interface lead nowhere, least of all outside. Proxy ARP does not answer for them.
        for network in (description.cidr, "169.254.0.0/16"):
            self._links.add_blackhole(network)
        for setting, value in (
            # Only taps with IPv6 addresses have it, and ourselves. What is made from now on begins with `default`.
            ("ipv6/conf/all/disable_ipv6", 1),
            ("ipv6/conf/default/disable_ipv6", 1),
            ("ipv6/conf/default/accept_dad", 0),
            ("ipv6/conf/default/accept_ra", 0),
            ("ipv6/conf/lo/disable_ipv6", 0),
            # Taps are made with these: they answer ARP for all guests behind other taps, and take packets only
            # from addresses that are routed to them.
            ("ipv4/conf/default/proxy_arp", 1),
            ("ipv4/conf/default/rp_filter", 1),
            # The larger of both counts, and a new namespace begins with the host's `all`, often 2 (loose). Taps that
            # forward have 0.
            ("ipv4/conf/all/rp_filter", 0),
            ("ipv4/conf/default/send_redirects", 0),
        ):
            with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
                (_SETTINGS / setting).write_text(f"{value}\n")
        self._firewall.apply(ruleset.base(resolver(description.cidr)))
        # Only now, so that nothing is ever forwarded that no rule was asked about.
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            with contextlib.suppress(FileNotFoundError):
                (_SETTINGS / setting).write_text("1\n")
        if (_SETTINGS / "ipv6").exists():
            self._links.add_address(loopback, IPV6_RESOLVER)

    def apply_group(self, group: GroupSpec) -> None:
        """Make a group, or replace its rules, in one transaction."""
        self._require_segment()
        if self._groups.get(group.group_id) == group:
            return
        self._firewall.apply(ruleset.group(group))
        self._groups[group.group_id] = group

    def delete_group(self, group_id: str) -> None:
        """Remove a group. No interface has it."""
        if group_id not in self._groups:
            return
        users = [spec.interface_id for spec in self._interfaces.values() if group_id in spec.group_ids]
        if users:
            raise SegmentRefused(f"{group_id} is still on {', '.join(users)}")
        others = (group for key, group in self._groups.items() if key != group_id)
        referenced = any(ruleset.references(group, group_id) for group in others)
        self._firewall.apply(ruleset.delete_group(group_id, referenced=referenced))
        del self._groups[group_id]

    async def plug(self, interface: InterfaceSpec) -> None:
        """Make an interface, or bring it to this description."""
        before = self._interfaces.get(interface.interface_id)
        await self._names.serve(self._require_segment())  # it may have been killed
        if before == interface:
            return
        if interface.subnet_id not in {subnet.subnet_id for subnet in self._require_segment().subnets}:
            raise SegmentRefused(f"{interface.subnet_id} is not a subnet of the segment")
        self._refuse_taken_addresses(interface)
        await self._end_lease(interface)
        if before is not None and _wiring(before) != _wiring(interface):
            await self._remove(before)
            before = None
        if before is None:
            await self._make(interface)
        else:
            self._change(before, interface)
        self._interfaces[interface.interface_id] = interface

    async def _make(self, interface: InterfaceSpec) -> None:
        try:
            await self._taps.make(interface)
        except NoTap as err:
            raise SegmentRefused(str(err)) from err
        try:
            self._change(None, interface)
        except BaseException:
            with contextlib.suppress(NftablesRefused):
                self._shut_out(interface)
            self._taps.discard(interface)
            raise

    def _change(self, before: InterfaceSpec | None, interface: InterfaceSpec) -> None:
        """Bring all but the tap itself from one description to the next."""
        description = self._require_segment()
        if before is not None:
            self._taps.route(interface, before)
        if self._host_link is not None:
            old = set() if before is None else set(ruleset.public_addresses(before))
            new = set(ruleset.public_addresses(interface))
            for address in sorted(old - new):
                self._host_link.withdraw(address)
            for address in sorted(new - old):
                self._host_link.publish(address)
        if before is None or _told(before) != _told(interface):
            self._names.add(interface)
        self._draw_borders(description, {**self._interfaces, interface.interface_id: interface})
        # Last, for it alone cannot be repeated once it is done.
        self._firewall.apply(ruleset.plug(interface, before))

    async def _end_lease(self, interface: InterfaceSpec) -> None:
        """Let an address that was leased to an interface before be leased to this one.

        dnsmasq keeps a lease until the guest gives it back, which one that was terminated never does, and answers
        nobody else for that address. Its leases are in its memory only, so a new dnsmasq has none; guests that still
        have theirs get them again, since it is authoritative.
        """
        if any(self._leased.get(address, interface.mac) != interface.mac for address in _offered(interface)):
            await self._names.stop()
            await self._names.serve(self._require_segment())
            plugged = self._interfaces.values()
            self._leased = {address: each.mac for each in plugged for address in _offered(each)}
        self._leased |= dict.fromkeys(_offered(interface), interface.mac)

    def _refuse_taken_addresses(self, interface: InterfaceSpec) -> None:
        for other in self._interfaces.values():
            if other.interface_id == interface.interface_id:
                continue
            for address in sorted(addresses_of(other) & addresses_of(interface)):
                raise SegmentRefused(f"{address} is {other.interface_id}'s")

    async def unplug(self, interface_id: str) -> None:
        """Remove an interface. Its tap goes a little later: that takes the kernel some 15 ms."""
        interface = self._interfaces.get(interface_id)
        if interface is not None:
            await self._remove(interface)

    async def _remove(self, interface: InterfaceSpec) -> None:
        self._shut_out(interface)
        del self._interfaces[interface.interface_id]
        self._taps.discard(interface)

    def _shut_out(self, interface: InterfaceSpec) -> None:
        if self._host_link is not None:
            for address in ruleset.public_addresses(interface):
                self._host_link.withdraw(address)
        self._names.remove(interface.interface_id)
        others = {key: spec for key, spec in self._interfaces.items() if key != interface.interface_id}
        self._draw_borders(self._require_segment(), others)
        self._firewall.apply(ruleset.unplug(interface))

    def open_tap(self, interface_id: str) -> int:
        """Return a descriptor of an interface's tap; the caller closes it.

        Raises:
            SegmentRefused: There is no such interface, or a machine has it open.
        """
        try:
            return self._taps.open(self._require_interface(interface_id))
        except NoTap as err:
            raise SegmentRefused(str(err)) from err

    def open_metadata(self) -> int:
        """Return a descriptor of the metadata service's listening socket; the caller closes it.

        Ours stays open, so that guests' connections wait in its queue while no server runs.
        """
        if self._metadata is None:
            raise SegmentRefused("the segment was not described yet")
        return os.dup(self._metadata.fileno())

    def dial(self, interface_id: str, address: str, port: int, *, is_datagram: bool) -> int:
        """Return a TCP socket that is on its way to a guest's port, or a UDP socket for it; the caller closes it.

        Raises:
            SegmentRefused: The interface does not have the address, or there is no way to it.
        """
        if address not in ruleset.private_addresses(self._require_interface(interface_id)):
            raise SegmentRefused(f"{address} is not an address of {interface_id}")
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM)
        try:
            connection.settimeout(0)
            connection.bind((HOST_ADDRESS, 0))
            connection.connect((address, port))
        except BlockingIOError:
            pass
        except OSError as err:
            connection.close()
            raise SegmentRefused(f"no way to {address}: {err.strerror}") from err
        return connection.detach()

    async def remove(self) -> None:
        """Remove everything: interfaces, names, the link to the host. The namespace goes with this process."""
        for interface in list(self._interfaces.values()):
            await self._remove(interface)
        await self._taps.all_discarded()
        await self._names.remove_all()
        if self._host_link is not None:
            self._host_link.remove()

    def _require_segment(self) -> SegmentSpec:
        if self._description is None:
            raise SegmentRefused("the segment was not described yet")
        return self._description

    def _require_interface(self, interface_id: str) -> InterfaceSpec:
        try:
            return self._interfaces[interface_id]
        except KeyError:
            raise SegmentRefused(f"{interface_id} is not plugged") from None


def _further_ranges(description: SegmentSpec) -> frozenset[str]:
    ipv6 = (description.ipv6_cidr,) if description.ipv6_cidr and (_SETTINGS / "ipv6").exists() else ()
    return frozenset((*description.extra_cidrs, *ipv6))


def _listen(metadata_fd: int | None) -> socket.socket:
    """Return the metadata service's socket: a new one, or the one that already has the address."""
    try:
        return socket.create_server((METADATA_ADDRESS, METADATA_PORT), backlog=_METADATA_BACKLOG)
    except OSError as err:
        if err.errno != errno.EADDRINUSE or metadata_fd is None:
            raise
        return socket.socket(fileno=os.dup(metadata_fd))


def _offered(interface: InterfaceSpec) -> tuple[str, ...]:
    """Return the addresses that DHCP leases to an interface."""
    return interface.private_ip, *interface.ipv6_addresses[:1]


def _told(interface: InterfaceSpec) -> tuple[object, ...]:
    """Return what DHCP and the resolver know of an interface."""
    secondary = tuple((pair.private_ip, pair.names) for pair in interface.secondary_ips)
    return interface.host_name, interface.names, interface.ipv6_addresses, interface.ipv6_names, secondary


def _wiring(interface: InterfaceSpec) -> tuple[str, str, str]:
    """Return what cannot be changed on a tap in use."""
    return interface.mac, interface.private_ip, interface.subnet_cidr
