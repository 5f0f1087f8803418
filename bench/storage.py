"""A volume's speed in its guest at several depths of its chain, against a raw file; and how long a hot attach takes.

    uv run python bench/storage.py [--depths 1 8 32] [--only layers merged flattened] [--rounds 5]

Side A: an instance of the minimal image on a real server, with a volume of 1 GiB attached to it whose 256 MiB of data
lie in as many layers as the row says: each snapshot is followed by writes to 8 MiB of it in pieces of 64 KiB here and
there. The server's background merge is held back until the chain was measured, and let go for another like it; of a
third the data are put in order in one file, by `bakehouse storage flatten`. Reads come before writes, which change the
chain. Side B: QEMU started by hand with the same arguments and a raw file of the same size in the place of the volume;
a quarter of the file is full of data, the rest is a hole, as `qemu-img create -f raw` leaves it. Both guests run all
the time; the sides take turns, workload by workload. A row has the medians of both, and the median of the ratios of the
single turns, with the least and the largest.

`storage_guest.c` reads and writes past the guest's page cache, one request at a time: 4 KiB each at random, and 1 MiB
each in order. Layers and file are in the host's page cache. "First" writes go to places that have no room on the host's
disk yet: side A's are behind a snapshot, each to a place that the new top does not hold; side B's go into the hole,
which is made anew at the same time. The same places are written once more for "again". The rows "first / written
before" compare the same first writes of side A with side B's to the part that is full of data: places that have had
their room on the disk, and their pages in the host's cache, all along.

A hot attach is measured from the call of AttachVolume, by boto3, until a program that waits in the guest has read the
first 4 KiB of the disk and its word has come over SSH.

Needs a C compiler, an SSH client, and what `bakehouse serve` needs. Nothing is left afterwards, after Ctrl-C neither.
"""

import argparse
import asyncio
import contextlib
import json
import mmap
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from interrupts import cleaning_up
from launch import Recipe, by_hand_arguments, make_overlay, network, recipe_of
from real_server import GROUP_NAME, Place, RealServer, home, host_facts, real_server
from rich.console import Console
from rich.table import Table
from storage_guests import DATA, DEADLINE_S, DISK, HELPER, HOLE, WORKLOADS, Guest

from bakehouse.__main__ import main as bakehouse
from bakehouse.bootstrap.drivers import machine_user
from bakehouse.drivers.hypervisor.qemu import block_nodes
from bakehouse.ports.hypervisor import DiskBus
from bakehouse.reconcile.host_storage import HostStorage

_MIB: Final = 1 << 20
_CLUSTER: Final = 64 << 10
#: What is written to after each snapshot.
_CHANGED: Final = 8 * _MIB
_VOLUME_GIB: Final = 1
#: Chains that are longer the server merges.
_MERGED: Final = 12
_KEY: Final = "storage"
_POLL_S: Final = 0.02
#: What is done to a volume before it is measured.
_STATES: Final = ("layers", "merged", "flattened")
#: Of the row that compares first writes with side B's writes to places that were written before.
_WRITTEN_BEFORE: Final = " / written before"
#: Of the host's memory, for the pages of both sides' files that first writes fill.
_AT_HAND: Final = 1 << 30
#: Of what is printed, so that no row breaks.
_WIDTH: Final = 120


class Volumes:
    """Volumes of side A: made with a chain, attached, merged."""

    def __init__(self, server: RealServer, instance_id: str, guest: Guest) -> None:
        self._server = server
        self._instance_id = instance_id
        self._guest = guest
        found = server.client.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        self._zone = found["Placement"]["AvailabilityZone"]

    def make(self, depth: int) -> str:
        """Make a volume whose data lie in so many layers."""
        client = self._server.client
        volume_id = client.create_volume(AvailabilityZone=self._zone, Size=_VOLUME_GIB)["VolumeId"]
        self.wait_for(volume_id, "available")
        if depth:
            write(self._top(volume_id), range(0, DATA, _CHANGED), _CHANGED)
        for number in range(1, depth):
            snapshot_id = client.create_snapshot(VolumeId=volume_id)["SnapshotId"]
            client.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
            places = random.Random(number).sample(range(0, DATA, _CLUSTER), _CHANGED // _CLUSTER)  # noqa: S311 - places
            write(self._top(volume_id), places, _CLUSTER)
        return volume_id

    def attach(self, volume_id: str) -> float:
        """Attach a volume; return the seconds until the guest had read of it."""
        waiting = subprocess.Popen(
            self._guest.command(f"echo; {HELPER} {DISK} wait"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        with waiting:
            if waiting.stdout is None:
                raise RuntimeError("there is no pipe")
            waiting.stdout.readline()
            begin = time.perf_counter()
            self._server.client.attach_volume(InstanceId=self._instance_id, VolumeId=volume_id, Device="/dev/sdf")
            waiting.stdout.readline()
            return time.perf_counter() - begin

    def remove(self, volume_id: str) -> None:
        """Take a volume out of the guest and delete it with its snapshots."""
        client = self._server.client
        client.detach_volume(VolumeId=volume_id)
        self.wait_for(volume_id, "available")
        client.delete_volume(VolumeId=volume_id)
        mine = client.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume_id]}])["Snapshots"]
        for snapshot in mine:
            client.delete_snapshot(SnapshotId=snapshot["SnapshotId"])

    def snapshot(self, volume_id: str) -> None:
        """Take a snapshot while the guest runs, so that the next writes are first ones."""
        snapshot_id = self._server.client.create_snapshot(VolumeId=volume_id)["SnapshotId"]
        self._server.client.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})

    def depth(self, volume_id: str) -> int:
        """Return through how many files the machine reads the volume."""
        pid = self._server.machine_record(self._instance_id)["pid"]
        links = set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.add(str(link.readlink()))
        return sum(f"/layers/{volume_id}." in name for name in links)

    def merge(self, volume_id: str) -> None:
        """Let the server merge layers until the machine reads the volume through few, and hold it back again."""
        held = self._server.home / HELD
        held.unlink()
        deadline = time.monotonic() + DEADLINE_S
        while self.depth(volume_id) > _MERGED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{volume_id} is not merged")
            time.sleep(_POLL_S)
        held.touch()

    def flatten(self, volume_id: str) -> None:
        """Let the server put the data in order, in one file."""
        words = ["bakehouse", "storage", "flatten", volume_id, "--home", str(self._server.home)]
        subprocess.run([sys.executable, "-m", *words], check=True, stderr=subprocess.DEVNULL, timeout=DEADLINE_S)

    def wait_for(self, volume_id: str, state: str) -> None:
        """Wait until a volume is in a state."""
        deadline = time.monotonic() + DEADLINE_S
        while self._server.client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"] != state:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{volume_id} is not {state}")
            time.sleep(_POLL_S)

    def _top(self, volume_id: str) -> Path:
        layers = (self._server.home / "volumes" / "layers").glob(f"{volume_id}.*.qcow2")
        return max(layers, key=lambda path: int(path.name.split(".")[1]))


def write(top: Path, places: "range | list[int]", size: int) -> None:
    """Write data into a volume that nobody has open."""
    commands = [argument for at in places for argument in ("-c", f"write -q -P 0xa5 {at} {size}")]
    subprocess.run(["qemu-io", "-f", "qcow2", *commands, "-c", "flush", str(top)], check=True)


#: While this file is in the home, `serve_held` merges nothing.
HELD: Final = "merging-is-held"


def serve_held() -> None:
    """Be the server, which merges only while nobody holds it back, and then looks for work ten times a second."""
    (path,) = (Path(it.removeprefix("--home=")) for it in sys.argv if it.startswith("--home="))
    (path / HELD).touch()

    async def tend_forever(storage: HostStorage, _period_s: float) -> None:
        while True:
            if (path / HELD).exists() or await storage._tend() is None:  # noqa: SLF001 - its own loop, but for the waits
                await asyncio.sleep(0.1)

    HostStorage.tend_forever = tend_forever  # type: ignore[assignment, method-assign]
    bakehouse()


def compiled(folder: Path) -> bytes:
    """Return the program that runs in the guests."""
    source, program = Path(__file__).with_name("storage_guest.c"), folder / "storage_guest"
    flags = ["-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]
    subprocess.run(["cc", *flags, "-o", str(program), str(source)], check=True)
    return program.read_bytes()


def launched(server: RealServer, folder: Path) -> str:
    """Launch side A's instance with a key of our own, and return its id."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    server.client.import_key_pair(KeyName=_KEY, PublicKeyMaterial=(folder / "key.pub").read_bytes())
    answer = server.client.run_instances(
        ImageId=server.image_id,
        InstanceType="t2.micro",
        KeyName=_KEY,
        SecurityGroups=[GROUP_NAME],
        MinCount=1,
        MaxCount=1,
    )
    return answer["Instances"][0]["InstanceId"]


def raw_beside(overlay: Path) -> Path:
    """Return the path of side B's raw file."""
    return overlay.with_name("data.raw")


@contextlib.asynccontextmanager
async def by_hand(recipe: Recipe, path: Path, overlay: Path) -> AsyncIterator[Place]:
    """Run side B: the same command line, and a raw file in the first free port."""
    raw = raw_beside(overlay)
    with raw.open("wb") as file:
        for _ in range(DATA // _MIB):
            file.write(b"\xa5" * _MIB)
        file.truncate(_VOLUME_GIB << 30)
    user = machine_user()
    if user is not None:
        for file_path in (overlay.parent, overlay, raw):
            os.chown(file_path, user.uid, user.gid)
    async with network(recipe, path) as (tap, place):
        name = block_nodes.NodeName("vol-0", 0)
        arguments = [
            *by_hand_arguments(recipe.argv, overlay.parent, overlay, tap),
            "-blockdev",
            json.dumps(block_nodes.node_options(name, raw, "raw", flush=True)),
            "-device",
            json.dumps(block_nodes.disk_options(1, name, DiskBus.VIRTIO)),
        ]
        qemu = subprocess.Popen(  # noqa: ASYNC220 - it is what is compared with
            arguments,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(tap,),
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else user.groups,
        )
        try:
            yield place
        finally:
            qemu.kill()
            qemu.wait()


@dataclass(frozen=True)
class Row:
    """A volume in one state: what both sides reached, by workload, once for each round."""

    title: str
    ours: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    theirs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def turn(self, name: str, ours: Guest, theirs: Guest) -> None:
        """Measure both sides once; who begins changes each time."""
        is_write = WORKLOADS[name][0] == "write"
        sides = [(self.ours, ours, 0), (self.theirs, theirs, HOLE if is_write else 0)]
        for rates, guest, start in sides if len(self.ours[name]) % 2 else sides[::-1]:
            rates[name].append(guest.rate(name, start))
        if name.endswith("first"):
            self.ours[name + _WRITTEN_BEFORE].append(self.ours[name][-1])
            self.theirs[name + _WRITTEN_BEFORE].append(theirs.rate(name))


def prepare_first_writes(raw: Path) -> None:
    """Make side B's hole anew, and let first writes of both sides find the host's disk quiet and its memory at hand.

    A host that is a virtual machine itself may have given its free memory back to its own host (free page reporting);
    to touch it again was measured at 290 MiB/s, five times slower than other memory. What was just freed is at hand.
    """
    subprocess.run(["fallocate", "--punch-hole", f"--offset={HOLE}", f"--length={DATA}", str(raw)], check=True)
    os.sync()
    mmap.mmap(-1, _AT_HAND, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def measured(title: str, volume_id: str, volumes: Volumes, ours: Guest, theirs: Guest, rounds: int, raw: Path) -> Row:
    """Measure both sides in turns: all reads of the chain as it is, then the writes, first ones behind a snapshot."""
    row = Row(f"{title}: {volumes.depth(volume_id)} files")
    reads = [name for name, (kind, *_) in WORKLOADS.items() if kind == "read"]
    writes = [name for name in WORKLOADS if name not in reads]
    for _ in range(rounds):
        for name in reads:
            row.turn(name, ours, theirs)
    for _ in range(rounds):
        for name in writes:
            if name.endswith("first"):
                volumes.snapshot(volume_id)
                prepare_first_writes(raw)
            row.turn(name, ours, theirs)
    Console(stderr=True).print(f"{row.title}: measured")
    return row


def measure(
    volumes: Volumes, ours: Guest, theirs: Guest, raw: Path, asked: argparse.Namespace
) -> tuple[list[Row], list[float]]:
    """Return the rows, and the seconds of each hot attach."""
    attaches, rows = [], []
    for number in range(asked.rounds + 1):
        volume_id = volumes.make(0)
        took = volumes.attach(volume_id)
        volumes.remove(volume_id)
        if number:  # the first of all loads code
            attaches.append(took)
    for name in WORKLOADS:
        theirs.rate(name)
    changes = {"merged": volumes.merge, "flattened": volumes.flatten}
    for depth in asked.depths:
        for state in asked.only:
            if depth < {"layers": 1, "merged": _MERGED, "flattened": 2}[state]:
                continue
            volume_id = volumes.make(depth)
            attaches.append(volumes.attach(volume_id))
            title = f"{depth} layers"
            if state in changes:
                volumes.snapshot(volume_id)
                changes[state](volume_id)
                title = f"{title}, {state}"
            rows.append(measured(title, volume_id, volumes, ours, theirs, asked.rounds, raw))
            volumes.remove(volume_id)
    return rows, attaches


def report(rows: list[Row], attaches: list[float]) -> Iterator[Table]:
    """Return the tables."""
    for row in rows:
        table = Table(
            row.title, "volume, requests/s", "raw file", "volume / raw file", "least to most", caption=host_facts()
        )
        for name in row.ours:
            ours, theirs = statistics.median(row.ours[name]), statistics.median(row.theirs[name])
            ratios = [ours / theirs for ours, theirs in zip(row.ours[name], row.theirs[name], strict=True)]
            spread = f"{min(ratios):.0%} to {max(ratios):.0%}"
            table.add_row(name, f"{ours:.0f}", f"{theirs:.0f}", f"{statistics.median(ratios):.0%}", spread)
        yield table
    times = Table("AttachVolume to usable disk", "min", "median", "max")
    milliseconds = [1000 * it for it in attaches]
    cells = [f"{f(milliseconds):.0f} ms" for f in (min, statistics.median, max)]
    times.add_row(f"{len(attaches)} times", *cells)
    yield times


async def compare(server: RealServer, path: Path, asked: argparse.Namespace) -> tuple[list[Row], list[float]]:
    """Run both sides, and measure."""
    program = compiled(path)
    directory = path / "machine"
    directory.mkdir(mode=0o700)
    make_overlay(server, directory / "root.qcow2")
    instance_id = launched(server, path)
    ours = Guest(server.ssh(instance_id), path, "a")
    with recipe_of(server, instance_id) as recipe:
        async with by_hand(recipe, path, directory / "root.qcow2") as place:
            theirs = Guest(place, path, "b")
            # In threads: this loop answers the guest's questions about itself.
            for guest in (ours, theirs):
                await asyncio.to_thread(guest.receive, program)
            volumes = Volumes(server, instance_id, ours)
            raw = raw_beside(directory / "root.qcow2")
            found = await asyncio.to_thread(measure, volumes, ours, theirs, raw, asked)
            for guest in (ours, theirs):
                await asyncio.to_thread(guest.leave)
    server.terminate(instance_id)
    return found


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 8, 32], help="layers of the volumes")
    parser.add_argument("--only", choices=_STATES, nargs="+", default=_STATES, help="what is done to volumes before")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with real_server(program=(__file__,)) as server, home() as path:
        rows, attaches = asyncio.run(compare(server, path, arguments))
    for table in report(rows, attaches):
        Console(width=_WIDTH).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve_held()
    else:
        with cleaning_up():
            main()
