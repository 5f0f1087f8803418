"""A serial line over a log that is cut, and to a machine that does not listen."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bakehouse.drivers.hypervisor.qemu import serial_line
from bakehouse.drivers.hypervisor.qemu.run_directory import (
    CONSOLE_LIMIT_BYTES,
    CONSOLE_SOCKET,
    CONSOLE_TAIL_BYTES,
    RunDirectory,
)
from bakehouse.drivers.hypervisor.qemu.serial_line import SerialLine, SerialViewer
from bakehouse.ports.consoles import MachineGone

DEADLINE_S = 30
LINE = b"%09d\n"
LINE_BYTES = 10


@dataclass
class Machine:
    """What QEMU does of a serial port: it listens, and writes all to a log."""

    run: RunDirectory
    listener: socket.socket

    def write(self, data: bytes) -> None:
        with self.run.console_log.open("ab") as log:
            log.write(data)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    run = RunDirectory(tmp_path / "i-0000000000000000a")
    run.make()
    with run.listen(CONSOLE_SOCKET) as listener:
        yield Machine(run, listener)


async def nothing() -> None:
    """Send no BREAK."""


@pytest.fixture
async def line(machine: Machine) -> SerialLine:
    return SerialLine(machine.run, nothing)


@pytest.fixture
async def viewer(line: SerialLine) -> AsyncIterator[SerialViewer]:
    viewer = await line.open(None)
    yield viewer
    await viewer.close()


async def read(viewer: SerialViewer, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(DEADLINE_S):
        while len(data) < size:
            data += await viewer.read()
    return data


def numbered(count: int) -> bytes:
    return b"".join(LINE % number for number in range(count))


async def test_a_viewer_who_had_seen_all_misses_nothing_of_a_log_that_is_cut(
    machine: Machine, viewer: SerialViewer
) -> None:
    lines = CONSOLE_LIMIT_BYTES // LINE_BYTES + 1
    machine.write(numbered(lines))
    await read(viewer, lines * LINE_BYTES)

    machine.run.trim_console_log()
    machine.write(b"next\n")

    assert await read(viewer, 5) == b"next\n"


async def test_a_viewer_who_was_far_behind_goes_on_with_what_is_kept(machine: Machine, viewer: SerialViewer) -> None:
    lines = CONSOLE_LIMIT_BYTES // LINE_BYTES + 1
    machine.write(numbered(lines))
    seen = await viewer.read()
    machine.run.trim_console_log()
    machine.write(b"next\n")

    assert (await read(viewer, CONSOLE_TAIL_BYTES - len(seen) + 5))[-5:] == b"next\n"


async def test_what_the_machine_writes_is_seen_without_a_sign(machine: Machine, viewer: SerialViewer) -> None:
    reading = asyncio.create_task(viewer.read())
    await asyncio.sleep(0)

    machine.write(b"quiet")

    async with asyncio.timeout(DEADLINE_S):
        assert await reading == b"quiet"


async def test_the_machine_is_left_alone_when_the_last_viewer_is_gone(machine: Machine, line: SerialLine) -> None:
    first, second = await line.open(None), await line.open(None)
    connection, _ = machine.listener.accept()
    connection.settimeout(DEADLINE_S)
    await first.close()
    await first.close()
    await second.write(b"still there")
    await second.close()

    assert await asyncio.to_thread(connection.recv, 64) == b"still there"
    assert await asyncio.to_thread(connection.recv, 64) == b""
    connection.close()


async def test_a_machine_without_a_socket_has_no_line(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "i-0000000000000000b")
    run.make()

    with pytest.raises(MachineGone):
        await SerialLine(run, nothing).open(None)


class Guest:
    """The other end of a line, which reads when it is told to, and hears a BREAK at once."""

    def __init__(self, machine: Machine) -> None:
        self.heard: list[bytes] = []
        self.line = SerialLine(machine.run, self._hear_break)
        self._machine = machine

    async def _hear_break(self) -> None:
        self.heard.append(b"BREAK")

    async def read(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        self.heard.append(await asyncio.get_running_loop().sock_recv(connection, 100))

    async def answer(self) -> socket.socket:
        self._machine.listener.settimeout(0)
        connection, _ = await asyncio.get_running_loop().sock_accept(self._machine.listener)
        return connection


@pytest.fixture
def guest(machine: Machine) -> Guest:
    return Guest(machine)


async def test_a_break_comes_after_what_was_typed_before_it(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "_DRAINED_WITHIN_S", DEADLINE_S)
    viewer = await guest.line.open(None)
    with await guest.answer() as connection:
        await viewer.write(b"typed")
        breaking = asyncio.create_task(viewer.send_break())
        await asyncio.sleep(0)
        await guest.read(connection)
        await breaking

    assert guest.heard == [b"typed", b"BREAK"]
    await viewer.close()


async def test_a_guest_that_does_not_read_gets_a_break_all_the_same(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_line, "_DRAINED_WITHIN_S", 0.05)
    viewer = await guest.line.open(None)
    with await guest.answer():
        await viewer.write(b"typed")
        await viewer.send_break()

    assert guest.heard == [b"BREAK"]
    await viewer.close()


async def test_a_break_does_not_wait_for_a_writer_whom_the_guest_holds_up(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_line, "_DRAINED_WITHIN_S", 0.05)
    viewer = await guest.line.open(None)
    with await guest.answer():
        writing = asyncio.create_task(viewer.write(bytes(4 * 1024 * 1024)))
        await asyncio.sleep(0)
        await viewer.send_break()

        assert guest.heard == [b"BREAK"]
        assert not writing.done()
        writing.cancel()
    await viewer.close()
