"""One segment as the server knows it: its agent, and all that the agent was told.

A dead agent is replaced at the next call and told everything again.
"""

import asyncio
import logging
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from bakehouse.drivers.network.linux import messages
from bakehouse.drivers.network.linux.agent_client import AgentClient, AgentGone, start_agent
from bakehouse.drivers.network.linux.layout import SegmentLayout
from bakehouse.drivers.network.linux.name_service import holder
from bakehouse.drivers.network.linux.uplink import ensure_uplink
from bakehouse.drivers.network.linux.ways import is_open_to_host
from bakehouse.ports.network import GroupSpec, InterfaceSpec, NetworkUnavailable, SegmentSpec

_SHUTDOWN_TIMEOUT_S: Final = 10

#: How long a plug that finds no way outside leaves it at that, when the last one tried already.
_OUTSIDE_RETRY_S: Final = 30

_log: Final = logging.getLogger(__name__)

_T = TypeVar("_T")


class SegmentClient:
    """Asks a segment's agent, and keeps it alive.

    Args:
        layout: Where it has its files.
        tun_device: Where its taps are opened.
        rootless: Whether it is in a user namespace.
    """

    def __init__(self, layout: SegmentLayout, *, tun_device: Path, rootless: bool) -> None:
        self._layout = layout
        self._tun_device = tun_device
        self._rootless = rootless
        self._agent: AgentClient | None = None
        self._finding = asyncio.Lock()
        self._leading_outside = asyncio.Lock()
        self._next_way_outside = 0.0
        self._metadata: socket.socket | None = None
        self._description: SegmentSpec | None = None
        self.groups: dict[str, GroupSpec] = {}
        self.interfaces: dict[str, InterfaceSpec] = {}

    async def ensure(self, description: SegmentSpec) -> None:
        """Make the segment, or bring it to this description.

        Raises:
            NetworkUnavailable: Nothing was made, or the agent does not answer and may make it yet.
        """
        try:
            try:
                await self._describe(await self._live(may_start=True), description)
            except AgentGone:  # it was killed just now; the next one is told all that it knew
                await self._describe(await self._live(may_start=True), description)
        except NetworkUnavailable:
            if self._description is None:
                await self.delete()
            raise
        except AgentGone as err:
            raise NetworkUnavailable(f"the network agent ended; see `{self._layout.log}`") from err
        self._description = description

    async def delete(self) -> None:
        """Remove the segment. Succeeds when there is none."""
        self.groups.clear()
        self.interfaces.clear()
        self._description = None
        if self._layout.directory.exists():
            # A dead agent's traces in the host's namespace are removed by a new one, which knows how.
            try:
                agent = await self._live(may_start=True)
                await agent.call(messages.Shutdown())
                await agent.wait_closed(_SHUTDOWN_TIMEOUT_S)
            except (AgentGone, TimeoutError) as err:
                raise NetworkUnavailable(f"the network agent of {self._layout.vpc_id} does not end") from err
            shutil.rmtree(self._layout.directory)
        self.close()

    async def apply_group(self, group: GroupSpec) -> None:
        """Make a group, or replace its rules."""
        await self._call(messages.ApplyGroup(group))
        self.groups[group.group_id] = group

    async def delete_group(self, group_id: str) -> None:
        """Remove a group. Succeeds when there is none."""
        await self._call_if_alive(messages.DeleteGroup(group_id))
        self.groups.pop(group_id, None)

    async def plug(self, interface: InterfaceSpec) -> None:
        """Make an interface, or bring it to this description."""
        report = await self._call(messages.Plug(interface))
        self.interfaces[interface.interface_id] = interface
        now = asyncio.get_running_loop().time()
        if not report.has_uplink and self._agent is not None and now >= self._next_way_outside:
            self._next_way_outside = now + _OUTSIDE_RETRY_S
            await self._lead_outside(self._agent)  # it was killed, or installed only now

    async def unplug(self, interface_id: str) -> None:
        """Remove an interface. Succeeds when there is none."""
        await self._call_if_alive(messages.Unplug(interface_id))
        self.interfaces.pop(interface_id, None)

    async def open_tap(self, interface_id: str) -> int:
        """Return a descriptor of an interface's tap; the caller closes it."""
        return await self._call_for_descriptor(messages.OpenTap(interface_id))

    async def dial(self, interface_id: str, address: str, port: int, *, is_datagram: bool) -> int:
        """Return a socket for a guest's port at one of its private addresses; the caller closes it."""
        return await self._call_for_descriptor(messages.Dial(interface_id, address, port, is_datagram))

    def is_open_to_host(self, subnet_id: str) -> bool:
        """Tell whether public addresses lead into a subnet."""
        return self._description is not None and is_open_to_host(self._description, subnet_id)

    async def metadata_socket(self) -> socket.socket:
        """Return the listening socket of the metadata service; the caller closes it."""
        listening = socket.socket(fileno=await self._call_for_descriptor(messages.OpenMetadata()))
        if self._metadata is not None:
            self._metadata.close()
        self._metadata = listening.dup()
        return listening

    async def report(self, *, ask_guests: bool = False) -> messages.SegmentReport | None:
        """Ask a running agent what it holds, and which guests answer if that is asked for; None when there is none."""
        try:
            agent = await self._live(may_start=False)
            return await agent.call(messages.AskGuests() if ask_guests else messages.Report())
        except AgentGone:
            return None

    def outlived_agent(self) -> bool:
        """Tell whether the namespace is there without an agent: dnsmasq holds it, and machines go on in it."""
        return holder(self._layout.names(rootless=self._rootless)) is not None

    def close(self) -> None:
        """Let go of the agent; it goes on."""
        for held in (self._agent, self._metadata):
            if held is not None:
                held.close()
        self._agent = self._metadata = None

    async def _call(self, request: messages.Request) -> messages.SegmentReport:
        return await self._again(lambda agent: agent.call(request))

    async def _call_for_descriptor(self, request: messages.Request) -> int:
        return await self._again(lambda agent: agent.call_for_descriptor(request))

    async def _again(self, ask: Callable[[AgentClient], Awaitable[_T]]) -> _T:
        """Ask the agent, and once more if it ended over the question: every request may be repeated."""
        try:
            return await ask(await self._live(may_start=self._description is not None))
        except AgentGone:
            _log.warning("the network agent of %s ended; starting another", self._layout.vpc_id)
        try:
            return await ask(await self._live(may_start=self._description is not None))
        except AgentGone as err:
            raise NetworkUnavailable(f"{self._layout.vpc_id} has no network; make it first") from err

    async def _call_if_alive(self, request: messages.Request) -> None:
        """Have something removed, which a dead agent will not be told of again."""
        try:
            await (await self._live(may_start=False)).call(request)
        except AgentGone:
            return

    async def _live(self, *, may_start: bool) -> AgentClient:
        """Return a connection to the agent: the one there is, or to the one that runs, or to a new one.

        Raises:
            AgentGone: None runs, or it ended just now.
            NetworkUnavailable: None can be started.
        """
        async with self._finding:
            if self._agent is not None and self._agent.alive:
                return self._agent
            try:
                agent = AgentClient.connect(self._layout)
            except AgentGone:
                if not may_start:
                    raise
                agent = await start_agent(self._layout, tun_device=self._tun_device, rootless=self._rootless)
            try:
                await self._retell(agent)
            except BaseException:
                agent.close()
                raise
            self._agent = agent
            return agent

    async def _retell(self, agent: AgentClient) -> None:
        """Tell an agent that knows nothing what the one before it knew."""
        report = await agent.call(messages.Report())
        if self._description is None or report.is_described:
            return
        await self._describe(agent, self._description)
        # Calls that the one before it did not answer may change both meanwhile.
        for group_id in list(self.groups):
            if (group := self.groups.get(group_id)) is not None:
                await agent.call(messages.ApplyGroup(group))
        for interface_id in list(self.interfaces):
            if (interface := self.interfaces.get(interface_id)) is not None:
                await agent.call(messages.Plug(interface))

    async def _describe(self, agent: AgentClient, description: SegmentSpec) -> None:
        metadata = None if self._metadata is None else self._metadata.fileno()
        outside = asyncio.create_task(self._lead_outside(agent))
        try:
            await agent.call(messages.EnsureSegment(description), metadata)
        finally:
            await outside

    async def _lead_outside(self, agent: AgentClient) -> None:
        """Give the segment its way outside. Machines run without it too, and `capabilities` tells."""
        try:
            async with self._leading_outside:
                await ensure_uplink(agent, log=self._layout.log, rootless=self._rootless)
        except (NetworkUnavailable, AgentGone) as err:
            _log.warning("%s has no way outside: %s", self._layout.vpc_id, err)
