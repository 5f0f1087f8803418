"""An instance that sleeps, watched from inside: its programs go on, its clock is right, and it is who it was."""

import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(300)]

#: The guest's tolerance, and some for the host.
CLOCK_ERROR_S = 3
SLEEPY: Any = {
    "HibernationOptions": {"Configured": True},
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}],
}
FACTS = (
    "cat /proc/sys/kernel/random/boot_id; ip -4 -o addr show eth0; cat /run/secret; "
    'imds get meta-data/instance-id "$(imds token)"'
)
EMULATORS = {"i386": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
SECRET = "what-only-memory-holds"
COUNT = "setsid sh -c 'n=0; while :; do n=$((n + 1)); echo $n > /run/count; usleep 100000; done' > /dev/null 2>&1 &"


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    launched = host.launch(**SLEEPY)
    launched.wait_for_ssh()
    return launched


def hibernate(host: Host, guest: Guest) -> None:
    guest.disconnect()
    host.ec2.stop_instances(InstanceIds=[guest.instance_id], Hibernate=True)
    guest.wait_for_state("stopped")


def start(host: Host, guest: Guest) -> None:
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_ssh()


def files_of(host: Host, guest: Guest) -> Iterator[bytes]:
    for path in (host.home / "machines" / guest.instance_id).iterdir():
        if path.is_file():
            yield path.read_bytes()


def test_a_guest_goes_on_where_it_was(host: Host, guest: Guest) -> None:
    guest.run(f"echo {SECRET} > /run/secret; {COUNT}")
    before = guest.run(FACTS)
    counted = int(guest.run("cat /run/count"))

    hibernate(host, guest)
    asleep = [SECRET.encode() in content for content in files_of(host, guest)]
    time.sleep(3)  # So that a clock that stood still is seen.
    start(host, guest)

    assert guest.run(FACTS) == before
    wait_for(lambda: int(guest.run("cat /run/count")) > counted + 5, "the program goes on")
    # The root is encrypted, and so is the memory.
    assert asleep
    assert not any(asleep)


def test_its_clock_is_right_afterwards(guest: Guest) -> None:
    def error_s() -> float:
        return abs(time.time() - int(guest.run("date +%s")))

    wait_for(lambda: error_s() < CLOCK_ERROR_S, "the clock is right", timeout_s=30)


def test_it_writes_to_its_disks_and_sleeps_again_with_one_more(host: Host, guest: Guest) -> None:
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    volume_id = host.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(lambda: guest.try_to_run("test -b /dev/nvme1n1").returncode == 0, "the guest sees the volume")
    guest.run("echo written > /root/file; echo written > /dev/nvme1n1; sync")

    hibernate(host, guest)
    start(host, guest)
    guest.run("echo 3 > /proc/sys/vm/drop_caches")

    assert guest.run("cat /root/file; head -n 1 /dev/nvme1n1; cat /run/secret").split() == [
        "written",
        "written",
        SECRET,
    ]


@pytest.mark.long
def test_it_sees_what_grew_while_it_slept(host: Host, guest: Guest) -> None:
    (root,) = (it for it in guest.describe()["BlockDeviceMappings"] if it["DeviceName"] == "/dev/xvda")
    hibernate(host, guest)
    host.ec2.modify_volume(VolumeId=root["Ebs"]["VolumeId"], Size=3)

    start(host, guest)

    wait_for(lambda: guest.run("blockdev --getsize64 /dev/vda") == str(3 << 30), "the guest sees the size")
    assert guest.run("cat /run/secret") == SECRET


@pytest.mark.long
def test_a_server_that_was_killed_meanwhile_wakes_it_up(host: Host, guest: Guest) -> None:
    hibernate(host, guest)

    host.kill()
    assert host.start(host.environment)
    start(host, guest)

    assert guest.run("cat /run/secret") == SECRET


@pytest.mark.long
def test_a_guest_whose_memory_is_lost_boots(host: Host, guest: Guest) -> None:
    hibernate(host, guest)
    memory = host.home / "machines" / guest.instance_id / "memory"
    memory.write_bytes(memory.read_bytes()[: 1 << 20])

    start(host, guest)

    assert guest.run("cat /root/file; ls /run/secret 2> /dev/null || true") == "written"


@pytest.mark.long
@pytest.mark.parametrize(("architecture", "instance_type"), [("i386", "t2.micro"), ("arm64", "t4g.micro")])
def test_guests_of_other_architectures_sleep_too(host: Host, architecture: str, instance_type: Any) -> None:
    if shutil.which(EMULATORS[architecture]) is None:
        pytest.skip(f"there is no {EMULATORS[architecture]} here")
    root = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 1}}
    members: Any = {**SLEEPY, "BlockDeviceMappings": [root], "InstanceType": instance_type}
    other = host.launch(host.image(architecture=architecture), **members)
    other.wait_for_ssh()
    other.run(f"echo {SECRET} > /run/secret")

    hibernate(host, other)
    start(host, other)

    assert other.run("cat /run/secret") == SECRET
    host.ec2.terminate_instances(InstanceIds=[other.instance_id])
