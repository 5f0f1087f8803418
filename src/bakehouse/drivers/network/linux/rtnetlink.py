"""The few requests of rtnetlink(7) that a segment needs: links, addresses, routes, rules that choose a table.

Not pyroute2, which does all of it: importing it takes 220 to 300 ms and 30 MiB, longer than all the rest of making
a segment, and every segment has its own agent. Constants: linux/rtnetlink.h, if_link.h, if_addr.h,
fib_rules.h, veth.h.
"""

import os
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, device type, index, flags, change mask
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg: family, prefixes, tos, table, protocol, scope, type, flags
_NUMBER: Final = struct.Struct("=I")
_STATUS: Final = struct.Struct("=i")

_NLMSG_ERROR: Final = 2
_REQUEST_AND_ACK: Final = 0x01 | 0x04
_REPLACE_OR_CREATE: Final = 0x100 | 0x400
_EXCLUSIVE_CREATE: Final = 0x200 | 0x400

_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_GETLINK: Final = 18
_RTM_NEWADDR: Final = 20
_RTM_NEWROUTE: Final = 24
_RTM_DELROUTE: Final = 25
_RTM_NEWRULE: Final = 32

_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_LINKINFO: Final = 18
_IFLA_NET_NS_PID: Final = 19
_IFLA_GROUP: Final = 27
_IFLA_INFO_KIND: Final = 1
_IFLA_INFO_DATA: Final = 2
_VETH_INFO_PEER: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_FLAGS: Final = 8
_IFA_F_NODAD: Final = 0x02
_IFA_F_NOPREFIXROUTE: Final = 0x200
_IPV6: Final = 6
_RTA_DST: Final = 1
_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_PREFSRC: Final = 7
_RTA_TABLE: Final = 15
_FRA_PRIORITY: Final = 6
_FRA_FWMARK: Final = 10
_FRA_TABLE: Final = 15
_FRA_FWMASK: Final = 16
_FR_ACT_TO_TBL: Final = 1

_IFF_UP: Final = 1
_IFF_LOWER_UP: Final = 0x10000
_RT_TABLE_UNSPEC: Final = 0
_RT_TABLE_MAIN: Final = 254
_RTPROT_STATIC: Final = 4
_RT_SCOPE_UNIVERSE: Final = 0
_RT_SCOPE_LINK: Final = 253
_RT_SCOPE_NOWHERE: Final = 255
_RTN_UNICAST: Final = 1
_RTN_BLACKHOLE: Final = 6
_RTNH_F_ONLINK: Final = 4

_ANSWER_BYTES: Final = 64 * 1024


class RouteNetlink:
    """A connection to the kernel's routing tables of the namespace in which it was made.

    It stays in that namespace when its process moves to another. Every method returns when the kernel has
    done what was asked, and raises OSError with the kernel's error number when it refused.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Let go of the namespace."""
        self._socket.close()

    def index(self, name: str) -> int:
        """Return an interface's index; OSError ENODEV when there is none of that name."""
        answer = self._ask(_RTM_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name))
        return int(_LINK.unpack_from(answer, _HEADER.size)[2])

    def exists(self, name: str) -> bool:
        """Tell whether there is an interface of that name."""
        with suppress(OSError):
            return self.index(name) > 0
        return False

    def has_carrier(self, name: str) -> bool:
        """Tell whether an interface is up and has somebody at its other end; False when there is none of that name."""
        with suppress(OSError):
            answer = self._ask(_RTM_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name))
            return bool(_LINK.unpack_from(answer, _HEADER.size)[3] & _IFF_LOWER_UP)
        return False

    def set_group(self, index: int, group: int) -> None:
        """Put an interface into a device group, by which rules name it."""
        self._ask(_RTM_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + _attribute(_IFLA_GROUP, _NUMBER.pack(group)))

    def set_up(self, index: int, mtu: int | None = None) -> None:
        """Bring an interface up."""
        extra = b"" if mtu is None else _attribute(_IFLA_MTU, _NUMBER.pack(mtu))
        self._ask(_RTM_NEWLINK, 0, _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP) + extra)

    def add_veth(self, name: str, peer: str) -> None:
        """Make a pair of linked interfaces."""
        peer_data = _attribute(_VETH_INFO_PEER, _LINK.pack(0, 0, 0, 0, 0) + _text(_IFLA_IFNAME, peer))
        info = _text(_IFLA_INFO_KIND, "veth") + _attribute(_IFLA_INFO_DATA, peer_data)
        body = _LINK.pack(0, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name) + _attribute(_IFLA_LINKINFO, info)
        self._ask(_RTM_NEWLINK, _EXCLUSIVE_CREATE, body)

    def move(self, index: int, pid: int, name: str) -> None:
        """Move an interface into a process's namespace, under a new name."""
        extra = _attribute(_IFLA_NET_NS_PID, _NUMBER.pack(pid)) + _text(_IFLA_IFNAME, name)
        self._ask(_RTM_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + extra)

    def delete(self, name: str) -> None:
        """Remove an interface, and its peer; nothing when there is none. Takes some 15 ms."""
        with suppress(OSError):
            self._ask(_RTM_DELLINK, 0, _LINK.pack(0, 0, self.index(name), 0, 0))

    def add_address(self, index: int, address: str, prefix: int | None = None) -> None:
        """Give an interface an address of its own, unless it has it.

        Args:
            index: The interface.
            address: IPv4 or IPv6.
            prefix: How long its network's prefix is, when somebody goes by that; no route comes of it.
        """
        parsed = ip_address(address)
        length = parsed.max_prefixlen if prefix is None else prefix
        body = _ADDRESS.pack(_family(parsed.version), length, 0, _RT_SCOPE_UNIVERSE, index)
        body += _attribute(_IFA_LOCAL, parsed.packed) + _attribute(_IFA_ADDRESS, parsed.packed)
        flags = _IFA_F_NOPREFIXROUTE
        if parsed.version == _IPV6:
            flags |= _IFA_F_NODAD  # it is ours alone, and must be there at once
        body += _attribute(_IFA_FLAGS, _NUMBER.pack(flags))
        self._ask(_RTM_NEWADDR, _REPLACE_OR_CREATE, body)

    def add_blackhole(self, network: str) -> None:
        """Drop what goes to a range and has no better route."""
        self._route(_RTM_NEWROUTE, network, kind=_RTN_BLACKHOLE, scope=_RT_SCOPE_UNIVERSE)

    def add_route(self, network: str, index: int) -> None:
        """Lead a range to an interface on which its addresses are neighbours."""
        self._route(_RTM_NEWROUTE, network, scope=_RT_SCOPE_LINK, extra=_index(index))

    def add_route_via(
        self, network: str, index: int, via: str, source: str | None = None, *, table: int = _RT_TABLE_MAIN
    ) -> None:
        """Lead a range through a neighbour on an interface, ours being `source`; in a table of that number."""
        extra = _index(index) + _address(_RTA_GATEWAY, via)
        if source is not None:
            extra += _address(_RTA_PREFSRC, source)
        self._route(
            _RTM_NEWROUTE,
            network,
            scope=_RT_SCOPE_UNIVERSE,
            next_hop_flags=_RTNH_F_ONLINK,
            extra=extra + _attribute(_RTA_TABLE, _NUMBER.pack(table)),
            table=_RT_TABLE_UNSPEC,
        )

    def delete_route(self, network: str, index: int) -> None:
        """Remove a range's route over an interface; nothing when there is none."""
        with suppress(ProcessLookupError):  # ESRCH: the kernel's "no such route"
            self._route(_RTM_DELROUTE, network, kind=0, scope=_RT_SCOPE_NOWHERE, extra=_index(index))

    def delete_blackhole(self, network: str) -> None:
        """Remove what `add_blackhole` made; nothing when there is none."""
        with suppress(ProcessLookupError):
            self._route(_RTM_DELROUTE, network, kind=_RTN_BLACKHOLE, scope=_RT_SCOPE_NOWHERE)

    def choose_table(self, mark: int, mask: int, table: int, version: int) -> None:
        """Have packets with a mark look a table up before the main one, unless they do."""
        body = _ROUTE.pack(_family(version), 0, 0, 0, _RT_TABLE_UNSPEC, 0, 0, _FR_ACT_TO_TBL, 0)
        for kind, number in (
            (_FRA_PRIORITY, table),  # any below the main table's 32766
            (_FRA_FWMARK, mark),
            (_FRA_FWMASK, mask),
            (_FRA_TABLE, table),
        ):
            body += _attribute(kind, _NUMBER.pack(number))
        with suppress(FileExistsError):
            self._ask(_RTM_NEWRULE, _EXCLUSIVE_CREATE, body)

    def _route(
        self,
        message: int,
        network: str,
        *,
        scope: int,
        kind: int = _RTN_UNICAST,
        next_hop_flags: int = 0,
        extra: bytes = b"",
        table: int = _RT_TABLE_MAIN,
    ) -> None:
        target = ip_network(network)
        body = _ROUTE.pack(
            _family(target.version),
            target.prefixlen,
            0,
            0,
            table,
            _RTPROT_STATIC,
            scope,
            kind,
            next_hop_flags,
        )
        body += _attribute(_RTA_DST, target.network_address.packed) + extra
        self._ask(message, _REPLACE_OR_CREATE if message == _RTM_NEWROUTE else 0, body)

    def _ask(self, message: int, flags: int, body: bytes) -> bytes:
        """Send one request; return the kernel's answer before its acknowledgement, if there is one."""
        self._sequence += 1
        length = _HEADER.size + len(body)
        header = _HEADER.pack(length, message, _REQUEST_AND_ACK | flags, self._sequence, 0)
        self._socket.send(header + body)
        answer = b""
        while True:
            data = self._socket.recv(_ANSWER_BYTES)
            while data:
                size, kind, _flags, sequence, _port = _HEADER.unpack_from(data)
                if sequence == self._sequence and kind == _NLMSG_ERROR:
                    (status,) = _STATUS.unpack_from(data, _HEADER.size)
                    if status:
                        raise OSError(-status, os.strerror(-status))
                    return answer
                if sequence == self._sequence:
                    answer = data[:size]
                data = data[_aligned(size) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, data: bytes) -> bytes:
    return (_ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data).ljust(
        _aligned(_ATTRIBUTE.size + len(data)), b"\0"
    )


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _index(index: int) -> bytes:
    return _attribute(_RTA_OIF, _NUMBER.pack(index))


def _address(kind: int, address: str) -> bytes:
    return _attribute(kind, ip_address(address).packed)


def _family(version: int) -> int:
    return socket.AF_INET6 if version == _IPV6 else socket.AF_INET
