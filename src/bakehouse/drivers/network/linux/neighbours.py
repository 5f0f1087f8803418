"""Which guests answer ARP: what EC2 asks of an instance that is to be reachable.

Asked from a packet socket on each guest's tap, so neither the firewall nor the kernel's own neighbour table has a say.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Final

from bakehouse.drivers.network.linux.layout import gateway, tap_name
from bakehouse.ports.network import InterfaceSpec

#: Ethernet header and ARP for IPv4. Source: RFC 826.
_FRAME: Final = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_ETH_P_ARP: Final = 0x0806
_ETHERNET: Final = 1
_IPV4: Final = 0x0800
_REQUEST: Final = 1
_REPLY: Final = 2
_EVERYBODY: Final = b"\xff" * 6
_NOBODY: Final = bytes(6)
#: A packet that we sent. Source: packet(7), sll_pkttype.
_PACKET_OUTGOING: Final = 4

#: A guest answers within microseconds; one that is emulated, and busy, within a few hundred milliseconds.
_ASKED: Final = 2
_ANSWER_S: Final = 0.75


async def answering(interfaces: Iterable[InterfaceSpec]) -> tuple[str, ...]:
    """Return the ids of the interfaces whose guests answer, after 1.5 s at most."""
    asked = list(interfaces)
    outcomes = await asyncio.gather(*(_answers(interface) for interface in asked), return_exceptions=True)
    # One that went away meanwhile has an OSError.
    return tuple(it.interface_id for it, outcome in zip(asked, outcomes, strict=True) if outcome is True)


async def _answers(interface: InterfaceSpec) -> bool:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ARP)) as tap:
        tap.bind((tap_name(interface.interface_id), _ETH_P_ARP))
        ours: bytes = tap.getsockname()[4]
        guest = IPv4Address(interface.private_ip).packed
        us = IPv4Address(gateway(interface.subnet_cidr).partition("/")[0]).packed
        question = _FRAME.pack(_EVERYBODY, ours, _ETH_P_ARP, _ETHERNET, _IPV4, 6, 4, _REQUEST, ours, us, _NOBODY, guest)
        for _ in range(_ASKED):
            tap.send(question)
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await _answer(tap, guest)
            except TimeoutError:
                continue
            return True
    return False


async def _answer(tap: socket.socket, guest: bytes) -> None:
    """Wait until the guest says where it is. What the kernel answers in others' place goes out, and does not count."""
    loop = asyncio.get_running_loop()
    while True:
        frame, origin = await loop.sock_recvfrom(tap, 2048)
        if len(frame) < _FRAME.size or origin[2] == _PACKET_OUTGOING:
            continue
        *_head, operation, _sender, said, _target, _for = _FRAME.unpack_from(frame)
        if operation in (_REQUEST, _REPLY) and said == guest:
            return
