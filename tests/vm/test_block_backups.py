"""A guest's disk, backed up block by block and incrementally, put back, and booted when nothing else is left of it."""

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import boto3
import pytest
from tests.home_account import own_account
from tests.vm.guest import Guest
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(300)]

PARAMETER = "/aws/service/bakehouse/minimal/latest/x86_64"
WRITE = "mkdir -p /root/kept; cd /root/kept; for n in $(seq {}); do dd if=/dev/urandom of=$n bs=1M count=4; done"

Blocks = dict[int, bytes]


def client(host: Host, service: str) -> Any:
    return boto3.client(service, **own_account(host.home))  # type: ignore[call-overload] # any service


@dataclass
class Backup:
    """What a backup tool keeps: blocks, and the snapshots that they were read from."""

    ebs: Any

    def all_blocks(self, snapshot_id: str) -> Blocks:
        answer = self.ebs.list_snapshot_blocks(SnapshotId=snapshot_id, MaxResults=10000)
        return self._read(snapshot_id, [(each["BlockIndex"], each["BlockToken"]) for each in answer["Blocks"]])

    def changed_blocks(self, first: str, second: str) -> Blocks:
        answer = self.ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second, MaxResults=10000)
        return self._read(second, [(each["BlockIndex"], each["SecondBlockToken"]) for each in answer["ChangedBlocks"]])

    def restore(self, blocks: Blocks, size_gib: int, **parent: str) -> str:
        snapshot_id: str = self.ebs.start_snapshot(VolumeSize=size_gib, **parent)["SnapshotId"]

        def put(index: int) -> None:
            self.ebs.put_snapshot_block(
                SnapshotId=snapshot_id,
                BlockIndex=index,
                BlockData=blocks[index],
                DataLength=len(blocks[index]),
                Checksum=b64encode(sha256(blocks[index]).digest()).decode(),
                ChecksumAlgorithm="SHA256",
            )

        with ThreadPoolExecutor(8) as workers:
            list(workers.map(put, blocks))
        self.ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=len(blocks))
        return snapshot_id

    def _read(self, snapshot_id: str, listed: list[tuple[int, str]]) -> Blocks:
        def get(block: tuple[int, str]) -> tuple[int, bytes]:
            answer = self.ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=block[0], BlockToken=block[1])
            return block[0], answer["BlockData"].read()

        with ThreadPoolExecutor(8) as workers:
            return dict(workers.map(get, listed))


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    """An instance of the image that the public parameter stands for."""
    image_id = host.image()
    assert client(host, "ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"] == image_id
    launched = host.launch(f"resolve:ssm:{PARAMETER}")
    launched.wait_for_ssh()
    return launched


def test_a_disk_that_was_backed_up_by_blocks_boots_with_every_file(host: Host, guest: Guest) -> None:
    ec2: Any = host.ec2
    backup = Backup(client(host, "ebs"))
    (device,) = ec2.describe_instances(InstanceIds=[guest.instance_id])["Reservations"][0]["Instances"][0][
        "BlockDeviceMappings"
    ]
    volume_id = device["Ebs"]["VolumeId"]
    guest.run(WRITE.format(4) + "; sync")
    first = ec2.create_snapshot(VolumeId=volume_id)
    guest.run(WRITE.format(2) + "; sha256sum * > /root/sums; sync")
    second = ec2.create_snapshot(VolumeId=volume_id)

    whole = backup.all_blocks(first["SnapshotId"])
    changed = backup.changed_blocks(first["SnapshotId"], second["SnapshotId"])
    assert 0 < len(changed) < len(whole)
    guest.disconnect()
    ec2.terminate_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("terminated")
    for snapshot in (first, second):
        ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    base = backup.restore(whole, first["VolumeSize"])
    restored = backup.restore(changed, first["VolumeSize"], ParentSnapshotId=base)
    image_id = ec2.register_image(
        Name="restored",
        RootDeviceName=device["DeviceName"],
        BlockDeviceMappings=[{"DeviceName": device["DeviceName"], "Ebs": {"SnapshotId": restored}}],
        Architecture="x86_64",
        VirtualizationType="hvm",
    )["ImageId"]
    clone = host.launch(image_id)
    clone.wait_for_ssh()

    assert clone.run("cd /root/kept && sha256sum -c /root/sums | grep -c ': OK$'") == "4"
