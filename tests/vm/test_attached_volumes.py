"""Volumes of running machines: plugged in, written to, and imaged together."""

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(240)]

#: Writes a number to one disk, then to the other, and begins anew. Both file systems are mounted `sync`, so a number
#: is on the first disk before it goes to the second. Opened for reading too: the file is not cut before it is written.
WRITER = """
echo $$ > /run/writer.pid
n=10000000
while :; do
  echo $n 1<> /root/number
  echo $n 1<> /data/number
  n=$((n + 1))
done
"""
IMAGES = 3


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    launched = host.launch()
    launched.wait_for_ssh()
    return launched


@pytest.fixture(scope="module")
def volume_id(host: Host, guest: Guest) -> str:
    """A volume that was plugged into the running guest."""
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    made = host.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    host.ec2.get_waiter("volume_available").wait(VolumeIds=[made], WaiterConfig={"Delay": 1})
    host.ec2.attach_volume(VolumeId=made, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(lambda: made.replace("-", "") in serials(guest), "the guest sees the volume", timeout_s=30)
    return made


def serials(guest: Guest) -> dict[str, str]:
    """Return the guest's disks: serial number to name."""
    said = guest.run("for disk in /sys/block/vd*; do echo $(cat $disk/serial) ${disk##*/}; done")
    return dict(line.split() for line in said.splitlines())


def test_a_volume_plugged_into_a_running_guest_can_be_used(guest: Guest, volume_id: str) -> None:
    device = serials(guest)[volume_id.replace("-", "")]

    guest.run(f"/sbin/mke2fs -q -t ext4 /dev/{device} && mkdir -p /data && mount -o sync /dev/{device} /data")

    assert int(guest.run("df -m /data | awk 'NR == 2 { print $2 }'")) > 900


def test_images_of_two_volumes_that_are_written_in_turn_are_of_one_moment(
    host: Host, guest: Guest, volume_id: str
) -> None:
    guest.run("mount -o remount,sync /; cat > /root/writer", stdin=WRITER)
    guest.run("setsid sh /root/writer < /dev/null > /dev/null 2>&1 &")
    images = []
    for number in range(IMAGES):
        wait_until_written_anew(guest)
        answer = host.ec2.create_image(InstanceId=guest.instance_id, Name=f"two disks {number}", NoReboot=True)
        images.append(answer["ImageId"])

    clones = [host.launch(image_id) for image_id in images]

    numbers = [both_numbers(clone, volume_id) for clone in clones]
    assert all(first - second in (0, 1) for first, second in numbers), numbers
    assert numbers == sorted(set(numbers))
    host.ec2.terminate_instances(InstanceIds=[clone.instance_id for clone in clones])


def wait_until_written_anew(guest: Guest) -> None:
    wait_for(lambda: guest.try_to_run("cat /data/number").stdout != "", "the guest writes")
    before = guest.run("cat /data/number")
    wait_for(lambda: guest.run("cat /data/number") != before, "the guest writes on")


def both_numbers(clone: Guest, original: str) -> tuple[int, int]:
    clone.wait_for_ssh()
    assert original.replace("-", "") not in serials(clone)
    clone.run("mount -o ro /dev/nvme1n1 /data")
    first, second = clone.run("cat /root/number /data/number").split()
    return int(first), int(second)


def test_a_detached_volume_is_gone_from_the_guest_and_keeps_its_data(host: Host, guest: Guest, volume_id: str) -> None:
    guest.run("kill $(cat /run/writer.pid); sleep 1; umount /data")

    host.ec2.detach_volume(VolumeId=volume_id)

    host.ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig={"Delay": 1})
    assert volume_id.replace("-", "") not in serials(guest)
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=guest.instance_id, Device="/dev/sdg")
    wait_for(lambda: volume_id.replace("-", "") in serials(guest), "the guest sees the volume again", timeout_s=30)
    device = serials(guest)[volume_id.replace("-", "")]
    assert int(guest.run(f"mount /dev/{device} /data && cat /data/number")) > 10000000
