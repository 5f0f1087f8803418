"""The forwarder between the host's loopback interface and a guest, which is a server here."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from bakehouse.drivers.network.linux.forwarder import Forwarder
from bakehouse.drivers.network.linux.host_ports import OpenPort
from bakehouse.drivers.network.linux.public_port import Guest, GuestUnreachable, NoHostPort, bind

PUBLIC = "127.15.0.1"
"""Below all pools, so no running server has it."""
PRIVATE = "10.0.0.10"
DEADLINE_S = 30


def tcp(*numbers: int) -> frozenset[OpenPort]:
    return frozenset(OpenPort("tcp", number) for number in numbers)


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    """A guest that sends back what it got, once it has all of it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def forward() -> AsyncIterator[Callable[[int], Forwarder]]:
    """Make a forwarder whose guest is a port of this host; 0 stands for no guest at all."""
    made: list[Forwarder] = []

    def make(guest_port: int) -> Forwarder:
        async def dial(guest: Guest) -> socket.socket:
            if not guest_port:
                raise GuestUnreachable
            kind = socket.SOCK_DGRAM if guest.port.protocol == "udp" else socket.SOCK_STREAM
            connection = socket.socket(socket.AF_INET, kind)
            connection.settimeout(0)
            connection.connect_ex(("127.0.0.1", guest_port))
            return connection

        made.append(Forwarder(dial))
        return made[-1]

    yield make
    for forwarder in made:
        await forwarder.close()


async def ask(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(PUBLIC, port)
    try:
        writer.write(text)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()


async def hear(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(PUBLIC, port)
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()


async def test_each_way_ends_by_itself(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forward(echo_port).publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))

    assert await ask(20080, b"bread" * 1_000_000) == b"bread" * 1_000_000


async def test_a_port_is_found_where_it_is(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))

    assert forwarder.host_port(PUBLIC, OpenPort("tcp", 20080)) == 20080
    assert forwarder.host_port(PUBLIC, OpenPort("tcp", 20081)) is None


async def test_a_port_that_is_taken_is_found_elsewhere(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    with socket.create_server((PUBLIC, 20080)):
        forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))

        assert forwarder.host_port(PUBLIC, OpenPort("tcp", 20080)) == 30080
        assert await ask(30080, b"bread") == b"bread"


async def test_a_port_that_is_closed_is_refused(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080, 20081))
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20081))

    with pytest.raises(ConnectionError):  # refused; or reset, as the accepting task just lets go
        await hear(20080)
    assert await ask(20081, b"bread") == b"bread"


async def test_a_guest_that_refuses_is_seen_as_a_reset(forward: Callable[[int], Forwarder]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        forward(nobody.getsockname()[1]).publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))

        with pytest.raises(ConnectionResetError):
            await hear(20080)


async def test_no_guest_is_seen_as_a_reset(forward: Callable[[int], Forwarder]) -> None:
    forward(0).publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))

    with pytest.raises(ConnectionResetError):
        await hear(20080)


async def test_connections_go_on_when_their_port_is_closed(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))
    reader, writer = await asyncio.open_connection(PUBLIC, 20080)
    writer.write(b"before")
    await ask(20080, b"")  # by now, the first connection was accepted

    forwarder.withdraw("eni-0")
    writer.write(b" and after")
    writer.write_eof()

    assert await reader.read() == b"before and after"
    writer.close()


async def test_two_addresses_have_the_same_port(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))
    forwarder.publish("eni-1", {"127.15.0.2": PRIVATE}, tcp(20080))

    assert forwarder.host_port("127.15.0.2", OpenPort("tcp", 20080)) == 20080


async def test_very_many_ports_are_listened_on_by_and_by(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder._most_listeners = 1000
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(*range(30000, 30600)))
    for _ in range(10):
        await asyncio.sleep(0)

    assert await ask(30599, b"bread") == b"bread"


def test_a_port_without_a_file_for_it_is_none_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_kind: int) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", refuse)

    with pytest.raises(NoHostPort, match="tcp port 80: Too many open files"):
        bind(PUBLIC, OpenPort("tcp", 80))


async def test_what_is_not_wanted_any_more_is_not_listened_on_later(
    forward: Callable[[int], Forwarder], echo_port: int
) -> None:
    forwarder = forward(echo_port)
    forwarder._most_listeners = 1000
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(*range(30000, 30600)))
    forwarder.withdraw("eni-0")
    for _ in range(10):
        await asyncio.sleep(0)

    assert forwarder.host_port(PUBLIC, OpenPort("tcp", 30599)) is None
    assert not forwarder._listeners


async def test_it_does_not_listen_on_more_than_it_may(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder._most_listeners = 2
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080, 20081, 20082))
    forwarder.publish("eni-1", {"127.15.0.2": PRIVATE}, tcp(20080))

    found = [forwarder.host_port(PUBLIC, OpenPort("tcp", port)) for port in (20080, 20081, 20082)]
    assert found == [20080, 20081, None]
    assert forwarder.host_port("127.15.0.2", OpenPort("tcp", 20080)) is None


async def test_datagrams_go_to_the_guest_and_back_to_who_asked(forward: Callable[[int], Forwarder]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest:
        guest.bind(("127.0.0.1", 0))
        guest.settimeout(0)
        forward(guest.getsockname()[1]).publish("eni-0", {PUBLIC: PRIVATE}, frozenset({OpenPort("udp", 20053)}))
        loop = asyncio.get_running_loop()
        answers = []
        async with asyncio.timeout(DEADLINE_S):
            for name in (b"one", b"other"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.settimeout(0)
                    sender.connect((PUBLIC, 20053))
                    for question in (b"first of ", b"second of "):
                        sender.send(question + name)
                        said, peer = await loop.sock_recvfrom(guest, 100)
                        guest.sendto(b"answer to " + said, peer)
                        answers.append(await loop.sock_recv(sender, 100))

    assert answers == [
        b"answer to first of one",
        b"answer to second of one",
        b"answer to first of other",
        b"answer to second of other",
    ]


async def test_a_port_is_one_of_each_protocol(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    ports = {OpenPort("udp", 20053), OpenPort("tcp", 20053)}
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, frozenset(ports))

    assert {forwarder.host_port(PUBLIC, port) for port in ports} == {20053}


async def test_an_address_that_moves_leads_elsewhere(forward: Callable[[int], Forwarder], echo_port: int) -> None:
    forwarder = forward(echo_port)
    forwarder.publish("eni-0", {PUBLIC: PRIVATE}, tcp(20080))
    forwarder.publish("eni-0", {}, frozenset())
    forwarder.publish("eni-1", {PUBLIC: PRIVATE}, tcp(20080))

    assert await ask(20080, b"bread") == b"bread"
