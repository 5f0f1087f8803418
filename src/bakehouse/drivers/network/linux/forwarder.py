"""Public addresses without root: the server listens on them and carries bytes into the segment.

A connection into the segment starts there from 100.127.0.1 and passes the guest's groups like any other.
What is different from root's translation: a port that nothing listens on inside is accepted first and then reset.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers.network.linux.datagrams import DatagramPort
from bakehouse.drivers.network.linux.host_ports import OpenPort
from bakehouse.drivers.network.linux.public_port import Dial, Guest, NoHostPort
from bakehouse.drivers.network.linux.streams import StreamPort

#: How many sockets are made in one go: some 10 ms.
_AT_ONCE: Final = 256

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Key:
    """A port of a public address and where it leads."""

    public_ip: str
    port: OpenPort
    private_ip: str


class Forwarder:
    """Listens on the ports of public addresses.

    Args:
        dial: Opens connections into segments.
        most_listeners: How many ports of all addresses together it listens on; more are left out, with a warning.
    """

    def __init__(self, dial: Dial, *, most_listeners: int = 256) -> None:
        self._dial = dial
        self._most_listeners = most_listeners
        self._listeners: dict[str, dict[_Key, StreamPort | DatagramPort]] = {}
        self._host_ports: dict[tuple[str, OpenPort], int] = {}
        #: What is still to be listened on, by interface, and when that goes on.
        self._missing: dict[str, deque[_Key]] = {}
        self._next: dict[str, asyncio.Handle] = {}
        #: Ports that are listened on no more, while their connections go on.
        self._closed: set[StreamPort] = set()

    def publish(self, interface_id: str, addresses: Mapping[str, str], ports: frozenset[OpenPort]) -> None:
        """Listen on exactly these ports for an interface; of very many, on some a little later.

        Connections of TCP that stand are not touched.

        Args:
            interface_id: The interface.
            addresses: Its public addresses, and the private one to which each leads.
            ports: What its groups open.
        """
        if (following := self._next.pop(interface_id, None)) is not None:
            following.cancel()
        current = self._listeners.setdefault(interface_id, {})
        wanted = {_Key(public_ip, port, private_ip) for public_ip, private_ip in addresses.items() for port in ports}
        for key in current.keys() - wanted:
            self._let_go(current.pop(key))
            self._host_ports.pop((key.public_ip, key.port), None)
        room = max(self._most_listeners - sum(map(len, self._listeners.values())), 0)
        missing = sorted(wanted - current.keys(), key=lambda key: (key.public_ip, key.port))
        if len(missing) > room:
            left_out = len(missing) - room
            _log.warning("%s: not listening on %d ports, to keep files for connections", interface_id, left_out)
        self._missing[interface_id] = deque(missing[:room])
        self._open_some(interface_id)

    def _open_some(self, interface_id: str) -> None:
        """Listen on what is still missing for an interface, by and by: others want to run too."""
        missing, current = self._missing[interface_id], self._listeners[interface_id]
        for _ in range(min(_AT_ONCE, len(missing))):
            key = missing.popleft()
            try:
                current[key] = self._listen(interface_id, key)
            except NoHostPort as err:
                _log.warning("%s", err)
            else:
                self._host_ports[key.public_ip, key.port] = current[key].host_port
        if missing:
            self._next[interface_id] = asyncio.get_running_loop().call_soon(self._open_some, interface_id)
        elif not current:
            del self._listeners[interface_id], self._missing[interface_id]

    def withdraw(self, interface_id: str) -> None:
        """Listen no more for an interface."""
        self.publish(interface_id, {}, frozenset())

    def host_port(self, public_ip: str, port: OpenPort) -> int | None:
        """Return where we listen for a port of a public address, or None when we do not."""
        return self._host_ports.get((public_ip, port))

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        for interface_id in list(self._listeners):
            self.withdraw(interface_id)
        for listener in list(self._closed):
            await listener.end()

    def _listen(self, interface_id: str, key: _Key) -> StreamPort | DatagramPort:
        guest = Guest(interface_id, key.private_ip, key.port)
        if key.port.protocol == "udp":
            return DatagramPort(key.public_ip, guest, self._dial)
        return StreamPort(key.public_ip, guest, self._dial, ended=self._closed.discard)

    def _let_go(self, listener: StreamPort | DatagramPort) -> None:
        if isinstance(listener, StreamPort):
            self._closed.add(listener)
        listener.close()
