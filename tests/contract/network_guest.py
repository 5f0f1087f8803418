"""A guest without a machine: a network namespace whose only interface is wired to a tap by copying frames.

Tests start one per interface and have it do what a guest does, in milliseconds instead of a boot:

    guest = await Guest.start(tap_fd, mac="02:...")
    await guest.ask("address", ip="172.31.0.10", prefix=20, gateway="172.31.0.1")
    await guest.ask("connect", ip="172.31.0.11", port=22)  # "open", "refused" or "silent"

Run as a program, with the tap's descriptor and a MAC, it is the guest: it reads requests from standard input.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

FRAME_BYTES = 70_000
TUNSETIFF = 0x400454CA
TAP_WITH_VIRTIO_HEADER = 0x0002 | 0x1000 | 0x4000
SO_BINDTODEVICE = 25
SIOCGIFHWADDR = 0x8927
PATIENCE_S = 0.7
DEADLINE_S = 30


class Guest:
    """A running guest."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, tap_fd: int, mac: str) -> "Guest":
        """Start a guest on a tap. It takes the descriptor."""
        command = [sys.executable, __file__, str(tap_fd), mac]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[tap_fd]
        )
        os.close(tap_fd)
        guest = cls(process)
        await guest.ask("exists")
        return guest

    async def ask(self, action: str, **arguments: Any) -> Any:
        """Have the guest do something; return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"action": action, **arguments}).encode() + b"\n")
        async with asyncio.timeout(DEADLINE_S):
            line = await self._process.stdout.readline()
        return json.loads(line)

    async def stop(self) -> None:
        """Switch the guest off."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def exists() -> bool:
    return True


def address(ip: str, prefix: int, gateway: str) -> None:
    run = globals()["ip"]
    run("addr", "replace", f"{ip}/{prefix}", "dev", "eth0")
    run("route", "replace", "default", "via", gateway)


def also(ip: str) -> None:
    """Take another address, to send from."""
    globals()["ip"]("addr", "replace", f"{ip}/32", "dev", "lo")


def second_address(ip: str, prefix: int) -> None:
    """Take another address on the interface."""
    globals()["ip"]("addr", "replace", f"{ip}/{prefix}", "dev", "eth0")


def ipv6(ip: str) -> bool:
    """Take an IPv6 address as one from DHCPv6 is taken; tell whether a router says that it is one."""
    settings = Path("/proc/sys/net/ipv6/conf/eth0")
    for setting, value in (
        ("disable_ipv6", 1),
        ("accept_dad", 0),
        ("accept_ra", 2),
        ("router_solicitation_delay", 0),
        ("router_solicitation_interval", 1),
        ("disable_ipv6", 0),
    ):
        (settings / setting).write_text(str(value))
    globals()["ip"]("-6", "addr", "replace", f"{ip}/128", "dev", "eth0", "nodad")
    deadline = time.monotonic() + DEADLINE_S / 2
    while time.monotonic() < deadline:
        routes = subprocess.run(["ip", "-6", "route", "show", "default"], capture_output=True, text=True, check=True)
        if "proto ra" in routes.stdout:
            return True
        time.sleep(0.02)
    return False


def dhcp6() -> str:
    """Ask for an IPv6 address; return the one that is leased, empty when none is."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        mac = fcntl.ioctl(client, SIOCGIFHWADDR, struct.pack("16s24x", b"eth0"))[18:24]
        client.bind(("::", 546))
        client.settimeout(PATIENCE_S)
        identity = struct.pack("!HHHH", 1, 10, 3, 1) + mac  # DUID-LL
        wanted = struct.pack("!HHIII", 3, 12, 1, 0, 0) + struct.pack("!HHH", 6, 2, 23) + struct.pack("!HHH", 8, 2, 0)
        solicit = b"\x01abc" + identity + wanted + struct.pack("!HH", 14, 0)  # and rapid commit: it is a lease at once
        for _ in range(8):
            client.sendto(solicit, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
            try:
                answer = client.recv(2048)
            except TimeoutError:
                continue
            place = answer.find(struct.pack("!HH", 5, 24))  # IAADDR
            return socket.inet_ntop(socket.AF_INET6, answer[place + 4 : place + 20]) if place > 0 else ""
    return "silent"


def forward(*, translate: bool) -> None:
    """Forward others' packets, as a firewall does; and in our own name, as a NAT instance does."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for setting in ("all/rp_filter", "eth0/rp_filter", "all/send_redirects", "eth0/send_redirects"):
        Path(f"/proc/sys/net/ipv4/conf/{setting}").write_text("0")
    if translate:
        table = "table ip nat {\nchain leave {\ntype nat hook postrouting priority srcnat;\nmasquerade\n}\n}\n"
        subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True)


def hardware(mac: str) -> None:
    """Change the interface's MAC."""
    ip("link", "set", "eth0", "address", mac)


def connect(ip: str, port: int, source: str = "") -> str:
    """Try a TCP connection."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as connection:
        connection.settimeout(PATIENCE_S)
        try:
            if source:
                connection.bind((source, 0))
            connection.connect((ip, port))
        except TimeoutError:
            return "silent"
        except ConnectionRefusedError:
            return "refused"
        except OSError as err:
            return f"{err.strerror}"
        return "open"


def fetch(ip: str, port: int) -> str:
    """Return all that a port says after a line."""
    with socket.create_connection((ip, port), timeout=DEADLINE_S) as connection:
        connection.sendall(b"hello\n")
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while part := connection.recv(65536):
            said += part
        return said.decode()


def listen(port: int, *, on_ipv6: bool = False) -> None:
    """Serve a port: answer with the peer's address and how many bytes it sent, once it has sent all."""
    server = socket.create_server(("", port), family=socket.AF_INET6 if on_ipv6 else socket.AF_INET)

    def serve(connection: socket.socket, peer: str) -> None:
        with connection:
            count = 0
            while part := connection.recv(1 << 20):
                count += len(part)
            connection.sendall(f"{peer} {count}".encode())

    def accept() -> None:
        while True:
            connection, peer = server.accept()
            threading.Thread(target=serve, args=(connection, peer[0]), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def listen_for_datagrams(port: int) -> None:
    """Serve a UDP port: answer with the peer's address and how many bytes it sent."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", port))

    def serve() -> None:
        while True:
            data, peer = server.recvfrom(FRAME_BYTES)
            server.sendto(f"{peer[0]} {len(data)}".encode(), peer)

    threading.Thread(target=serve, daemon=True).start()


def send(port: int, size: int) -> None:
    """Serve a port: send that many bytes to whoever comes."""
    server = socket.create_server(("", port))

    def accept() -> None:
        while True:
            connection, _peer = server.accept()
            with connection:
                block = bytes(1 << 20)
                for _ in range(size >> 20):
                    connection.sendall(block)

    threading.Thread(target=accept, daemon=True).start()


def udp(ip: str, port: int) -> None:
    """Send one datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", (ip, port))


def ping(ip: str, source: str = "") -> bool:
    """Tell whether an echo request is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(PATIENCE_S)
        if source:
            raw.bind((source, 0))
        body = struct.pack("!BBHHH", 8, 0, 0, 77, 1)
        total = sum(struct.unpack("!4H", body))
        body = struct.pack("!BBHHH", 8, 0, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF, 77, 1)
        raw.sendto(body, (ip, 0))
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer, (sender, _port) = raw.recvfrom(2048)
            except TimeoutError:
                return False
            if sender == ip and answer[20] == 0:
                return True
        return False


def dhcp() -> dict[str, str]:
    """Ask for an address as a guest does that boots; return what DHCP says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0")
        client.bind(("", 68))
        client.settimeout(PATIENCE_S)
        head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16)
        mac = fcntl.ioctl(client, SIOCGIFHWADDR, struct.pack("16s24x", b"eth0"))[18:24]
        head += mac.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63"
        request = head + bytes([53, 1, 1, 55, 7, 1, 3, 6, 12, 15, 26, 42, 255])  # DHCPDISCOVER
        for _ in range(5):
            client.sendto(request, ("255.255.255.255", 67))
            try:
                offer = client.recv(2048)
                break
            except TimeoutError:
                continue
        else:
            return {}
        options, rest = {}, offer[240:]
        while rest and rest[0] != 255:
            options[rest[0]] = rest[2 : 2 + rest[1]]
            rest = rest[2 + rest[1] :]
        # DHCPREQUEST: from here on the address is leased to us.
        wanted = b"\x32\x04" + offer[16:20] + b"\x36\x04" + options[54]
        client.settimeout(DEADLINE_S / 2)  # it will be answered
        client.sendto(head + b"\x35\x01\x03" + wanted + b"\xff", ("255.255.255.255", 67))
        client.recv(2048)
    told = {
        "netmask": options[1],
        "router": options[3],
        "resolver": options.get(6),
        "time": options.get(42),
    }
    return {
        "address": socket.inet_ntoa(offer[16:20]),
        **{key: socket.inet_ntoa(value) for key, value in told.items() if value is not None},
        "name": options[12].decode(),
        **({"domain": options[15].decode()} if 15 in options else {}),
        "mtu": str(int.from_bytes(options[26], "big")),
    }


def resolve(server: str, name: str, kind: int = 1) -> str:
    """Ask a resolver for a name's address (kind 1, or 28) or an address's name (kind 12); empty when there is none."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        for _ in range(5):
            client.sendto(query, (server, 53))
            with suppress(TimeoutError):
                answer = client.recv(2048)
                break
        else:
            return "silent"
    if struct.unpack_from("!H", answer, 6)[0] == 0:
        return ""
    data = answer[len(query) + 12 :]  # the answer's name is a pointer of two bytes
    if kind in (1, 28):
        return socket.inet_ntop(socket.AF_INET, data[:4]) if kind == 1 else socket.inet_ntop(socket.AF_INET6, data[:16])
    labels = []
    while data[0] and data[0] < 192:
        labels.append(data[1 : 1 + data[0]].decode())
        data = data[1 + data[0] :]
    return ".".join(labels)


def neighbour(ip: str) -> bool:
    """Tell whether anybody answers ARP for an address."""
    udp(ip, 9)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        known = subprocess.run(["ip", "neigh", "show", ip], capture_output=True, text=True, check=True)
        if "lladdr" in known.stdout:
            return True
        time.sleep(0.02)
    return False


ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (
        exists,
        address,
        also,
        second_address,
        ipv6,
        dhcp6,
        forward,
        hardware,
        connect,
        fetch,
        listen,
        listen_for_datagrams,
        send,
        udp,
        ping,
        dhcp,
        resolve,
        neighbour,
    )
}


def carry(source: int, target: int) -> None:
    while True:
        frame = os.read(source, FRAME_BYTES)
        with contextlib.suppress(OSError):  # the other side is down
            os.write(target, frame)


def main() -> None:
    from bakehouse.drivers.network.linux.namespaces import enter_new  # noqa: PLC0415 - only the guest needs it

    tap_fd, mac = int(sys.argv[1]), sys.argv[2]
    enter_new(rootless=os.geteuid() != 0)
    own = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(own, TUNSETIFF, struct.pack("16sH22x", b"eth0", TAP_WITH_VIRTIO_HEADER))
    ip("link", "set", "eth0", "address", mac)
    ip("link", "set", "lo", "up")
    ip("link", "set", "eth0", "up")
    for ends in ((tap_fd, own), (own, tap_fd)):
        threading.Thread(target=carry, args=ends, daemon=True).start()
    for line in sys.stdin:
        request = json.loads(line)
        result = ACTIONS[request.pop("action")](**request)
        print(json.dumps(result), flush=True)  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    main()
