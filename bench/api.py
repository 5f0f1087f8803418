"""Requests per second of the API against the emulators, side by side in one run.

    uv run --group bench python bench/api.py [--seconds 2] [--instances 1 100 1000]

Each server runs as its own process. The same client sends the same pre-signed requests over one kept-alive connection;
it reads whole answers and parses nothing, so that it costs little beside any of the servers. Servers take turns within
each row, so that a change in the machine's mood meets all of them. Printed for each row: milliseconds of wall clock and
of server CPU for one request (medians over the rounds), and how many times faster Bakehouse is.

Rows of few records are measured twice: one request after the other, as a single client that waits for each answer sends
them, and by sixteen connections at a time, as many clients do; Bakehouse's changes share a flush then. `floor` is
`floor.py`, an asyncio server that reads nothing of a request and only answers, changes after a flush: asked one at a
time, no durable server of its kind takes less.

Bakehouse runs with `--simulate`: machines are faked, everything else is as always, with signatures verified and every
change on disk before it is acknowledged. moto and ministack keep records in memory and verify nothing.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
from interrupts import cleaning_up
from keepalive import Connection
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import BlockDeviceMappingTypeDef

REGION: Final = "us-east-1"
API_VERSION: Final = "2016-11-15"
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_IMAGES: Final = 10
_AT_A_TIME: Final = 16
_START_DEADLINE_S: Final = 60


@dataclass
class Server:
    """A running server."""

    name: str
    pid: int
    port: int
    access_key: str
    secret_key: str
    image_id: str = ""

    def client(self) -> "EC2Client":
        """Return a boto3 client of it, for setting up."""
        return boto3.client(
            "ec2",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=600),
        )

    def cpu_s(self) -> float:
        """Return the CPU seconds that it and its children have used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    def request(self, action: str, **parameters: str) -> bytes:
        """Return a signed request as it goes over the wire."""
        url = f"http://127.0.0.1:{self.port}/"
        body = urlencode({"Action": action, "Version": API_VERSION, **parameters})
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = botocore.awsrequest.AWSRequest("POST", url, headers=headers, data=body)
        credentials = botocore.credentials.Credentials(self.access_key, self.secret_key)
        botocore.auth.SigV4Auth(credentials, "ec2", REGION).add_auth(request)
        lines = [f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {len(body)}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in request.headers.items()]
        return ("".join(lines) + "\r\n" + body).encode()


@dataclass(frozen=True)
class Cost:
    """What one request costs, in milliseconds."""

    wall: float
    cpu: float


#: Makes a row's requests, which are sent in turns.
Requests = Callable[[Server], list[bytes]]


@dataclass(frozen=True)
class Row:
    """What is measured."""

    name: str
    requests: Requests
    at_a_time: int = 1
    """How many connections have a request under way."""

    def by_many(self) -> "Row":
        """Return the same for many connections at a time."""
        return Row(f"{self.name}, {_AT_A_TIME} at a time", self.requests, _AT_A_TIME)


def measure(server: Server, row: Row, seconds: float) -> Cost:
    """Send requests again and again for some time."""
    connections = [Connection(server.port) for _ in range(row.at_a_time)]
    requests = itertools.cycle(row.requests(server))
    for _ in range(3):
        _send_one_each(server, connections, requests)
    rounds = 0
    cpu, begin = server.cpu_s(), time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds or rounds < 3:
        _send_one_each(server, connections, requests)
        rounds += 1
    count = rounds * row.at_a_time
    return Cost(wall=passed / count * 1e3, cpu=(server.cpu_s() - cpu) / count * 1e3)


def _send_one_each(server: Server, connections: list[Connection], requests: Iterator[bytes]) -> None:
    for connection in connections:
        connection.ask(next(requests))
    for connection in connections:
        status = connection.hear()
        if status != 200:
            raise RuntimeError(f"{server.name} answered {status}")


def compare(servers: list[Server], row: Row, seconds: float, rounds: int) -> dict[str, Cost]:
    """Measure servers in turns and return the median of each."""
    costs: dict[str, list[Cost]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            costs[server.name].append(measure(server, row, seconds / rounds))
    return {
        name: Cost(statistics.median(c.wall for c in found), statistics.median(c.cpu for c in found))
        for name, found in costs.items()
    }


@contextlib.contextmanager
def started(name: str, argv: list[str], port: int, **environment: str) -> Iterator[int]:
    """Run a server for as long as the block lasts, and give its pid once it listens."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            _wait_for(name, port, process)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(name: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_DEADLINE_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start")
        time.sleep(0.05)


def flush_ms(directory: Path) -> float:
    """Return what a flush of 4 KiB takes on a directory's disk: the least that a durable change can."""
    times = []
    with (directory / "flush").open("wb", buffering=0) as file:
        for number in range(101):
            file.seek(0)
            begin = time.perf_counter()
            file.write(bytes([number]) * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def bakehouse(home: Path) -> Iterator[Server]:
    """Run Bakehouse, simulating, with one image."""
    port = free_port()
    argv = [sys.executable, "-m", "bakehouse", "serve", "--simulate", f"--home={home}", f"--port={port}"]
    with started("bakehouse", argv, port) as pid:
        while not (home / "credentials.json").exists():
            time.sleep(0.05)
        credentials = json.loads((home / "credentials.json").read_text())
        server = Server("bakehouse", pid, port, credentials["access_key_id"], credentials["secret_access_key"])
        disk = home / "disk.raw"
        with disk.open("wb") as file:
            file.truncate(1 << 20)
        command = [sys.executable, "-m", "bakehouse", "image", "import", str(disk), "--name", "bench"]
        done = subprocess.run([*command, "--home", str(home)], check=True, capture_output=True, text=True)
        server.image_id = done.stdout.strip()
        yield server


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    """Run moto's server."""
    port = free_port()
    program = str(Path(sys.executable).with_name("moto_server"))
    with started("moto", [program, "-H", "127.0.0.1", "-p", str(port)], port) as pid:
        server = Server("moto", pid, port, "AKIAIOSFODNN7EXAMPLE", "secret")
        server.image_id = server.client().describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        yield server


@contextlib.contextmanager
def ministack() -> Iterator[Server]:
    """Run ministack."""
    port = free_port()
    program = str(Path(sys.executable).with_name("ministack"))
    environment = {"GATEWAY_PORT": str(port), "PORT": str(port), "MINISTACK_PORT": str(port)}
    with started("ministack", [program], port, **environment) as pid:
        yield Server("ministack", pid, port, "AKIAIOSFODNN7EXAMPLE", "secret", "ami-0123456789abcdef0")


@contextlib.contextmanager
def floor(home: Path) -> Iterator[Server]:
    """Run the server that only answers."""
    port = free_port()
    argv = [sys.executable, str(Path(__file__).with_name("floor.py")), str(port), str(home / "floor")]
    with started("floor", argv, port) as pid:
        yield Server("floor", pid, port, "AKIAIOSFODNN7EXAMPLE", "secret")


def make_image(server: Server, instance_id: str, name: str) -> None:
    """Make an image of an instance, or where the server has no CreateImage (ministack), register one like it."""
    client = server.client()
    try:
        client.create_image(InstanceId=instance_id, Name=name, NoReboot=True)
    except botocore.exceptions.ClientError as err:
        if err.response["Error"]["Code"] not in ("InvalidAction", "UnsupportedOperation"):
            raise
        root: BlockDeviceMappingTypeDef = {
            "DeviceName": "/dev/xvda",
            "Ebs": {"SnapshotId": "snap-0123456789abcdef0", "VolumeSize": 1},
        }
        client.register_image(Name=name, RootDeviceName="/dev/xvda", BlockDeviceMappings=[root])


def rows(servers: list[Server], sizes: list[int]) -> Iterator[Row]:
    """Yield each row, having brought the servers, which are all that keep records, to the state it needs."""
    made = 0
    first: dict[str, str] = {}
    for size in sizes:
        for server in servers:
            for count in [100] * ((size - made) // 100) + ([(size - made) % 100] if (size - made) % 100 else []):
                answer = server.client().run_instances(
                    ImageId=server.image_id, InstanceType="t3.micro", MinCount=count, MaxCount=count
                )
                first.setdefault(server.name, answer["Instances"][0]["InstanceId"])
        made = size
        instances = Row(f"DescribeInstances, {size}", lambda server: [server.request("DescribeInstances")])
        yield instances
        if size == sizes[0]:
            yield instances.by_many()
    for server in servers:
        for number in range(_IMAGES):
            make_image(server, first[server.name], f"bench-{number}")
    images = Row(
        f"DescribeImages, own {_IMAGES}",
        lambda server: [server.request("DescribeImages", **{"Owner.1": "self"})],
    )
    yield images
    yield images.by_many()

    def tag(server: Server) -> list[bytes]:
        # Two values in turns: SQLite leaves the disk alone when nothing changes, and that is not to be measured.
        tags = ({"Tag.1.Key": "Name", "Tag.1.Value": value} for value in ("one", "two"))
        resource = {"ResourceId.1": first.get(server.name, "i-0123456789abcdef0")}
        return [server.request("CreateTags", **resource, **it) for it in tags]

    yield Row("CreateTags", tag)
    yield Row("CreateTags", tag).by_many()


def main() -> None:
    """Run all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="for each server and row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--only", nargs="+", choices=["bakehouse", "moto", "ministack", "floor"])
    arguments = parser.parse_args()
    table = Table("one request", title="milliseconds: wall / server CPU")
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bakehouse-bench-")))
        makers: dict[str, Callable[[], Any]] = {
            "bakehouse": lambda: bakehouse(home),
            "moto": moto,
            "ministack": ministack,
            "floor": lambda: floor(home),
        }
        servers = [stack.enter_context(makers[name]()) for name in arguments.only or makers]
        for server in servers:
            table.add_column(server.name, justify="right")
        for server in servers[1:]:
            table.add_column(f"{server.name} / bakehouse", justify="right")
        for row in rows([server for server in servers if server.name != "floor"], arguments.instances):
            costs = compare(servers, row, arguments.seconds, arguments.rounds)
            own = costs[servers[0].name]
            cells = [f"{costs[server.name].wall:.2f} / {costs[server.name].cpu:.2f}" for server in servers]
            ratios = [
                f"{costs[s.name].wall / own.wall:.1f}x / {costs[s.name].cpu / max(own.cpu, 1e-3):.1f}x"
                for s in servers[1:]
            ]
            table.add_row(row.name, *cells, *ratios)
        flush = flush_ms(home)
    facts = [
        f"{len(os.sched_getaffinity(0))} CPUs",
        f"load {os.getloadavg()[0]:.1f}",
        f"a flush {flush:.2f} ms",
        f"Python {sys.version.split()[0]}",
        *(f"{server.name} {version(server.name)}" for server in servers if server.name != "floor"),
        time.strftime("%Y-%m-%d"),
    ]
    table.caption = ", ".join(facts)
    Console(width=140).print(table)


if __name__ == "__main__":
    with cleaning_up():
        main()
