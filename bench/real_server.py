"""A Bakehouse server with real machines and a home of its own, for a benchmark, and nothing left of it afterwards."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.config

from bakehouse.cli.home import control, credentials_of, is_running
from bakehouse.drivers import process
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric
from bakehouse.drivers.network.linux.layout import SegmentLayout

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

KEY_NAME: Final = "bench"
GROUP_NAME: Final = "bench"
_START_DEADLINE_S: Final = 60
_END_DEADLINE_S: Final = 60
_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Place:
    """Where the host reaches a port of a guest."""

    address: str
    port: int


@dataclass(frozen=True)
class RealServer:
    """A running server with the minimal image, a key pair, and a group that lets SSH in."""

    home: Path
    client: "EC2Client"
    image_id: str

    def run(self, instance_type: str) -> str:
        """Launch one instance and return its id."""
        answer = self.client.run_instances(
            ImageId=self.image_id,
            InstanceType=instance_type,  # type: ignore[arg-type] # any of its names
            KeyName=KEY_NAME,
            SecurityGroups=[GROUP_NAME],
            MinCount=1,
            MaxCount=1,
        )
        return answer["Instances"][0]["InstanceId"]

    def ssh(self, instance_id: str) -> Place:
        """Return where the host reaches an instance's SSH server."""
        with control(self.home) as server:
            found = server.get(f"/instances/{instance_id}/reach/22")
        return Place(found["public_ip"], found["host_port"])

    def machine_record(self, instance_id: str) -> dict[str, Any]:
        """Return what the server wrote down of an instance's QEMU: pid, start_time, argv."""
        record: dict[str, Any] = json.loads((self.home / "machines" / instance_id / "machine.json").read_text())
        return record

    def terminate(self, instance_id: str) -> None:
        """Terminate an instance without asking its guest, and wait until it is gone."""
        self.client.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
        deadline = time.monotonic() + _END_DEADLINE_S
        while True:
            found = self.client.describe_instances(InstanceIds=[instance_id])["Reservations"]
            if found[0]["Instances"][0]["State"]["Name"] == "terminated":
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{instance_id} does not end")
            time.sleep(_POLL_S)


@contextlib.contextmanager
def real_server(
    architecture: str = "x86_64", *, program: tuple[str, ...] = ("-m", "bakehouse")
) -> Iterator[RealServer]:
    """Run a server for as long as the block lasts; its machines, networks and files go with it.

    `program` is what Python runs: Bakehouse, or something that changes it before.
    """
    with home() as path, (path / "serve.log").open("wb") as log:
        argv = [sys.executable, *program, "serve", f"--home={path}", "--port=0"]
        # Its own session: Ctrl-C ends the benchmark, which then ends the server when the machines are gone.
        server = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until_up(path, server)
            yield _prepared(path, architecture)
        finally:
            server.terminate()
            server.wait()
            _kill_machines(path)


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """Give a new home, and remove it with its networks. Short: sockets lie in it, and QEMU's user must get to it."""
    path = Path(tempfile.mkdtemp(prefix="bh-bench-", dir="/var/tmp"))
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield path
    finally:
        try:
            asyncio.run(_delete_segments(path))
        finally:
            shutil.rmtree(path, ignore_errors=True)


def wait_for_banner(place: Place, *, deadline_s: float = 120, given_up: threading.Event | None = None) -> None:
    """Return when an SSH server has said its name, or somebody gave up.

    Tried again every quarter of a second, since a lost SYN is otherwise sent again after a second, and then that is
    what would be measured. Whoever accepts has the time that an emulated guest takes to begin.
    """
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline and not (given_up and given_up.is_set()):
        with contextlib.suppress(OSError), socket.create_connection((place.address, place.port), 0.25) as connection:
            connection.settimeout(10)
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.005)
    if not (given_up and given_up.is_set()):
        raise TimeoutError(f"no SSH at {place.address}:{place.port}")


def host_facts() -> str:
    """Describe the host and the versions in one line, for the table's title."""
    qemu = subprocess.run(["qemu-img", "--version"], check=True, capture_output=True, text=True).stdout
    version = qemu.split()[2]
    cpus = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{cpus} CPUs, load {load:.1f}, QEMU {version}, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}"


def _wait_until_up(path: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_DEADLINE_S
    while not ((path / "control.sock").exists() and (path / "credentials.json").exists() and is_running(path)):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start: " + (path / "serve.log").read_text(errors="replace"))
        time.sleep(_POLL_S)


def _prepared(path: Path, architecture: str) -> RealServer:
    credentials = credentials_of(path)
    client = boto3.client(
        "ec2",
        endpoint_url=credentials["endpoint_url"],
        region_name=credentials["region"],
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=120),
    )
    client.create_key_pair(KeyName=KEY_NAME, KeyType="ed25519")
    group_id = client.create_security_group(GroupName=GROUP_NAME, Description="SSH")["GroupId"]
    client.authorize_security_group_ingress(
        GroupId=group_id, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    build = ["image", "build", "minimal", "--arch", architecture]
    command = [sys.executable, "-m", "bakehouse", *build, f"--home={path}"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return RealServer(path, client, built.stdout.strip())


def _kill_machines(path: Path) -> None:
    for record in path.glob("machines/*/machine.json"):
        machine = json.loads(record.read_text())
        if process.is_running(machine["pid"], machine["start_time"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(machine["pid"], signal.SIGKILL)


async def _delete_segments(path: Path) -> None:
    fabric = LinuxNetworkFabric(path)
    for vpc_id in SegmentLayout.existing(path):
        await fabric.delete_segment(vpc_id)
    await fabric.close()
