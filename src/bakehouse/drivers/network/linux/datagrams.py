"""A UDP port of a public address: datagrams are carried to the guest, and its answers back to who asked."""

import asyncio
import logging
import socket
from collections import OrderedDict
from typing import Final

from bakehouse.drivers.network.linux.public_port import Dial, Guest, GuestUnreachable, bind

#: The largest datagram that IPv4 carries.
_DATAGRAM_BYTES: Final = 65_507

#: How long who asked is remembered when nothing passes. Source: nf_conntrack_udp_timeout_stream, 120 s.
_IDLE_S: Final = 120

#: How many of those who ask are remembered, the latest; and how many datagrams wait while the first is on its way.
_MOST_PEERS: Final = 256
_MOST_WAITING: Final = 64

#: How many datagrams are taken in one go, before others have their turn.
_BATCH: Final = 64

_log: Final = logging.getLogger(__name__)

Address = tuple[str, int]


class DatagramPort:
    """Listens from its making until `close`.

    Args:
        public_ip: Where.
        guest: To whom datagrams are carried.
        dial: Opens a socket to it.

    Raises:
        NoHostPort: The port is taken.
    """

    def __init__(self, public_ip: str, guest: Guest, dial: Dial) -> None:
        self._guest = guest
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._socket = bind(public_ip, guest.port)
        self.host_port: int = self._socket.getsockname()[1]
        #: Who asked, the latest last.
        self._peers: OrderedDict[Address, _Peer] = OrderedDict()
        self._loop.add_reader(self._socket, self._receive)

    def close(self) -> None:
        """Listen no more, and forget who asked."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for peer in self._peers.values():
            peer.close()
        self._peers.clear()

    def _receive(self) -> None:
        for _ in range(_BATCH):
            try:
                data, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
            except OSError:  # none is left, or an answer of ours found nobody
                return
            peer = self._peers.get(sender)
            if peer is None:
                if len(self._peers) >= _MOST_PEERS:
                    self._peers.popitem(last=False)[1].close()
                peer = self._peers[sender] = _Peer(self, sender)
            self._peers.move_to_end(sender)
            peer.send(data)

    async def dial(self) -> socket.socket:
        """Open a socket to the guest's port."""
        return await self._dial(self._guest)

    def answer(self, receiver: Address, data: bytes) -> None:
        """Send who asked a datagram of the guest."""
        try:
            self._socket.sendto(data, receiver)
        except OSError as err:  # UDP may lose it
            _log.debug("an answer of %s is lost: %s", self._guest, err)

    def forget(self, sender: Address) -> None:
        """Forget who asked, some time ago."""
        peer = self._peers.pop(sender, None)
        if peer is not None:
            peer.close()


class _Peer:
    """Somebody on the host who sends datagrams, and the socket by which the guest sees them."""

    def __init__(self, port: DatagramPort, address: Address) -> None:
        self._port = port
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._waiting: list[bytes] = []
        self._passed = self._loop.time()
        self._dialling = asyncio.create_task(self._connect())
        self._idle = self._loop.call_later(_IDLE_S, self._look)

    def send(self, data: bytes) -> None:
        """Send the guest a datagram, now or as soon as there is a way."""
        self._passed = self._loop.time()
        if self._socket is None:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(data)
            return
        try:
            self._socket.send(data)
        except OSError as err:  # the guest refused an earlier one, or the queue is full
            _log.debug("a datagram is lost: %s", err)

    def close(self) -> None:
        """Let go of the guest."""
        self._idle.cancel()
        self._dialling.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def _connect(self) -> None:
        try:
            self._socket = await self._port.dial()
        except GuestUnreachable:
            self._port.forget(self._address)
            return
        self._loop.add_reader(self._socket, self._receive)
        for data in self._waiting:
            self.send(data)
        self._waiting.clear()

    def _receive(self) -> None:
        if self._socket is None:
            return
        for _ in range(_BATCH):
            try:
                data = self._socket.recv(_DATAGRAM_BYTES)
            except OSError:  # none is left, or the guest's port is closed: who asked cannot be told by this socket
                return
            self._passed = self._loop.time()
            self._port.answer(self._address, data)

    def _look(self) -> None:
        """Forget who has been silent for long."""
        left = self._passed + _IDLE_S - self._loop.time()
        if left <= 0:
            self._port.forget(self._address)
        else:
            self._idle = self._loop.call_later(left, self._look)
