"""What the server and an agent say to each other, and how: one JSON text per packet, descriptors beside it.

A large one, such as a VPC whose many subnets share a network ACL, is compressed.

The socket is SOCK_SEQPACKET, so a packet is a message and nothing needs framing. Calls carry a number and may be
answered in another order.
"""

import json
import os
import socket
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from bakehouse.ports.network import (
    AclRule,
    AddressSpec,
    DhcpSpec,
    FirewallRule,
    GroupSpec,
    InterfaceSpec,
    NatGatewaySpec,
    RouteSpec,
    SegmentSpec,
    SubnetSpec,
)

#: Linux's default limit for a packet on a Unix socket (net.core.wmem_max), less its own book-keeping. A security
#: group of 1,000 rules, the most that EC2 lets an interface have, takes half of it.
PACKET_BYTES: Final = 200_000

#: What is larger is compressed, to a tenth or less.
_PLAIN_BYTES: Final = 32_000

_MAX_DESCRIPTORS: Final = 1


class PacketTooLarge(Exception):
    """A description does not fit into one message."""


@dataclass(frozen=True, slots=True)
class EnsureSegment:
    """Make the segment, or bring it to this description."""

    segment: SegmentSpec


@dataclass(frozen=True, slots=True)
class HoldUplink:
    """Keep the descriptor that comes along: slirp4netns ends when it is closed."""


@dataclass(frozen=True, slots=True)
class ApplyGroup:
    """Make a group, or replace its rules."""

    group: GroupSpec


@dataclass(frozen=True, slots=True)
class DeleteGroup:
    """Remove a group."""

    group_id: str


@dataclass(frozen=True, slots=True)
class Plug:
    """Make an interface, or bring it to this description."""

    interface: InterfaceSpec


@dataclass(frozen=True, slots=True)
class Unplug:
    """Remove an interface."""

    interface_id: str


@dataclass(frozen=True, slots=True)
class OpenTap:
    """Answer with an interface's tap."""

    interface_id: str


@dataclass(frozen=True, slots=True)
class OpenMetadata:
    """Answer with the listening socket of the metadata service."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Answer with a socket for a guest's port, seen there as the host: of TCP, on its way there, or of UDP."""

    interface_id: str
    address: str
    """Private, one of the interface's."""
    port: int
    is_datagram: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Do nothing but answer."""


@dataclass(frozen=True, slots=True)
class AskGuests:
    """Answer with the interfaces whose guests are there."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Remove all of the segment, answer, and end."""


Change = EnsureSegment | ApplyGroup | DeleteGroup | Plug | Unplug | Shutdown
Request = Change | HoldUplink | OpenTap | OpenMetadata | Dial | Report | AskGuests


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """What an agent holds after a request."""

    pid: int
    is_described: bool
    interface_ids: tuple[str, ...]
    has_uplink: bool
    answering: tuple[str, ...] = ()
    """Interfaces whose guests answer, where that was asked for."""
    unheld: tuple[str, ...] = ()
    """Interfaces that no machine has open, in answer to `Report` and `AskGuests`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its number."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the call of that number. With an `error`, nothing of the request was done."""

    number: int
    error: str | None = None
    report: SegmentReport | None = None


def send(connection: socket.socket, message: Call | Answer, fd: int | None = None) -> None:
    """Send one message, with a copy of a descriptor.

    Raises:
        PacketTooLarge: Nothing was sent.
        BlockingIOError: The other side does not read; nothing was sent.
        OSError: The connection is gone.
    """
    packet = encode(message)
    if len(packet) > PACKET_BYTES:
        raise PacketTooLarge(f"{len(packet)} bytes are more than the {PACKET_BYTES} of one message")
    socket.send_fds(connection, [packet], [] if fd is None else [fd])


def receive_call(connection: socket.socket) -> tuple[Call, int | None] | None:
    """Receive a call and the descriptor that came along; None when the other side is gone.

    Raises:
        BlockingIOError: There is none yet.
        ValueError: It is not a call.
    """
    packet, fd = _receive(connection)
    return (decode_call(packet), fd) if packet else None


def receive_answer(connection: socket.socket) -> tuple[Answer, int | None] | None:
    """Receive an answer and the descriptor that came along; None when the other side is gone.

    Raises:
        BlockingIOError: There is none yet.
    """
    packet, fd = _receive(connection)
    return (decode_answer(packet), fd) if packet else None


def encode(message: Call | Answer) -> bytes:
    """Return a message as a packet."""
    document = asdict(message)
    if isinstance(message, Call):
        document["operation"] = type(message.request).__name__
    packet = json.dumps(document, separators=(",", ":")).encode()
    return packet if len(packet) <= _PLAIN_BYTES else zlib.compress(packet, level=1)


def decode_call(packet: bytes) -> Call:
    """Return the call that a packet holds.

    Raises:
        ValueError: It holds none.
    """
    try:
        document = json.loads(_expanded(packet))
        return Call(document["number"], _DECODERS[document["operation"]](**document["request"]))
    except (KeyError, TypeError, zlib.error) as err:
        raise ValueError("not a call") from err


def decode_answer(packet: bytes) -> Answer:
    """Return the answer that a packet holds."""
    document = json.loads(_expanded(packet))
    if (report := document["report"]) is not None:
        document["report"] = SegmentReport(**_plain(report))
    return Answer(**document)


def _expanded(packet: bytes) -> bytes:
    return packet if packet.startswith(b"{") else zlib.decompress(packet)


def _segment(fields: Mapping[str, Any]) -> SegmentSpec:
    dhcp = fields["dhcp"]
    return SegmentSpec(
        **_plain(fields)
        | {
            "subnets": tuple(_subnet(subnet) for subnet in fields["subnets"]),
            "nat_gateways": tuple(NatGatewaySpec(**gateway) for gateway in fields["nat_gateways"]),
            "dhcp": None if dhcp is None else DhcpSpec(**_plain(dhcp)),
        }
    )


def _subnet(fields: Mapping[str, Any]) -> SubnetSpec:
    acl = fields["acl"]
    return SubnetSpec(
        **dict(fields)
        | {
            "routes": tuple(RouteSpec(**route) for route in fields["routes"]),
            "acl": None if acl is None else tuple(AclRule(**rule) for rule in acl),
        }
    )


def _group(fields: Mapping[str, Any]) -> GroupSpec:
    rules = {way: tuple(FirewallRule(**rule) for rule in fields[way]) for way in ("ingress", "egress")}
    return GroupSpec(**{**fields, **rules})


def _interface(fields: Mapping[str, Any]) -> InterfaceSpec:
    secondary = tuple(AddressSpec(**_plain(pair)) for pair in fields["secondary_ips"])
    return InterfaceSpec(**_plain(fields) | {"secondary_ips": secondary})


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with the tuples that JSON made lists of."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


_DECODERS: Final[Mapping[str, Callable[..., Request]]] = {
    "EnsureSegment": lambda segment: EnsureSegment(_segment(segment)),
    "ApplyGroup": lambda group: ApplyGroup(_group(group)),
    "Plug": lambda interface: Plug(_interface(interface)),
    "HoldUplink": HoldUplink,
    "DeleteGroup": DeleteGroup,
    "Unplug": Unplug,
    "OpenTap": OpenTap,
    "OpenMetadata": OpenMetadata,
    "Dial": Dial,
    "Report": Report,
    "AskGuests": AskGuests,
    "Shutdown": Shutdown,
}


def _receive(connection: socket.socket) -> tuple[bytes, int | None]:
    packet, descriptors, _flags, _address = socket.recv_fds(
        connection, PACKET_BYTES, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
    )
    for extra in descriptors[1:]:
        os.close(extra)
    return packet, descriptors[0] if descriptors else None
