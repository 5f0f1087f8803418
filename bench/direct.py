"""The EBS direct APIs' throughput, against `dd` of the same layer.

    uv run python bench/direct.py [--gib 1] [--connections 8] [--rounds 3] [--sparse-gib 10]

A server in its own process, with real volumes in qcow2 layers; machines and networks are faked, as no request here
needs any. A snapshot is written block by block over several connections, completed (which brings it to the disk),
listed, and read back block by block, as a backup does it. Requests are signed before the clock starts, with the body
left out of the signature, which SDKs do by the service's model; each block has its own checksum all the same, which the
server verifies. Answers are read to their end and not looked at: `tests/system/test_ebs_coldsnap.py` does that.

Beside it, in turns: `dd` of the same bytes into a new file with `conv=fsync`, and `dd` of the finished layer to
/dev/null, with blocks of 512 KiB. What is read is in the page cache on both sides. The sparse row lists and reads a
snapshot of that size of which one block in 64 was written.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import boto3
import botocore.config
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from interrupts import cleaning_up
from keepalive import Connection
from rich.console import Console
from rich.table import Table

from bakehouse.bootstrap.drivers import make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.server import running_server
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.server.listener import serve, tcp_socket
from bakehouse.settings import Settings

BLOCK: Final = 512 << 10
REGION: Final = "us-east-1"
#: Different blocks; the disk is filled with them in turn.
_KINDS: Final = 64
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


async def serve_forever(home: Path) -> None:
    """Be the server: print port and keys, and serve until standard input ends."""
    prepare_home(home)
    settings = Settings(simulate=True)
    volumes = Qcow2VolumeStore(home / "volumes", live=NoLiveDisks(), owner=None)
    drivers = replace(make_drivers(home, settings), volumes=volumes)
    async with running_server(home, settings, drivers=drivers) as server:
        key = await server.app.accounts.create("bench")
        listener = tcp_socket(0)
        print(listener.getsockname()[1], key.id, key.secret, flush=True)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), stop.set)
        await serve(server.endpoint, listener, stop)


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int
    credentials: Credentials
    home: Path

    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        """Return a boto3 client of the EBS direct APIs."""
        return boto3.client(
            "ebs",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=600),
        )

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """Return a signed request as it goes over the wire."""
        signed = AWSRequest(method, f"http://127.0.0.1:{self.port}{path}", headers=headers)
        if body:
            signed.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        SigV4Auth(self.credentials, "ebs", REGION).add_auth(signed)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in signed.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def started() -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bakehouse-bench-") as folder:
        home = Path(folder) / "home"
        words = [sys.executable, __file__, "--serve", str(home)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("pipes were asked for")
            port, key, secret = process.stdout.readline().split()
            try:
                yield Server(process.pid, int(port), Credentials(key, secret), home)
            finally:
                process.stdin.close()
                process.wait(timeout=30)


def send_all(server: Server, requests: Sequence[bytes], connections: int) -> float:
    """Send requests over several connections; return the seconds that it took."""
    failed: list[int] = []

    def work(mine: Sequence[bytes]) -> None:
        connection = Connection(server.port)
        for request in mine:
            connection.ask(request)
            status = connection.hear()
            if status >= 300:
                failed.append(status)
                return

    threads = [threading.Thread(target=work, args=(requests[each::connections],)) for each in range(connections)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(f"the server answered {failed[0]}")
    return time.perf_counter() - begin


class Disk:
    """What is written: blocks in turn."""

    def __init__(self, indexes: Sequence[int], size_gib: int) -> None:
        """Make the blocks."""
        self.indexes = indexes
        self.size_gib = size_gib
        self._kinds = [os.urandom(BLOCK) for _ in range(_KINDS)]
        self._checksums = [b64encode(sha256(kind).digest()).decode() for kind in self._kinds]

    @property
    def mib(self) -> float:
        """Return how much data it has."""
        return len(self.indexes) * BLOCK / (1 << 20)

    def puts(self, server: Server, snapshot_id: str) -> list[bytes]:
        """Return the requests that write it."""
        return [
            server.request(
                "PUT",
                f"/snapshots/{snapshot_id}/blocks/{index}",
                self._kinds[index % _KINDS],
                **{
                    "x-amz-Data-Length": str(BLOCK),
                    "x-amz-Checksum": self._checksums[index % _KINDS],
                    "x-amz-Checksum-Algorithm": "SHA256",
                },
            )
            for index in self.indexes
        ]

    def save(self, path: Path) -> None:
        """Write its blocks into a file, one behind the other."""
        with path.open("wb") as file:
            for index in self.indexes:
                file.write(self._kinds[index % _KINDS])


@dataclass
class Figures:
    """Of one round: MiB per second, and seconds of the server's CPU for each GiB."""

    write: float
    read: float
    list_s: float
    write_cpu: float
    read_cpu: float
    dd_write: float = 0
    dd_read: float = 0


def upload_and_download(server: Server, disk: Disk, connections: int) -> tuple[Figures, str]:
    """Write a snapshot, list it and read it."""
    client = server.client()
    snapshot_id = client.start_snapshot(VolumeSize=disk.size_gib)["SnapshotId"]
    puts = disk.puts(server, snapshot_id)
    cpu = server.cpu_s()
    seconds = send_all(server, puts, connections)
    begin = time.perf_counter()
    client.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=len(disk.indexes))
    written_s, write_cpu = seconds + time.perf_counter() - begin, server.cpu_s() - cpu
    del puts
    begin = time.perf_counter()
    tokens = listed(client, snapshot_id)
    listed_s = time.perf_counter() - begin
    gets = [
        server.request("GET", f"/snapshots/{snapshot_id}/blocks/{index}?blockToken={quote(token, safe='')}")
        for index, token in tokens.items()
    ]
    cpu = server.cpu_s()
    read_s = send_all(server, gets, connections)
    gib = disk.mib / 1024
    figures = Figures(
        write=disk.mib / written_s,
        read=disk.mib / read_s,
        list_s=listed_s,
        write_cpu=write_cpu / gib,
        read_cpu=(server.cpu_s() - cpu) / gib,
    )
    return figures, snapshot_id


def listed(client: Any, snapshot_id: str) -> dict[int, str]:  # noqa: ANN401 - as above
    """Return the tokens of all blocks of a snapshot."""
    tokens: dict[int, str] = {}
    members = {"SnapshotId": snapshot_id, "MaxResults": 10000}
    while True:
        answer = client.list_snapshot_blocks(**members)
        tokens |= {each["BlockIndex"]: each["BlockToken"] for each in answer["Blocks"]}
        if "NextToken" not in answer:
            return tokens
        members["NextToken"] = answer["NextToken"]


def dd(*words: str) -> float:
    """Run dd and return its seconds."""
    begin = time.perf_counter()
    subprocess.run(["dd", "bs=512k", "status=none", *words], check=True)
    return time.perf_counter() - begin


def measure(server: Server, disk: Disk, connections: int) -> Figures:
    """Measure both sides once."""
    figures, snapshot_id = upload_and_download(server, disk, connections)
    source, copy = server.home / "source", server.home / "copy"
    disk.save(source)
    os.sync()
    figures.dd_write = disk.mib / dd(f"if={source}", f"of={copy}", "conv=fsync")
    copy.unlink()
    source.unlink()
    (layer,) = (server.home / "volumes" / "layers").glob(f"{snapshot_id}.*")
    figures.dd_read = disk.mib / dd(f"if={layer}", "of=/dev/null")
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gib", type=int, default=1, help="of data")
    parser.add_argument("--sparse-gib", type=int, default=10, help="size of the sparse disk")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        asyncio.run(serve_forever(arguments.serve))
        return
    per_gib = (1 << 30) // BLOCK
    disks = {
        f"{arguments.gib} GiB of data": Disk(range(arguments.gib * per_gib), arguments.gib),
        f"{arguments.sparse_gib} GiB, sparse": Disk(range(0, arguments.sparse_gib * per_gib, 64), arguments.sparse_gib),
    }
    table = Table("MiB/s", "write", "dd, fsync", "read", "dd", "list, s", "CPU s/GiB, write", "read")
    with cleaning_up(), started() as server:
        for name, disk in disks.items():
            rounds = [measure(server, disk, arguments.connections) for _ in range(arguments.rounds)]
            median = {field: statistics.median(getattr(each, field) for each in rounds) for field in vars(rounds[0])}
            table.add_row(
                name,
                *(f"{median[field]:.0f}" for field in ("write", "dd_write", "read", "dd_read")),
                f"{median['list_s']:.3f}",
                *(f"{median[field]:.2f}" for field in ("write_cpu", "read_cpu")),
            )
    Console().print(table)
    print(f"load {os.getloadavg()[0]:.1f}, medians of {arguments.rounds} rounds, {arguments.connections} connections")


if __name__ == "__main__":
    main()
