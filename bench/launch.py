"""RunInstances call to SSH banner, against the same image started by hand with the same QEMU arguments.

    uv run python bench/launch.py [--rounds 5] [--arch x86_64] [--type t2.micro]

Side A: a real server with a home of its own; the clock runs from the call of RunInstances by boto3 to the first bytes
of the guest's SSH server, at the instance's public address.

Side B, by hand: QEMU with the arguments that side A's machine had, on a new overlay over the same layer. Everything
that can be ready beforehand is ready before the clock starts: a network segment with the interface plugged and its tap
open, DHCP, and the metadata service with the same instance, key and groups. The clock runs from the start of QEMU. What
`qemu-img create` took for the overlay is told apart, and not counted.

The sides take turns, so that a change in the host's mood meets both. One pair before the first warms the page cache.
Runs as root or not; needs what `bakehouse serve` needs. Nothing is left afterwards, after Ctrl-C neither.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from interrupts import cleaning_up
from real_server import Place, RealServer, home, host_facts, real_server, wait_for_banner
from rich.console import Console
from rich.table import Table

from bakehouse.bootstrap.drivers import machine_user
from bakehouse.domain.instance_metadata import InstanceMetadata, InterfaceMetadata
from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers.hypervisor.qemu.firmware import find
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric
from bakehouse.imds.service import MetadataService
from bakehouse.sagas.machine import interfaces_of
from bakehouse.sagas.segment import group_spec, interface_spec
from bakehouse.sagas.segment_description import segment_spec
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.store import Store

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_GIB: Final = 1 << 30

#: Architecture -> the type that is launched unless another is asked for.
TYPES: Final = {"x86_64": "t2.micro", "i386": "t2.micro", "arm64": "t4g.micro"}

#: UEFI's variable store of the machine that is started by hand.
VARIABLES: Final = "uefi.vars"


@dataclass(frozen=True)
class Launch:
    """Side A's times in seconds, from the call."""

    banner: float
    call: float
    """When RunInstances had answered."""
    qemu: float
    """When QEMU's process began, to 10 ms."""
    cpu: float
    """Processor time that QEMU used until the banner."""


@dataclass(frozen=True)
class ByHand:
    """Side B's times in seconds."""

    banner: float
    """From the start of QEMU."""
    overlay: float
    """What `qemu-img create` took."""
    cpu: float
    """Processor time that QEMU used until the banner."""


@dataclass(frozen=True)
class Recipe:
    """What side B needs to do as side A did: the command line and the records."""

    argv: tuple[str, ...]
    metadata: InstanceMetadata
    store: Store


def launch(server: RealServer, instance_type: str) -> tuple[Launch, str]:
    """Launch an instance and wait for its SSH server."""
    began_since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    began = time.perf_counter()
    instance_id = server.run(instance_type)
    called = time.perf_counter() - began
    wait_for_banner(server.ssh(instance_id))
    banner = time.perf_counter() - began
    machine = server.machine_record(instance_id)
    qemu = machine["start_time"] / _TICKS_PER_S - began_since_boot
    return Launch(banner, called, qemu, cpu_s(machine["pid"])), instance_id


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


@contextlib.contextmanager
def recipe_of(server: RealServer, instance_id: str) -> Iterator[Recipe]:
    """Read how side A did it, beside the server, which has its database open."""
    store = Store(Database(sqlite_url(server.home / "bakehouse.db")))
    try:
        instance = store.instances[instance_id]
        (interface,) = interfaces_of(store, instance_id)
        place = InterfaceMetadata(
            interface=interface,
            vpc=store.vpcs[interface.vpc_id],
            subnet=store.subnets[interface.subnet_id],
            groups=tuple(store.security_groups[group_id] for group_id in interface.group_ids),
        )
        metadata = InstanceMetadata(instance=instance, interfaces=(place,))
        yield Recipe(tuple(server.machine_record(instance_id)["argv"]), metadata, store)
    finally:
        store.close()


@contextlib.asynccontextmanager
async def network(recipe: Recipe, path: Path) -> AsyncIterator[tuple[int, Place]]:
    """Give a tap's descriptor and where SSH will be, in a segment like side A's with its metadata service."""
    fabric = LinuxNetworkFabric(path)
    metadata = MetadataService(
        lookup=lambda _vpc_id, _address: recipe.metadata, now=lambda: datetime.now(UTC), secret=os.urandom(32)
    )
    interface = recipe.metadata.interface
    vpc_id, public_ip = interface.vpc_id, str(public_pool(path)[10])
    try:
        await fabric.ensure_segment(segment_spec(recipe.store, vpc_id))
        for group in recipe.metadata.groups:
            await fabric.apply_group(group_spec(recipe.store, group))
        await metadata.open(vpc_id, await fabric.metadata_socket(vpc_id))
        await fabric.plug(replace(interface_spec(recipe.store, interface), public_ip=public_ip))
        tap = (await fabric.connect(interface.id)).fd
        try:
            reachable = await fabric.reachable_at(public_ip, 22)
            yield tap, Place(reachable.public_ip, reachable.host_port)
        finally:
            os.close(tap)
            await fabric.unplug(vpc_id, interface.id)
    finally:
        await metadata.close_all()
        await fabric.close()


def by_hand_arguments(argv: tuple[str, ...], directory: Path, overlay: Path, tap: int) -> list[str]:
    """Return the same command line with files and sockets of our own in place of inherited descriptors."""
    text = "\n".join(argv)
    text = re.sub(r"-add-fd\nfd=\d+,set=\d+\n", "", text)
    text = re.sub(r"socket,id=(\w+),fd=\d+", rf"socket,id=\1,path={directory}/\1.sock", text)
    text = text.replace("/dev/fdset/1", str(directory / "console.log"))
    text = text.replace("/dev/fdset/2", str(directory / VARIABLES))
    text = re.sub(r"(tap,id=[\w-]+),fd=\d+", rf"\1,fd={tap}", text)
    arguments = text.split("\n")
    for position, argument in enumerate(arguments):
        # Those of the firmware have names of their own.
        if arguments[position - 1] == "-blockdev" and '"node-name":"vol' in argument:
            arguments[position] = json.dumps(_with_file(json.loads(argument), overlay), separators=(",", ":"))
    return arguments


def _with_file(node: dict[str, object], overlay: Path) -> dict[str, object]:
    return {
        key: _with_file(value, overlay) if isinstance(value, dict) else str(overlay) if key == "filename" else value
        for key, value in node.items()
    }


def make_overlay(server: RealServer, overlay: Path) -> float:
    """Make a disk over the image's layer; return the seconds it took. No instance of the image may be launched now."""
    (layer,) = (server.home / "volumes" / "layers").glob("snap-*")
    begin = time.perf_counter()
    over = ["-u", "-b", str(layer), "-F", layer.suffix.removeprefix(".")]
    size = _root_size(server)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *over, str(overlay), str(size)], check=True)
    return time.perf_counter() - begin


def _root_size(server: RealServer) -> int:
    image = server.client.describe_images(ImageIds=[server.image_id])["Images"][0]
    return image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] * _GIB


async def start_by_hand(server: RealServer, recipe: Recipe, path: Path, number: int) -> ByHand:
    """Start QEMU as a person would who has everything at hand, and wait for the guest's SSH server."""
    directory = path / f"machine-{number}"
    directory.mkdir(mode=0o700)
    overlay = directory / "root.qcow2"
    made = make_overlay(server, overlay)
    firmware = find(PLATFORMS[recipe.metadata.instance.architecture])
    if firmware is not None:
        shutil.copyfile(firmware.variables, directory / VARIABLES)
    user = machine_user()
    if user is not None:
        for file in (directory, *directory.iterdir()):
            os.chown(file, user.uid, user.gid)
    async with network(recipe, path) as (tap, place):
        arguments = by_hand_arguments(recipe.argv, directory, overlay, tap)
        given_up = threading.Event()
        begin = time.perf_counter()
        qemu = subprocess.Popen(  # noqa: ASYNC220 - what is measured
            arguments,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(tap,),
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else user.groups,
        )
        try:
            # In a thread: this loop answers the guest's questions about itself.
            await asyncio.to_thread(wait_for_banner, place, given_up=given_up)
            return ByHand(time.perf_counter() - begin, made, cpu_s(qemu.pid))
        finally:
            given_up.set()
            qemu.kill()
            qemu.wait()


def take_turns(server: RealServer, path: Path, instance_type: str, rounds: int) -> tuple[list[Launch], list[ByHand]]:
    """Measure the sides in turns, after one pair that does not count."""
    launches: list[Launch] = []
    by_hand: list[ByHand] = []
    console = Console(stderr=True)
    for number in range(rounds + 1):
        launched, instance_id = launch(server, instance_type)
        with recipe_of(server, instance_id) as recipe:
            server.terminate(instance_id)
            started = asyncio.run(start_by_hand(server, recipe, path, number))
        name = f"round {number}" if number else "warming up"
        console.print(f"{name}: RunInstances {launched.banner:.2f} s, by hand {started.banner:.2f} s")
        if number:
            launches.append(launched)
            by_hand.append(started)
    return launches, by_hand


def report(launches: list[Launch], by_hand: list[ByHand], instance_type: str) -> Table:
    """Return the table of results."""
    table = Table("seconds", "min", "median", title=f"{instance_type}, minimal image, {len(launches)} rounds")
    table.caption = host_facts()
    mine, theirs = [it.banner for it in launches], [it.banner for it in by_hand]
    for name, values in (
        ("A: RunInstances to SSH banner", mine),
        ("   of it: until QEMU began", [it.qemu for it in launches]),
        ("   of it: until RunInstances answered", [it.call for it in launches]),
        ("   of it: from QEMU's begin to the banner", [it.banner - it.qemu for it in launches]),
        ("   QEMU's processor time until then", [it.cpu for it in launches]),
        ("B: by hand, QEMU to SSH banner", theirs),
        ("   QEMU's processor time until then", [it.cpu for it in by_hand]),
        ("   not in it: qemu-img create", [it.overlay for it in by_hand]),
    ):
        table.add_row(name, f"{min(values):.3f}", f"{statistics.median(values):.3f}")
    table.add_section()
    medians = statistics.median(mine), statistics.median(theirs)
    table.add_row("A - B", f"{min(mine) - min(theirs):+.3f}", f"{medians[0] - medians[1]:+.3f}")
    table.add_row("A / B", f"{min(mine) / min(theirs):.3f}", f"{medians[0] / medians[1]:.3f}")
    return table


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arch", default="x86_64", choices=TYPES, help="what the machine is (default x86_64)")
    parser.add_argument("--type", help="instance type (default t2.micro, for arm64 t4g.micro)")
    arguments = parser.parse_args()
    instance_type = arguments.type or TYPES[arguments.arch]
    with real_server(arguments.arch) as server, home() as path:
        launches, by_hand = take_turns(server, path, instance_type, arguments.rounds)
    Console().print(report(launches, by_hand, f"{instance_type} ({arguments.arch})"))


if __name__ == "__main__":
    with cleaning_up():
        main()
