"""CreateImage of a running instance, against `qemu-img convert` of the same disk.

    uv run python bench/create_image.py [--sizes 1 2 8] [--rounds 3]

An instance of the minimal image runs. For each round it gets a new volume whose writable layer holds as many GiB of
data as the row says, then CreateImage (NoReboot) takes all its volumes at one point in time. The clock runs from the
call, by boto3, to the first DescribeImages that says `available`. Then `qemu-img convert` (to qcow2, not compressed)
copies the volume's layer, which is frozen now and holds the same bytes.

The data is written into the volume's file before it is attached, by `qemu-io`, since an emulated guest writes slowly:
a pattern that is not zero, which convert would leave out. It has reached the disk when either clock starts, as after
`sync` in the guest, and is in the page cache, as far as that goes. Converting has the advantage that nothing of its
output need reach the disk (QEMU's default for it), while an image that is `available` is on the disk.

Needs two and a half times the largest size as free disk space below /var/tmp; copies are removed at once. Nothing is
left afterwards, after Ctrl-C neither.
"""

import argparse
import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interrupts import cleaning_up
from real_server import RealServer, host_facts, real_server, wait_for_banner
from rich.console import Console
from rich.table import Table

_CHUNK_MIB: Final = 256
_GIB: Final = 1 << 30
_POLL_S: Final = 0.05
_DEADLINE_S: Final = 60


@dataclass(frozen=True)
class Round:
    """Seconds of one round."""

    image: float
    convert: float


def measure(server: RealServer, instance_id: str, size_gib: int, number: int) -> Round:
    """Attach a new volume full of data, make an image, and copy the same bytes."""
    client = server.client
    zone = client.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]["Placement"]
    volume_id = client.create_volume(AvailabilityZone=zone["AvailabilityZone"], Size=size_gib + 1)["VolumeId"]
    wait_for_volume(server, volume_id, "available")
    (layer,) = (server.home / "volumes" / "layers").glob(f"{volume_id}.*")
    fill(layer, size_gib)
    client.attach_volume(InstanceId=instance_id, VolumeId=volume_id, Device="/dev/sdf")
    wait_for_volume(server, volume_id, "in-use")
    read(layer)

    begin = time.perf_counter()
    image_id = client.create_image(InstanceId=instance_id, Name=f"bench-{size_gib}-{number}", NoReboot=True)["ImageId"]
    while client.describe_images(ImageIds=[image_id])["Images"][0]["State"] != "available":
        pass
    image = time.perf_counter() - begin

    convert = time_of_convert(layer, server.home / "copy.qcow2")
    remove(server, instance_id, image_id, volume_id)
    # What the server's next sweep would do, in an hour; the benchmark would fill the disk meanwhile.
    layer.unlink()
    return Round(image, convert)


def fill(layer: Path, size_gib: int) -> None:
    """Write data into a volume that nobody has open, and bring it to the disk."""
    chunks = range(0, size_gib * 1024, _CHUNK_MIB)
    commands = [argument for at in chunks for argument in ("-c", f"write -q -P 0xa5 {at}M {_CHUNK_MIB}M")]
    subprocess.run(["qemu-io", "-f", "qcow2", *commands, "-c", "flush", str(layer)], check=True)
    if layer.stat().st_blocks * 512 < size_gib * _GIB:
        raise RuntimeError(f"{layer} does not hold {size_gib} GiB")


def read(path: Path) -> None:
    """Read a file into the page cache, as far as it takes it."""
    with path.open("rb", buffering=0) as file:
        piece = bytearray(1 << 20)
        while file.readinto(piece):
            pass


def time_of_convert(layer: Path, copy: Path) -> float:
    """Copy a layer; return the seconds that took. The copy is removed, with what of it waits to be written."""
    try:
        begin = time.perf_counter()
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(layer), str(copy)], check=True)
        return time.perf_counter() - begin
    finally:
        copy.unlink(missing_ok=True)
        os.sync()


def remove(server: RealServer, instance_id: str, image_id: str, volume_id: str) -> None:
    """Remove an image with its snapshots, and a volume."""
    client = server.client
    image = client.describe_images(ImageIds=[image_id])["Images"][0]
    client.deregister_image(ImageId=image_id)
    for device in image["BlockDeviceMappings"]:
        client.delete_snapshot(SnapshotId=device["Ebs"]["SnapshotId"])
    client.detach_volume(InstanceId=instance_id, VolumeId=volume_id, Force=True)
    wait_for_volume(server, volume_id, "available")
    client.delete_volume(VolumeId=volume_id)


def wait_for_volume(server: RealServer, volume_id: str, state: str) -> None:
    """Wait until a volume is in a state."""
    deadline = time.monotonic() + _DEADLINE_S
    while server.client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"] != state:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{volume_id} is not {state}")
        time.sleep(_POLL_S)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 8], help="GiB of data")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = Table("data", title=f"seconds: min / median of {arguments.rounds}", caption=host_facts())
    for column in ("CreateImage to available", "qemu-img convert", "convert / CreateImage"):
        table.add_column(column, justify="right")
    console = Console(stderr=True)
    with real_server() as server:
        instance_id = server.run("t2.micro")
        wait_for_banner(server.ssh(instance_id))
        measure(server, instance_id, 1, 0)  # the first of all loads code
        for size in arguments.sizes:
            rounds = []
            for number in range(1, arguments.rounds + 1):
                rounds.append(measure(server, instance_id, size, number))
                last = rounds[-1]
                console.print(f"{size} GiB: CreateImage {last.image:.3f} s, convert {last.convert:.2f} s")
            images, converts = [it.image for it in rounds], [it.convert for it in rounds]
            medians = statistics.median(images), statistics.median(converts)
            table.add_row(
                f"{size} GiB",
                f"{min(images):.3f} / {medians[0]:.3f}",
                f"{min(converts):.2f} / {medians[1]:.2f}",
                f"{min(converts) / min(images):.0f}x / {medians[1] / medians[0]:.0f}x",
            )
        server.terminate(instance_id)
    Console().print(table)


if __name__ == "__main__":
    with cleaning_up():
        main()
