"""Images that were copied to another region and back: what they cost, and that they boot when nothing else is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.home_account import own_account
from tests.vm.guest import Guest
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(300)]

MIB = 1 << 20
HERE, THERE = "us-east-1", "eu-west-1"


@dataclass(frozen=True)
class Copied:
    """An image that came back from another region, after everything that it came of has gone."""

    image_id: str
    seconds: float
    """How long the two copies took."""
    bytes_grown: int
    """By how much the store's files grew meanwhile."""


def client(host: Host, region: str) -> "EC2Client":
    return boto3.client("ec2", **(own_account(host.home) | {"region_name": region}))


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    """An instance whose guest has written 32 MiB whose sums are known."""
    launched = host.launch()
    launched.wait_for_ssh()
    launched.run(
        "mkdir /root/kept; cd /root/kept; for n in $(seq 8); do dd if=/dev/urandom of=$n bs=1M count=4; done;"
        " sha256sum * > /root/sums; sync"
    )
    return launched


@pytest.fixture(scope="module")
def copied(host: Host, guest: Guest) -> Copied:
    here, there = host.ec2, client(host, THERE)
    first = here.create_image(InstanceId=guest.instance_id, Name="first", NoReboot=True)["ImageId"]
    store = host.home / "volumes"
    before, begin = allocated(store), time.monotonic()
    second = there.copy_image(Name="second", SourceRegion=HERE, SourceImageId=first)["ImageId"]
    third = here.copy_image(Name="third", SourceRegion=THERE, SourceImageId=second)["ImageId"]
    seconds, bytes_grown = time.monotonic() - begin, allocated(store) - before
    guest.disconnect()
    here.terminate_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("terminated")
    here.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
    there.deregister_image(ImageId=second, DeleteAssociatedSnapshots=True)
    return Copied(third, seconds, bytes_grown)


def allocated(store: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in store.rglob("*") if path.is_file())


def test_copies_are_made_at_once_and_copy_no_byte(copied: Copied, measured: Callable[[str], None]) -> None:
    measured(f"CopyImage to another region and back: {copied.seconds:.3f} s, {copied.bytes_grown >> 10} KiB more")

    assert copied.bytes_grown < MIB


def test_a_copy_whose_sources_are_gone_boots_with_every_file(host: Host, copied: Copied) -> None:
    clone = host.launch(copied.image_id)
    clone.wait_for_ssh()

    assert clone.run("cd /root/kept && sha256sum -c /root/sums | grep -c ': OK$'") == "8"


def test_a_copy_boots_in_the_region_that_it_was_copied_to(host: Host, copied: Copied) -> None:
    there = client(host, THERE)
    image_id = there.copy_image(Name="fourth", SourceRegion=HERE, SourceImageId=copied.image_id)["ImageId"]

    (instance,) = there.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t2.nano")["Instances"]

    clone = Guest(host.home, there, instance["InstanceId"])
    clone.wait_for_console("login:")
    there.terminate_instances(InstanceIds=[instance["InstanceId"]])
    clone.wait_for_state("terminated")
