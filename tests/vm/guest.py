"""An instance as its owner has it: by SSH, by its console, and by what the API says of it."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakehouse.cli.home import control
from bakehouse.drivers import process

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

SSH_DEADLINE_S = 90
BANNER_TIMEOUT_S = 0.25
SSH_PORT = 22


@dataclass(frozen=True)
class Place:
    """Where the host reaches a port of a guest."""

    address: str
    port: int


@dataclass(frozen=True)
class Guest:
    """An instance. One connection is kept open, for each new one costs an emulated guest half a second."""

    home: Path
    ec2: "EC2Client"
    instance_id: str

    def describe(self) -> "InstanceTypeDef":
        return self.ec2.describe_instances(InstanceIds=[self.instance_id])["Reservations"][0]["Instances"][0]

    def state(self) -> str:
        return self.describe()["State"]["Name"]

    def wait_for_state(self, state: str, *, timeout_s: float = 60) -> None:
        wait_for(lambda: self.state() == state, f"{self.instance_id} is {state}", timeout_s=timeout_s)

    def place(self, port: int) -> Place:
        with control(self.home) as server:
            found = server.get(f"/instances/{self.instance_id}/reach/{port}")
        return Place(found["public_ip"], found["host_port"])

    def console(self) -> str:
        with control(self.home) as server:
            return server.get_bytes(f"/instances/{self.instance_id}/console").decode(errors="replace")

    def wait_for_console(self, text: str, *, timeout_s: float = 60) -> None:
        wait_for(lambda: text in self.console(), f"the console shows {text!r}", timeout_s=timeout_s)

    def wait_for_ssh(self, *, timeout_s: float = SSH_DEADLINE_S, banner_s: float = BANNER_TIMEOUT_S) -> float:
        """Wait for the banner, then open the connection; return the seconds until the banner.

        OpenSSH makes a process of each try. An emulated one that greets more slowly than `banner_s` never gets to it.
        """
        self.disconnect()
        place = self.place(SSH_PORT)
        begin = time.monotonic()
        wait_for(
            lambda: banner(place, banner_s).startswith(b"SSH-"), f"{self.instance_id} answers", timeout_s=timeout_s
        )
        waited = time.monotonic() - begin
        self._connect(place)
        return waited

    def run(self, command: str, *, user: str = "root", stdin: str | None = None, timeout_s: float = 60) -> str:
        """Return what a command in the guest prints; it must succeed."""
        done = self.try_to_run(command, user=user, stdin=stdin, timeout_s=timeout_s)
        assert done.returncode == 0, f"`{command}`: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def try_to_run(
        self, command: str, *, user: str = "root", stdin: str | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.ssh_command(command, user=user),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def ssh_command(self, command: str, *, user: str = "root") -> list[str]:
        """Return the command line that runs a command in the guest."""
        place = self.place(SSH_PORT)
        shared = [f"-oControlPath={self._connection}"] if user == "root" else []
        return ["ssh", *self._options(), *shared, "-p", str(place.port), f"{user}@{place.address}", command]

    def disconnect(self) -> None:
        """Close the connection that is kept open, if there is one."""
        if self._connection.exists():
            argv = ["ssh", "-o", f"ControlPath={self._connection}", "-O", "exit", "guest"]
            subprocess.run(argv, check=False, capture_output=True, timeout=30)
            self._connection.unlink(missing_ok=True)

    def host_key(self) -> str:
        """Return the public host key that it shows to the network."""
        place = self.place(SSH_PORT)
        argv = ["ssh-keyscan", "-T", "20", "-t", "ed25519", "-p", str(place.port), place.address]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.split()[-1]

    def machine_record(self) -> dict[str, Any]:
        """Return what the driver wrote down of its machine: pid, start_time, argv."""
        record: dict[str, Any] = json.loads((self.home / "machines" / self.instance_id / "machine.json").read_text())
        return record

    def machine_runs(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            record = self.machine_record()
            return process.is_running(record["pid"], record["start_time"])
        return False

    @property
    def _connection(self) -> Path:
        return self.home / "ssh" / self.instance_id

    def _connect(self, place: Place) -> None:
        self._connection.parent.mkdir(mode=0o700, exist_ok=True)
        argv = ["ssh", *self._options(), f"-oControlPath={self._connection}", "-M", "-N", "-f"]
        argv += ["-p", str(place.port), f"root@{place.address}"]
        with (self.home / "ssh.log").open("ab") as log:
            # Not a pipe: what stays in the background would keep it open.
            done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60)
        assert done.returncode == 0, (self.home / "ssh.log").read_text()

    def _options(self) -> Iterator[str]:
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(self.home / "test.pem"),
            "LogLevel": "ERROR",
            "ServerAliveInterval": "5",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        return (f"-o{name}={value}" for name, value in options.items())


def banner(place: Place, timeout_s: float = BANNER_TIMEOUT_S) -> bytes:
    """Return what a port says at once; nothing when it does not answer.

    Asked often and shortly: a lost SYN is sent again only after a second, and then that is what would be measured.
    """
    try:
        with socket.create_connection((place.address, place.port), timeout=timeout_s) as connection:
            return connection.recv(64)
    except OSError:
        return b""


def wait_for(holds: Callable[[], bool], claim: str, *, timeout_s: float = 30, poll_s: float = 0.05) -> None:
    """Wait until something holds; fail with the claim when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"after {timeout_s:g} s it is not so that {claim}"
        time.sleep(poll_s)
