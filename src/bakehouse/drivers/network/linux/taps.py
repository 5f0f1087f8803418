"""The taps of a segment: each guest's interface, its routes, and who has it open."""

import asyncio
import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from bakehouse.drivers.network.linux.layout import IPV6_SUBNET_PREFIX, gateway, ipv6_gateway, tap_name
from bakehouse.drivers.network.linux.rtnetlink import RouteNetlink
from bakehouse.drivers.network.linux.ruleset import private_addresses
from bakehouse.drivers.network.linux.tap import open_tap
from bakehouse.drivers.network.linux.ways import TABLE_MASK, V4, V6, Numbers
from bakehouse.ports.network import InterfaceSpec

_MTU: Final = 1500
_SETTINGS: Final = Path("/proc/sys/net")


class NoTap(Exception):
    """A tap cannot be opened, in words for the server."""


class Taps:
    """Makes and removes taps.

    Args:
        device: The clone device.
        links: Made inside the namespace.
        numbers: Gives each subnet the device group of its taps, and each interface the table that leads to it.
    """

    def __init__(self, device: Path, links: RouteNetlink, numbers: Numbers) -> None:
        self._device = device
        self._links = links
        self._numbers = numbers
        #: Descriptors of taps that no machine has asked for yet.
        self._open: dict[str, int] = {}
        #: Taps on their way out, by name.
        self._removals: dict[str, asyncio.Task[None]] = {}

    async def make(self, interface: InterfaceSpec) -> None:
        """Make an interface's tap, or take the one that there is, with its routes.

        Raises:
            NoTap: Nothing was made.
        """
        tap = tap_name(interface.interface_id)
        if (removal := self._removals.get(tap)) is not None:
            await removal
        try:
            if not self._links.exists(tap):  # else a machine may have it open, from an agent before us
                self._open[interface.interface_id] = open_tap(self._device, tap)
        except OSError as err:
            raise NoTap(self._why_not(err)) from err
        try:
            index = self._links.index(tap)
            # Without it, the kernel holds ARP answers for others back for up to 0.8 s.
            (_SETTINGS / f"ipv4/neigh/{tap}/proxy_delay").write_text("0\n")
            self._links.set_group(index, self._numbers.of(interface.subnet_id))
            self._links.set_up(index, _MTU)
            self._links.add_address(index, gateway(interface.subnet_cidr))
            self.route(interface)
        except BaseException:
            self.discard(interface)
            raise

    def route(self, interface: InterfaceSpec, before: InterfaceSpec | None = None) -> None:
        """Lead an interface's addresses to its tap, and no more those that it had before."""
        tap = tap_name(interface.interface_id)
        index = self._links.index(tap)
        addresses = private_addresses(interface)
        for address in () if before is None else private_addresses(before):
            if address not in addresses:
                self._links.delete_route(f"{address}/32", index)
        for address in addresses:
            self._links.add_route(f"{address}/32", index)
        # The kernel's own look at senders; the firewall looks at them too, and at those that forward only there.
        (_SETTINGS / f"ipv4/conf/{tap}/rp_filter").write_text(f"{int(interface.source_dest_check)}\n")
        self._route_ipv6(interface, before, index)
        if not interface.source_dest_check:
            table = self._numbers.interface_mark(interface.interface_id)
            self._links.choose_table(table, TABLE_MASK, table, V4)
            self._links.add_route_via("0.0.0.0/0", index, interface.private_ip, table=table)
            if interface.ipv6_addresses:
                self._links.choose_table(table, TABLE_MASK, table, V6)
                self._links.add_route_via("::/0", index, interface.ipv6_addresses[0], table=table)

    def _route_ipv6(self, interface: InterfaceSpec, before: InterfaceSpec | None, index: int) -> None:
        setting = _SETTINGS / f"ipv6/conf/{tap_name(interface.interface_id)}/disable_ipv6"
        if not setting.exists():  # a kernel without IPv6
            return
        setting.write_text(f"{int(not interface.ipv6_addresses)}\n")  # without, its addresses and routes go too
        if not interface.ipv6_addresses:
            return
        for address in () if before is None else before.ipv6_addresses:
            if address not in interface.ipv6_addresses:
                self._links.delete_route(f"{address}/128", index)
        # dnsmasq knows by the prefix which subnet a guest asks from.
        self._links.add_address(index, ipv6_gateway(interface.ipv6_addresses[0]), IPV6_SUBNET_PREFIX)
        for address in interface.ipv6_addresses:
            self._links.add_route(f"{address}/128", index)

    def open(self, interface: InterfaceSpec) -> int:
        """Return a descriptor of an interface's tap; the caller closes it.

        Raises:
            NoTap: A machine has it open.
        """
        fd = self._open.pop(interface.interface_id, None)
        if fd is not None:
            return fd
        try:
            return open_tap(self._device, tap_name(interface.interface_id))
        except OSError as err:
            raise NoTap(self._why_not(err)) from err

    def is_held(self, interface: InterfaceSpec) -> bool:
        """Tell whether a machine has an interface's tap open."""
        return interface.interface_id not in self._open and self._links.has_carrier(tap_name(interface.interface_id))

    def discard(self, interface: InterfaceSpec) -> None:
        """Remove a tap, a little later: that takes the kernel some 15 ms."""
        tap = tap_name(interface.interface_id)
        fd = self._open.pop(interface.interface_id, None)

        def discard() -> None:
            with contextlib.closing(RouteNetlink()) as links:
                links.delete(tap)
            if fd is not None:
                os.close(fd)

        removal = asyncio.create_task(asyncio.to_thread(discard))
        self._removals[tap] = removal
        removal.add_done_callback(lambda _done: self._removals.pop(tap, None))

    async def all_discarded(self) -> None:
        """Wait until every discarded tap is gone."""
        while self._removals:
            await asyncio.wait(self._removals.values())

    def _why_not(self, err: OSError) -> str:
        match err.errno:
            case errno.EBUSY:
                return "another machine has the interface open"
            case errno.EACCES | errno.EPERM:
                return (
                    f"cannot open `{self._device}`: {err.strerror}; "
                    f"`chmod 0666 {self._device}` allows it, as Debian has it"
                )
            case errno.ENOENT | errno.ENODEV | errno.ENXIO:
                return f"cannot open `{self._device}`: {err.strerror}; `modprobe tun` makes it"
            case _:
                return f"cannot open `{self._device}`: {err.strerror}"
