"""A segment's link to the host's own namespace (root only): a veth pair, and the host's translation.

The host connects to 127.x.y.z; its table `output` turns that into 240.x.y.z, which is routed over the link; the
segment turns it into the guest's private address. Nothing global of the host is changed: no forwarding, no rule in
another's table.
"""

import os
from contextlib import suppress
from pathlib import Path

from bakehouse.drivers.network.linux import ruleset
from bakehouse.drivers.network.linux.layout import (
    HOST_ADDRESS,
    HOST_LINK,
    LINK_ADDRESS,
    SegmentLayout,
    middle_address,
)
from bakehouse.drivers.network.linux.nftables import Nftables, NftablesRefused
from bakehouse.drivers.network.linux.rtnetlink import RouteNetlink


class HostLink:
    """Made while the agent is still in the host's namespace; its sockets stay there when the agent leaves.

    Args:
        layout: What it is called.
        is_new: Whether the segment is made, and not joined.

    Raises:
        OSError: The kernel refused.
        NftablesRefused: The kernel has no NAT.
    """

    def __init__(self, layout: SegmentLayout, *, is_new: bool) -> None:
        self._layout = layout
        self._links = RouteNetlink()
        self._firewall = Nftables()
        name = layout.host_interface
        # A link whose other end never got inside is of no use; one that did holds a living segment's routes. A segment
        # that died takes its link along, but not at once: the kernel removes namespaces when it has time.
        if is_new or self._links.exists(layout.new_link):
            self._links.delete(name)
        if not self._links.exists(name):
            self._links.add_veth(name, layout.new_link)
        settings = Path("/proc/sys/net")
        # The host's connections come from 127.0.0.1 until `postrouting` gives them an address.
        (settings / f"ipv4/conf/{name}/route_localnet").write_text("1")
        with suppress(FileNotFoundError):  # a kernel without IPv6
            (settings / f"ipv6/conf/{name}/disable_ipv6").write_text("1")
        self._index = self._links.index(name)
        self._links.add_address(self._index, HOST_ADDRESS)
        self._links.set_up(self._index)
        self._firewall.apply(ruleset.host(layout.host_table, name))

    def bring_inside(self, inside: RouteNetlink) -> None:
        """Move the other end into the namespace in which this process is now, and address it."""
        if not inside.exists(HOST_LINK):
            self._links.move(self._links.index(self._layout.new_link), os.getpid(), HOST_LINK)
        index = inside.index(HOST_LINK)
        inside.add_address(index, LINK_ADDRESS)
        inside.set_up(index)
        inside.add_route(f"{HOST_ADDRESS}/32", index)

    def publish(self, public_ip: str) -> None:
        """Lead a public address into the segment."""
        self._links.add_route_via(f"{middle_address(public_ip)}/32", self._index, LINK_ADDRESS, HOST_ADDRESS)
        self._firewall.apply(ruleset.publish(self._layout.host_table, public_ip))

    def withdraw(self, public_ip: str) -> None:
        """End a public address."""
        with suppress(NftablesRefused):  # it was not there
            self._firewall.apply(ruleset.withdraw(self._layout.host_table, public_ip))
        self._links.delete_route(f"{middle_address(public_ip)}/32", self._index)

    def remove(self) -> None:
        """Remove the link and the host's table."""
        self._links.delete(self._layout.host_interface)
        self._firewall.apply(ruleset.delete_host(self._layout.host_table))
