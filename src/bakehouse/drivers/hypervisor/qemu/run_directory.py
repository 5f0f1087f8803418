"""One machine's directory on the host, by which a later server finds the machine again.

    machines/i-0123.../
        local/           the machine's local disks, sparse; gone when it is killed
        memory           what a hibernated machine had in its memory; gone before its guest goes on, and at a kill
        memory.json      what must be as it was then
        lock             held by QEMU itself for as long as it lives
        machine.json     who runs: pid, start time, command line, spec
        qmp.sock         monitor, ours
        qmp-debug.sock   second monitor, for people (a monitor serves one client at a time)
        agent.sock       the guest agent's virtio port
        console.sock     the serial console, both ways; who connects must read, or the guest's output waits
        console.log      what the guest wrote to it
        qemu.log         what QEMU wrote to its standard error
        tpm/, tpm.json   the trusted platform module's own, and its public keys; what the guest keeps over stops
        tpm.log          what its process wrote to its standard error
        uefi.vars        UEFI's variable store, of a machine that boots by UEFI: what the guest keeps over stops
        uefi.secure      there when that began with keys enrolled, so that the firmware must know Secure Boot

All of it belongs to the server's user alone (0700). QEMU opens nothing here: it inherits the listening
sockets, the log and the lock as file descriptors. So QEMU may run as another user, paths may be longer than a
socket address (107 bytes), and a machine is marked as running from the fork on: the lock goes with the
descriptor, so no crash of the server can leave a machine that nobody finds.
"""

import asyncio
import fcntl
import os
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bakehouse.drivers import process, socket_address
from bakehouse.drivers.hypervisor.qemu.memory_files import MemoryFiles
from bakehouse.drivers.hypervisor.qemu.platform_module import ModuleFiles
from bakehouse.ports.hypervisor import MachineSpec, MonitorLost

MONITOR_SOCKET: Final = "qmp.sock"
DEBUG_SOCKET: Final = "qmp-debug.sock"
AGENT_SOCKET: Final = "agent.sock"
CONSOLE_SOCKET: Final = "console.sock"
SOCKETS: Final = (MONITOR_SOCKET, DEBUG_SOCKET, AGENT_SOCKET, CONSOLE_SOCKET)

#: How much of the console is handed out. EC2 keeps 64 KiB; a boot with systemd fills about 40.
CONSOLE_TAIL_BYTES: Final = 256 * 1024
#: A console log larger than this is cut to its tail when the machines are looked at.
CONSOLE_LIMIT_BYTES: Final = 4 * 1024 * 1024

_LOG_TAIL_BYTES: Final = 4096

_HOLE_BYTES: Final = 64 * 1024

#: A process that is dying cannot be seen for some milliseconds before it lets go of its lock.
_DYING_DEADLINE_S: Final = 2.0
_DYING_POLL_S: Final = 0.005


class MachineRuns(Exception):
    """The directory's lock is held: there is a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRecord:
    """What `machine.json` says. Pid and start time together name one process of this host's boot."""

    pid: int
    start_time: int
    argv: tuple[str, ...]
    spec: MachineSpec


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process, told apart from a later one that got the same pid."""

    pid: int
    start_time: int


class RunDirectory:
    """The paths of one machine and what is done to them. Methods are quick unless they say otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.machine_id = path.name
        self.console_log = path / "console.log"
        self.qemu_log = path / "qemu.log"
        self._record = path / "machine.json"
        self._lock = path / "lock"
        self._variables = path / "uefi.vars"
        self.tpm = ModuleFiles(folder=path / "tpm", keys=path / "tpm.json", log=path / "tpm.log")
        self._secure_boot = path / "uefi.secure"
        self._local_disks = path / "local"
        self.memory = MemoryFiles(path / "memory", path / "memory.json")
        self._kept_over_stops = {self._local_disks, self._variables, self._secure_boot, self.tpm.folder, self.tpm.keys}

    def make(self) -> None:
        """Make the directory, readable by its owner only."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def take_lock(self) -> int:
        """Return a descriptor that holds the lock for as long as any process has it open.

        Raises:
            MachineRuns: Somebody holds it already.
        """
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            os.close(lock)
            raise MachineRuns(self.machine_id) from err
        return lock

    def is_locked(self) -> bool:
        """Tell whether the machine's process is there. Must not run beside `take_lock`."""
        try:
            lock = self.take_lock() if self._lock.exists() else None
        except MachineRuns:
            return True
        if lock is not None:
            os.close(lock)
        return False

    def running_process(self) -> ProcessName | None:
        """Return the machine's process, also when a crash kept it from being recorded.

        Takes some 20 ms in that rare case, when every process of the host is asked for the lock, and longer
        while a process is dying. For a thread.

        Raises:
            MonitorLost: There is one, and it cannot be told which.
        """
        deadline = time.monotonic() + _DYING_DEADLINE_S
        while self.is_locked():
            record = self.read_record()
            if record is not None and process.is_running(record.pid, record.start_time):
                return ProcessName(record.pid, record.start_time)
            pid = _process_that_opened(self._lock)
            started = None if pid is None else process.start_time(pid)
            if pid is not None and started is not None:
                return ProcessName(pid, started)
            if time.monotonic() > deadline:
                raise MonitorLost(f"a process that cannot be seen holds {self._lock}")
            time.sleep(_DYING_POLL_S)
        return None

    def open_console_log(self, *, anew: bool = True) -> int:
        """Begin a new console log, or go on with the one that is there; return a descriptor to append to it."""
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if anew else 0) | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self.console_log, flags, 0o600)

    def open_local_disk(self, number: int, size_bytes: int) -> int:
        """Return a descriptor of a local disk, which is made, empty and sparse, where there is none of this size."""
        self._local_disks.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        disk = os.open(self._local_disks / str(number), flags, 0o600)
        if os.fstat(disk).st_size != size_bytes:
            os.ftruncate(disk, 0)
            os.ftruncate(disk, size_bytes)
        return disk

    def has_variables(self) -> bool:
        """Tell whether there is a UEFI variable store."""
        return self._variables.exists()

    def needs_secure_boot(self) -> bool:
        """Tell whether the UEFI variable store came with keys enrolled."""
        return self._secure_boot.exists()

    def write_variables(self, store: bytes, *, secure_boot: bool) -> None:
        """Put a UEFI variable store on disk, whole or not at all, and whether it came with keys enrolled."""
        self._secure_boot.unlink(missing_ok=True)
        if secure_boot:
            self._secure_boot.touch()
        new = self._variables.with_suffix(".new")
        with new.open("wb") as file:
            _write_sparse(file, store)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._variables)

    def read_variables(self) -> bytes | None:
        """Return the UEFI variable store as the guest has it now, or None when there is none."""
        with suppress(FileNotFoundError):
            return self._variables.read_bytes()
        return None

    def open_variables(self) -> int:
        """Return a descriptor of the UEFI variable store."""
        return os.open(self._variables, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def listen(self, name: str) -> socket.socket:
        """Return a listening socket of this name, mode 0600, in place of an earlier one."""
        (self.path / name).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            with socket_address.short(self.path) as directory:
                listener.bind(f"{directory}/{name}")
            (self.path / name).chmod(0o600)
            listener.listen(1)
        except BaseException:
            listener.close()
            raise
        return listener

    async def connect(self, name: str) -> socket.socket:
        """Connect to a socket of the machine. The caller closes what is returned.

        Raises:
            OSError: There is no such socket, or nobody listens.
        """
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(0)
            with socket_address.short(self.path) as directory:
                await asyncio.get_running_loop().sock_connect(connection, f"{directory}/{name}")
        except BaseException:
            connection.close()
            raise
        return connection

    def write_record(self, record: LaunchRecord) -> None:
        """Put the record on disk, whole or not at all. Waits for the disk."""
        new = self._record.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=1))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._record)
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def read_record(self) -> LaunchRecord | None:
        """Return the record, or None when there is none that can be read."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=LaunchRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def last_words(self) -> str:
        """Return the last line that QEMU wrote to its log; empty when it wrote none."""
        lines = _tail(self.qemu_log, _LOG_TAIL_BYTES).decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def console_tail(self) -> bytes:
        """Return the end of what the guest wrote to its console."""
        return _tail(self.console_log, CONSOLE_TAIL_BYTES)

    def console_size(self) -> int:
        """Return how many bytes of the console are kept; 0 when there is no log."""
        try:
            return self.console_log.stat().st_size
        except FileNotFoundError:
            return 0

    def console_from(self, position: int, size_max: int) -> bytes:
        """Return what the log has from a place on; nothing at its end or when there is none."""
        try:
            with self.console_log.open("rb") as file:
                file.seek(position)
                return file.read(size_max)
        except FileNotFoundError:
            return b""

    def trim_console_log(self) -> None:
        """Cut a console log that grew too long. QEMU appends, so it writes on behind what is kept.

        What the guest writes in the same millisecond may be lost.
        """
        try:
            if self.console_log.stat().st_size <= CONSOLE_LIMIT_BYTES:
                return
        except FileNotFoundError:
            return
        kept = self.console_tail()
        with self.console_log.open("r+b") as file:
            file.truncate(0)
        with self.console_log.open("ab") as file:
            file.write(kept)

    def remove_useless(self, *, keep_local_disks: bool, keep_memory: bool = False) -> None:
        """Remove what a machine without a process cannot serve. For a thread: local disks may be large."""
        for name in SOCKETS:
            (self.path / name).unlink(missing_ok=True)
        if not keep_memory:
            self.memory.remove()
        if not keep_local_disks:
            with suppress(FileNotFoundError):
                shutil.rmtree(self._local_disks)

    def remove(self) -> None:
        """Remove the directory and all in it. Succeeds when there is none."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def remove_but_kept(self) -> None:
        """Remove all but what a guest keeps over stops, and the directory too where that is nothing."""
        if not any(path.exists() for path in self._kept_over_stops):
            self.remove()
            return
        for path in self.path.iterdir():
            if path not in self._kept_over_stops:
                path.unlink()


def _write_sparse(file: BinaryIO, content: bytes) -> None:
    """Write content, leaving holes where it is empty: a variable store is 64 MiB of which little is used."""
    for offset in range(0, len(content), _HOLE_BYTES):
        piece = content[offset : offset + _HOLE_BYTES]
        if piece.count(0) < len(piece):
            file.seek(offset)
            file.write(piece)
    file.truncate(len(content))


def _tail(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read()
    except FileNotFoundError:
        return b""


def _process_that_opened(path: Path) -> int | None:
    """Return the process, other than ourselves, that has a file open."""
    wanted = str(path.resolve())
    for process_directory in Path("/proc").iterdir():
        if not process_directory.name.isdigit() or int(process_directory.name) == os.getpid():
            continue
        # Processes of other users and those that end meanwhile cannot be read.
        with suppress(OSError):
            for descriptor in (process_directory / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) == wanted:
                        return int(process_directory.name)
    return None
