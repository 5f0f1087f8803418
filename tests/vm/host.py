"""A home with a real server in it, its machines real too, and the way to be rid of all of it again."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
from tests.home_account import own_account
from tests.vm.guest import Guest, wait_for
from tests.vm.server_process import ServerProcess

from bakehouse.drivers import process
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric
from bakehouse.drivers.network.linux.layout import SegmentLayout

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

KEY_NAME = "test"
GROUP_NAME = "ssh"
BAKEHOUSE = (sys.executable, "-m", "bakehouse")


class Host:
    """What the tests of one home share."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server: ServerProcess | None = None
        self._port = free_port()
        self._client: EC2Client | None = None
        self.images: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        """What the server was started with, beside our own environment."""

    def start(self, environment: Mapping[str, str] | None = None) -> bool:
        """Start the server; tell whether it came up."""
        self.environment = dict(environment or {})
        self.server = ServerProcess.start(self.home, f"--port={self._port}", environment=self.environment)
        return self.server.wait_until_up()

    def kill(self) -> None:
        """End the server as `kill -9` does; machines go on."""
        if self.server is not None:
            self.server.kill()

    @property
    def ec2(self) -> "EC2Client":
        if self._client is None:
            config = botocore.config.Config(read_timeout=120, retries={"max_attempts": 0})
            self._client = boto3.client("ec2", **own_account(self.home), config=config)
        return self._client

    def bakehouse(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Bakehouse on this home."""
        argv = [*BAKEHOUSE, *arguments, "--home", str(self.home)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def image(self, recipe: str = "minimal", architecture: str = "x86_64") -> str:
        """Return the id of a built image; the first build of all is kept in the user's cache."""
        kind = f"{recipe} for {architecture}"
        if kind not in self.images:
            self.images[kind] = self.bakehouse("image", "build", recipe, "--arch", architecture).stdout.strip()
        return self.images[kind]

    def image_by_nvme(self) -> str:
        """Return an image whose guests have NVMe disks: of one that is registered nothing is known."""
        image = self.ec2.describe_images(ImageIds=[self.image()])["Images"][0]
        snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        return self.ec2.register_image(
            Name="by NVMe",
            Architecture="x86_64",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}],
        )["ImageId"]

    def guest(self, instance_id: str) -> Guest:
        return Guest(self.home, self.ec2, instance_id)

    def states(self) -> dict[str, str]:
        """Return the state of every instance that the API shows."""
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in self.ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
        }

    def launch(self, image_id: str | None = None, **request: Any) -> Guest:
        """Launch one instance: the smallest, with the test's key and a group that lets SSH in."""
        return self.launch_many(1, image_id, **request)[0]

    def launch_many(self, count: int, image_id: str | None = None, **request: Any) -> list[Guest]:
        wanted = {
            "ImageId": image_id or self.image(),
            "InstanceType": "t2.nano",
            "KeyName": KEY_NAME,
            "SecurityGroups": [GROUP_NAME],
            "MinCount": count,
            "MaxCount": count,
            **request,
        }
        if "SecurityGroupIds" in request:
            del wanted["SecurityGroups"]
        launched = self.ec2.run_instances(**wanted)["Instances"]
        return [self.guest(instance["InstanceId"]) for instance in launched]

    def make_key_and_group(self) -> None:
        """Make what `launch` gives its instances."""
        key_file = self.home / "test.pem"
        key_file.touch(mode=0o600)
        key_file.write_text(self.ec2.create_key_pair(KeyName=KEY_NAME, KeyType="ed25519")["KeyMaterial"] + "\n")
        group_id = self.ec2.create_security_group(GroupName=GROUP_NAME, Description="SSH from everywhere")["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=group_id, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        )

    def clear(self) -> None:
        """Terminate every instance, at once."""
        living = [instance_id for instance_id, state in self.states().items() if state != "terminated"]
        for instance_id in living:
            self.guest(instance_id).disconnect()
        if living:
            self.ec2.terminate_instances(InstanceIds=living, SkipOsShutdown=True)
            wait_for(lambda: {self.states()[it] for it in living} == {"terminated"}, "all are terminated", timeout_s=60)

    def processes(self) -> list[int]:
        """Return whatever runs for this home."""
        return list(_processes_that_name(self.home))

    def remove(self) -> None:
        """End whatever runs for this home, whether or not its server knows of it, and remove it."""
        self.kill()
        for machine in self._machines():
            with contextlib.suppress(ProcessLookupError):
                os.kill(machine, signal.SIGKILL)
        with contextlib.suppress(Exception):  # what is left then, the next lines end
            asyncio.run(self._delete_segments())
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    def _machines(self) -> Iterator[int]:
        """Yield the processes of machines that run."""
        for record in self.home.glob("machines/*/machine.json"):
            with contextlib.suppress(OSError, ValueError):
                machine = json.loads(record.read_text())
                if process.is_running(machine["pid"], machine["start_time"]):
                    yield machine["pid"]

    async def _delete_segments(self) -> None:
        fabric = LinuxNetworkFabric(self.home)
        for vpc_id in SegmentLayout.existing(self.home):
            await fabric.delete_segment(vpc_id)


#: Hosts whose servers run now.
running: list[Host] = []


@contextmanager
def running_host() -> Iterator[Host]:
    """Give a new home with a server that answers; nothing of it is left afterwards, whatever happened."""
    # Short: sockets lie below. Not below pytest's directory, which is closed to the user that machines run as.
    host = Host(Path(tempfile.mkdtemp(prefix="bh-", dir="/var/tmp")))
    running.append(host)
    try:
        assert host.start(), host.server.said() if host.server else ""
        host.make_key_and_group()
        yield host
    finally:
        running.remove(host)
        host.remove()


def keep_evidence(home: Path, target: Path) -> None:
    """Copy what tells why a test failed: consoles, QEMU's words and command lines, the server's and agents' logs."""
    for pattern in (
        "serve.log",
        "ssh.log",
        "machines/*/console.log",
        "machines/*/qemu.log",
        "machines/*/machine.json",
        "segments/*/agent.log",
        "volumes/*/*.json",
    ):
        for file in home.glob(pattern):
            copy = target / file.relative_to(home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):
                shutil.copy(file, copy)


def free_port() -> int:
    """Return a port that nobody has: one that the server keeps over restarts, as a client's endpoint does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _processes_that_name(home: Path) -> Iterator[int]:
    """Yield processes that have the home, or one of its segments, in their command line; not ourselves."""
    marks = [str(home), *(f"/{SegmentLayout(home, vpc_id).tag}/" for vpc_id in SegmentLayout.existing(home))]
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            with contextlib.suppress(OSError):
                command_line = (directory / "cmdline").read_bytes().decode(errors="replace")
                if any(mark in command_line for mark in marks):
                    yield int(directory.name)
