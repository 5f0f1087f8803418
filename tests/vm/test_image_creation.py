"""CreateImage of machines that really run: how long it takes, what it costs the guest, and what the image holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

GIB = 1 << 30
MIB = 1 << 20

#: Writes the kernel's clock to a file, in nanoseconds, some thousand times a second for a few seconds: a shell's own
#: words only, no program is started.
CLOCK = """
n=0
while [ $n -lt 8000 ]; do
  { read -r _; read -r _; read -r _ _ now _; } < /proc/timer_list
  echo "$now"
  n=$((n + 1))
done > /root/stamps
mv /root/stamps /root/stamps.whole
"""

#: The longest time between two stamps in milliseconds, and that from first to last in seconds.
LONGEST_GAP = """awk '
  NR == 1 { first = $1 }
  NR > 1 && $1 - last > gap { gap = $1 - last }
  { last = $1 }
  END { print gap / 1e6, (last - first) / 1e9 }' /root/stamps.whole
"""

PAUSE_MS = 20

#: What ext4 says when it finds its journal in use.
RECOVERED = "recovery complete"

#: The emulated guest shares its processors with everything else on the host, which can only lengthen a gap. So the
#: shortest of a few longest gaps is what the snapshot itself costs at most.
TRIES = 5


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


def test_the_image_of_a_gibibyte_is_available_within_a_second(imaged: Imaged, measured: Callable[[str], None]) -> None:
    measured(f"CreateImage (NoReboot) with 1 GiB written: {imaged.seconds:.3f} s, {imaged.bytes_grown >> 10} KiB more")
    assert imaged.seconds < 1


def test_no_byte_of_the_volume_is_copied(imaged: Imaged) -> None:
    assert imaged.bytes_grown < 2 * MIB


def test_the_waiter_for_the_image_returns_at_its_first_poll(imaged: Imaged, ec2: "EC2Client") -> None:
    begin = time.monotonic()

    ec2.get_waiter("image_available").wait(ImageIds=[imaged.image_id])

    assert time.monotonic() - begin < 5


def test_the_guest_does_not_notice_a_pause(host: Host, guest: Guest, measured: Callable[[str], None]) -> None:
    guest.run("cat > /root/clock", stdin=CLOCK)
    alone = [longest_gap_ms(guest, lambda: None) for _ in range(2)]

    gaps = [
        longest_gap_ms(guest, lambda name=f"noticed {number}": create(host, guest, name))  # type: ignore[misc]
        for number in range(TRIES)
    ]

    measured(f"longest gap in the guest, ms: {rounded(gaps)} with a snapshot each, {rounded(alone)} without")
    assert min(gaps) < PAUSE_MS, (gaps, alone)


def longest_gap_ms(guest: Guest, meanwhile: Callable[[], object]) -> float:
    """Do something while the guest writes the time; return the longest gap between two of its stamps."""
    guest.run("rm -f /root/stamps*; setsid sh /root/clock < /dev/null > /dev/null 2>&1 &")
    begin = time.monotonic()
    meanwhile()
    seconds = time.monotonic() - begin
    # Asked only when it must have ended, for asking takes the guest's processor.
    time.sleep(2)
    wait_for(lambda: guest.try_to_run("test -e /root/stamps.whole").returncode == 0, "all stamps are written")
    gap, span = map(float, guest.run(LONGEST_GAP).split())
    assert span > seconds
    return gap


def create(host: Host, guest: Guest, name: str) -> str:
    return host.ec2.create_image(InstanceId=guest.instance_id, Name=name, NoReboot=True)["ImageId"]


def rounded(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


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
