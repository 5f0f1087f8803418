"""CreateImage of machines that really run: how long it takes, what it costs the guest, and what the image holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vm.guest import Guest
from tests.vm.guest_clock import longest_gap_ms
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

GIB = 1 << 30
MIB = 1 << 20
#: Waiters of AWS clients sleep this long after a poll that found nothing.
ONE_POLL_S = 10

PAUSE_MS = 20

#: Noise of the host can only lengthen a gap, so one short one proves that the snapshot costs no more.
TRIES = 10

#: What ext4 says when it finds its journal in use.
RECOVERED = "recovery complete"


@dataclass(frozen=True)
class Imaged:
    """What CreateImage without reboot did."""

    image_id: str
    seconds: float
    """From the call until a client's first look found it available."""
    bytes_grown: int
    """By how much the store's files grew meanwhile."""


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    """An instance whose guest has written 1 GiB, and files whose sums are known."""
    launched = host.launch(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 3}}])
    launched.wait_for_ssh()
    launched.run("dd if=/dev/zero of=/root/gibibyte bs=1M count=1024 && sync", timeout_s=240)
    launched.run(
        "mkdir /root/synced; cd /root/synced; for n in $(seq 20); do dd if=/dev/urandom of=$n bs=64k count=$n; done;"
        " sha256sum * > /root/sums; sync"
    )
    return launched


@pytest.fixture(scope="module")
def imaged(host: Host, guest: Guest) -> Imaged:
    store = host.home / "volumes"
    before, begin = allocated(store), time.monotonic()
    image_id = create(host, guest, "of 1 GiB")
    state = host.ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"]
    seconds = time.monotonic() - begin
    assert state == "available"
    return Imaged(image_id, seconds, allocated(store) - before)


def allocated(store: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in store.rglob("*") if path.is_file())


def test_a_gibibyte_was_really_written(host: Host, guest: Guest) -> None:
    assert guest.run("stat -c %s /root/gibibyte") == str(GIB)
    assert allocated(host.home / "volumes") > GIB


def test_the_image_of_a_gibibyte_is_available_when_the_call_returns(
    imaged: Imaged, measured: Callable[[str], None]
) -> None:
    measured(f"CreateImage (NoReboot) with 1 GiB written: {imaged.seconds:.3f} s, {imaged.bytes_grown >> 10} KiB more")
    assert imaged.seconds < ONE_POLL_S


def test_no_byte_of_the_volume_is_copied(imaged: Imaged) -> None:
    assert imaged.bytes_grown < 2 * MIB


def test_the_waiter_for_the_image_returns_at_its_first_poll(imaged: Imaged, ec2: "EC2Client") -> None:
    begin = time.monotonic()

    ec2.get_waiter("image_available").wait(ImageIds=[imaged.image_id])

    assert time.monotonic() - begin < ONE_POLL_S


def test_the_guest_does_not_notice_a_pause(host: Host, guest: Guest, measured: Callable[[str], None]) -> None:
    alone, with_snapshot = [], []
    for number in range(TRIES):
        alone.append(longest_gap_ms(guest, lambda: time.sleep(0.2)))
        with_snapshot.append(longest_gap_ms(guest, partial(create, host, guest, f"noticed {number}")))
        if min(with_snapshot) < PAUSE_MS:
            break

    measured(f"longest gap in the guest: {rounded(with_snapshot)} with a snapshot, {rounded(alone)} without")
    # Where the host itself takes the processor away for longer, the snapshot must not be what is seen.
    assert min(with_snapshot) < max(PAUSE_MS, 1.5 * min(alone))


def create(host: Host, guest: Guest, name: str) -> str:
    return host.ec2.create_image(InstanceId=guest.instance_id, Name=name, NoReboot=True)["ImageId"]


def rounded(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values) + " ms"


def test_the_guest_writes_on_after_its_image_was_made(imaged: Imaged, guest: Guest) -> None:
    assert imaged.image_id
    assert guest.run("echo still here > /root/after && sync && cat /root/after") == "still here"


def test_the_image_boots_with_every_file_that_the_guest_had_synced(host: Host, imaged: Imaged) -> None:
    clone = host.launch(imaged.image_id)
    clone.wait_for_ssh()

    assert clone.run("cd /root/synced && sha256sum -c /root/sums | grep -c ': OK$'") == "20"
    assert clone.run("stat -c %s /root/gibibyte") == str(GIB)
    # As after a power cut; the test below would see it.
    assert RECOVERED in clone.run("dmesg")
    host.ec2.terminate_instances(InstanceIds=[clone.instance_id])


def test_an_image_with_reboot_is_of_a_file_system_that_was_unmounted(host: Host, guest: Guest) -> None:
    before = guest.describe()
    guest.run("echo not synced > /root/late")
    guest.disconnect()

    image_id = host.ec2.create_image(InstanceId=guest.instance_id, Name="rebooted")["ImageId"]
    host.ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1, "MaxAttempts": 90})

    guest.wait_for_ssh()
    after = guest.describe()
    assert (after["PublicIpAddress"], after["PrivateIpAddress"]) == (
        before["PublicIpAddress"],
        before["PrivateIpAddress"],
    )
    assert float(guest.run("cut -d ' ' -f 1 /proc/uptime")) < 120
    clone = host.launch(image_id)
    clone.wait_for_ssh()
    assert clone.run("cat /root/late") == "not synced"
    assert RECOVERED not in clone.run("dmesg")
    host.ec2.terminate_instances(InstanceIds=[clone.instance_id])
