"""The guests of storage.py: reached by SSH, with the program in them that reads and writes the disk."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from real_server import Place, wait_for_banner

_MIB: Final = 1 << 20
#: How much of the disk is read and written.
DATA: Final = 256 * _MIB
#: Where the part of side B's disk begins that is a hole in its file until it is written to; the part before is full.
HOLE: Final = DATA
DISK: Final = "/dev/nvme1n1"
HELPER: Final = "/run/storage_guest"
DEADLINE_S: Final = 120

#: Row -> what the program in the guest is asked for: read or write, how, bytes, how many.
WORKLOADS: Final = {
    "read, random 4 KiB": ("read", "random", 4096, 5000),
    "read, 1 MiB in order": ("read", "sequential", _MIB, 1024),
    "write, random 4 KiB, first": ("write", "random", 4096, 1000),
    "write, random 4 KiB, again": ("write", "random", 4096, 1000),
    "write, 1 MiB in order, first": ("write", "sequential", _MIB, 128),
    "write, 1 MiB in order, again": ("write", "sequential", _MIB, 128),
}


@dataclass(frozen=True)
class Guest:
    """A guest that is reached by SSH over one connection that stays open."""

    place: Place
    folder: Path
    """Where the key and the connection's socket are."""
    name: str

    def command(self, command: str) -> list[str]:
        """Return the command line that runs a command in it."""
        return ["ssh", *self._options(), f"root@{self.place.address}", command]

    def run(self, command: str, *, stdin: bytes | None = None) -> str:
        """Return what a command prints; it must succeed."""
        done = subprocess.run(
            self.command(command), input=stdin, check=True, stdout=subprocess.PIPE, timeout=DEADLINE_S
        )
        return done.stdout.decode()

    def receive(self, program: bytes) -> None:
        """Wait for its SSH server, and put the program into it."""
        wait_for_banner(self.place)
        self.run(f"cat > {HELPER} && chmod 755 {HELPER}", stdin=program)

    def leave(self) -> None:
        """Close the connection."""
        subprocess.run(["ssh", *self._options(), "-O", "exit", "guest"], check=False, capture_output=True)

    def rate(self, workload: str, start: int = 0) -> float:
        """Return the requests per second of a workload that begins so many bytes into the disk."""
        kind, order, size, count = WORKLOADS[workload]
        took = int(self.run(f"{HELPER} {DISK} {kind} {order} {size} {count} {start} {DATA}"))
        return count * 1e9 / took

    def _options(self) -> Iterator[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "30",
            "ControlMaster": "auto",
            "ControlPath": str(self.folder / self.name),
            "ControlPersist": "600",
            "IdentityFile": str(self.folder / "key"),
            "LogLevel": "ERROR",
            "Port": str(self.place.port),
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        return (f"-o{name}={value}" for name, value in options.items())
