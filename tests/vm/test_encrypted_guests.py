"""A guest on encrypted volumes, its image and an instance of that: what it wrote is in no file of the home."""

from pathlib import Path
from typing import Any

import pytest
from tests.vm.guest import wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(240)]

SECRET = "the starter dough is fed at dawn"


def holding(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_what_a_guest_writes_is_in_no_file(host: Host) -> None:
    key: Any = host.bakehouse("key", "create", "guests").stdout.strip()
    encrypted: Any = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}
    guest = host.launch(BlockDeviceMappings=[encrypted])
    zone = host.ec2.describe_subnets()["Subnets"][0]["AvailabilityZone"]
    volume_id = host.ec2.create_volume(AvailabilityZone=zone, Size=1, Encrypted=True, KmsKeyId=key)["VolumeId"]
    guest.wait_for_ssh()

    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=guest.instance_id, Device="/dev/sdf")
    disk = f"$(grep -l {volume_id.replace('-', '')} /sys/block/*/serial | cut -d/ -f4)"
    wait_for(lambda: bool(guest.run(f"echo {disk}")), "the guest sees the volume", timeout_s=30)
    guest.run(f"yes '{SECRET}' | head -c 65536 > /root/secret; dd if=/root/secret of=/dev/{disk} conv=fsync; sync")
    image_id = host.ec2.create_image(InstanceId=guest.instance_id, Name="encrypted", NoReboot=True)["ImageId"]
    clone = host.launch(image_id)
    clone.wait_for_ssh()

    assert clone.run("head -n 1 /root/secret") == SECRET
    (image,) = host.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert {device["DeviceName"]: device["Ebs"]["Encrypted"] for device in image["BlockDeviceMappings"]} == {
        "/dev/xvda": True,
        "/dev/sdf": True,
    }
    assert holding(host.home, SECRET) == []
