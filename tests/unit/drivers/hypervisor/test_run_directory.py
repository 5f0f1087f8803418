import asyncio
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import run_directory
from bakehouse.drivers.hypervisor.qemu.run_directory import (
    LaunchRecord,
    MachineRuns,
    ProcessName,
    RunDirectory,
)
from bakehouse.ports.hypervisor import MachineSpec

SPEC = MachineSpec(
    machine_id="i-0123456789abcdef0",
    instance_type="t3.micro",
    architecture="x86_64",
    vcpus=1,
    memory_mib=512,
    disks=(),
    interfaces=(),
    hardware_uuid="ec2a1b2c-0000-4000-8000-0123456789ab",
)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "machines" / SPEC.machine_id)
    made.make()
    return made


@pytest.fixture
def holder(run: RunDirectory) -> Iterator[int]:
    """Start a process that inherited the lock, as QEMU does, and return its pid."""
    lock = run.take_lock()
    with subprocess.Popen(["sleep", "600"], pass_fds=[lock]) as child:
        os.close(lock)
        yield child.pid
        child.kill()


def record(pid: int, start_time: int = 1) -> LaunchRecord:
    return LaunchRecord(pid=pid, start_time=start_time, argv=("qemu", "-m"), spec=SPEC)


def test_nobody_else_may_look_into_it(run: RunDirectory) -> None:
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700


def test_a_record_can_be_read_again(run: RunDirectory) -> None:
    run.write_record(record(42))

    assert run.read_record() == record(42)


def test_a_torn_record_is_none(run: RunDirectory) -> None:
    (run.path / "machine.json").write_text('{"pid": 4', encoding="ascii")

    assert run.read_record() is None


def test_a_directory_without_a_process_is_not_locked(run: RunDirectory) -> None:
    assert not run.is_locked()


def test_the_lock_is_held_by_the_process_that_inherited_it(run: RunDirectory, holder: int) -> None:
    assert holder
    with pytest.raises(MachineRuns):
        run.take_lock()


def test_a_recorded_process_is_found(run: RunDirectory, holder: int) -> None:
    started = process.start_time(holder)
    assert started is not None
    run.write_record(record(holder, started))

    assert run.running_process() == ProcessName(holder, started)


def test_a_process_that_a_crash_kept_from_being_recorded_is_found(run: RunDirectory, holder: int) -> None:
    found = run.running_process()

    assert found is not None
    assert found.pid == holder


def test_a_record_of_an_earlier_process_is_not_believed(run: RunDirectory, holder: int) -> None:
    run.write_record(record(os.getpid(), start_time=1))

    found = run.running_process()

    assert found is not None
    assert found.pid == holder


def test_a_recorded_process_without_the_lock_is_another(run: RunDirectory) -> None:
    started = process.start_time(os.getpid())
    assert started is not None
    run.write_record(record(os.getpid(), started))

    assert run.running_process() is None


async def test_sockets_work_below_a_long_path(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / ("long" * 30) / ("path" * 30) / SPEC.machine_id)
    run.make()

    with run.listen("qmp.sock") as listener, await run.connect("qmp.sock") as connection:
        accepted, _ = await asyncio.to_thread(listener.accept)
        with accepted:
            accepted.sendall(b"hello")
            assert await asyncio.get_running_loop().sock_recv(connection, 5) == b"hello"


async def test_connecting_to_nobody_raises(run: RunDirectory) -> None:
    with pytest.raises(FileNotFoundError):
        await run.connect("qmp.sock")


def test_sockets_are_private(run: RunDirectory) -> None:
    with run.listen("qmp.sock"):
        assert stat.S_IMODE((run.path / "qmp.sock").stat().st_mode) == 0o600


def test_a_socket_takes_the_place_of_an_earlier_one(run: RunDirectory) -> None:
    run.listen("qmp.sock").close()

    with run.listen("qmp.sock") as listener:
        assert isinstance(listener, socket.socket)


def test_a_new_console_log_begins_empty(run: RunDirectory) -> None:
    run.console_log.write_bytes(b"old")

    os.close(run.open_console_log())

    assert run.console_tail() == b""


def test_a_missing_console_log_is_empty(run: RunDirectory) -> None:
    assert run.console_tail() == b""


def test_a_long_console_log_is_cut_to_its_end(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "CONSOLE_LIMIT_BYTES", 8)
    monkeypatch.setattr(run_directory, "CONSOLE_TAIL_BYTES", 4)
    run.console_log.write_bytes(b"0123456789")

    run.trim_console_log()

    assert run.console_log.read_bytes() == b"6789"


def test_what_is_written_after_the_cut_follows_what_was_kept(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_directory, "CONSOLE_LIMIT_BYTES", 8)
    monkeypatch.setattr(run_directory, "CONSOLE_TAIL_BYTES", 4)
    writer = run.open_console_log()
    os.write(writer, b"0123456789")

    run.trim_console_log()
    os.write(writer, b"!")
    os.close(writer)

    assert run.console_tail() == b"789!"


def test_last_words_are_the_last_line(run: RunDirectory) -> None:
    run.qemu_log.write_text("first\nqemu: Could not open 'x'\n\n", encoding="utf-8")

    assert run.last_words() == "qemu: Could not open 'x'"


def test_removing_what_is_not_there_succeeds(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "nothing").remove()
