"""What a guest was promised is in every later snapshot, whoever was killed meanwhile, and nothing else is.

A guest writes numbered records to a file system, each brought to the disk before the next, and tells of each. Fifty
snapshots are cut of the volume while it does, and its machine is killed in between. Each snapshot is then read from
outside of a guest: its file system is sound, and its records are the first so many, all that it told of among them.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host, running_host

from bakehouse.drivers.volumes.qcow2.run_choice import MAX_DEPTH

pytestmark = [
    pytest.mark.vm,
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
    pytest.mark.skipif(shutil.which("e2fsck") is None, reason="e2fsck is not installed"),
]

SNAPSHOTS = 50
KILLS_AFTER = (17, 34)
RECORD_BYTES = 64
DEVICE = "/dev/nvme1n1"

WRITER = f"""
n=$1
while :; do
  sum=$(echo $n | md5sum)
  printf '%020d %-42s\\n' $n "${{sum%% *}}" |
    dd of=/data/log bs={RECORD_BYTES} seek=$n conv=notrunc,fsync 2> /dev/null || exit
  echo $n
  n=$((n + 1))
done
"""


@dataclass
class Writer:
    """The guest's program, and how far it says it is."""

    guest: Guest
    said: Path

    def promised(self) -> int:
        """Return the number of records that are on the disk for sure."""
        numbers = re.findall(rb"(\d+)\n", self.said.read_bytes()[-200:])
        return int(numbers[-1]) + 1 if numbers else 0

    @contextmanager
    def running(self, first: int) -> Iterator[None]:
        """Let it write on from a record; when the block ends, it has ended too."""
        with self.said.open("ab") as output:
            command = self.guest.ssh_command(f"sh /root/writer {first}")
            program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)
            try:
                yield
            finally:
                program.kill()
                program.wait()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A server of this test's own: its machine is killed."""
    with running_host() as made:
        yield made


def volume_of(host: Host, guest: Guest, scratch: Path) -> str:
    """Attach a volume with a file system that has a journal: the guest itself could make none."""
    empty = scratch / "ext4.raw"
    with empty.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", empty], check=True)
    image_id = host.bakehouse("image", "import", str(empty), "--name", "ext4").stdout.strip()
    (image,) = host.ec2.describe_images(ImageIds=[image_id])["Images"]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    made = host.ec2.create_volume(AvailabilityZone=zone, SnapshotId=snapshot_id)["VolumeId"]
    host.ec2.get_waiter("volume_available").wait(VolumeIds=[made], WaiterConfig={"Delay": 1})
    host.ec2.attach_volume(VolumeId=made, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(lambda: guest.try_to_run(f"test -b {DEVICE}").returncode == 0, "the guest sees the volume")
    return str(made)


def kill_and_start(host: Host, guest: Guest) -> None:
    """Kill the machine as a crash does, and start its instance again."""
    os.kill(guest.machine_record()["pid"], signal.SIGKILL)
    guest.wait_for_state("stopped")
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("running")
    guest.wait_for_ssh()
    guest.run(f"mkdir -p /data; mount -t ext4 {DEVICE} /data")


def records(disk: Path) -> list[bytes]:
    """Return the file's records, after the file system was found or made sound as a mount would."""
    replayed = subprocess.run(["e2fsck", "-p", disk], check=False, capture_output=True, text=True)
    assert replayed.returncode in (0, 1), replayed.stdout
    checked = subprocess.run(["e2fsck", "-fn", disk], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    content = subprocess.run(["debugfs", "-R", "cat /log", disk], check=True, capture_output=True).stdout
    return [content[at : at + RECORD_BYTES] for at in range(0, len(content), RECORD_BYTES)]


def is_whole(record: bytes, number: int) -> bool:
    words = record.decode(errors="replace").split()
    return words == [f"{number:020}", hashlib.md5(f"{number}\n".encode(), usedforsecurity=False).hexdigest()]


def disk_of(host: Host, snapshot_id: str, scratch: Path) -> Path:
    """Copy a snapshot's disk out of the store, through its chain as it is by now."""
    layers = host.home / "volumes" / "layers"
    manifest = (host.home / "volumes" / "snapshots" / f"{snapshot_id}.json").read_text()
    (layer,) = re.findall(r'"layer":"([^"]+)"', manifest)
    disk = scratch / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", layers / layer, disk], check=True)
    return disk


def test_each_of_fifty_snapshots_holds_what_was_promised_before_it(host: Host, tmp_path: Path) -> None:
    # Its machine is killed, and its instance is to stay stopped then.
    guest = host.launch(MaintenanceOptions={"AutoRecovery": "disabled"})
    guest.wait_for_ssh()
    volume_id = volume_of(host, guest, tmp_path)
    guest.run(f"mkdir -p /data; mount -t ext4 {DEVICE} /data")
    guest.run("cat > /root/writer; sync", stdin=WRITER)
    writer = Writer(guest, tmp_path / "said")
    chance = random.Random(4)
    promised: dict[str, int] = {}
    first = 0
    for stretch in (range(KILLS_AFTER[0]), range(*KILLS_AFTER), range(KILLS_AFTER[1], SNAPSHOTS)):
        with writer.running(first):
            for _ in stretch:
                seen = writer.promised()
                wait_for(lambda seen=seen: writer.promised() > seen, "the guest writes on", timeout_s=60)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.2))  # The moment is to be any, not the one behind a record.
                before = writer.promised()
                made = host.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
                promised[made] = before
            kill_and_start(host, guest)
        first = int(guest.run("wc -c < /data/log")) // RECORD_BYTES
        assert first >= writer.promised()

    for snapshot_id, before in promised.items():
        found = records(disk_of(host, snapshot_id, tmp_path))
        assert len(found) >= before
        assert all(is_whole(record, number) for number, record in enumerate(found)), snapshot_id
    wait_for(lambda: longest_chain(host) <= MAX_DEPTH, "every chain is short", timeout_s=90, poll_s=1)


def longest_chain(host: Host) -> int:
    usage = json.loads(host.bakehouse("storage", "usage", "--output", "json").stdout)
    return max(int(row["layers"]) for row in usage["resources"])
