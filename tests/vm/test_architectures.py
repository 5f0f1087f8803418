"""Every architecture: built from its packages, launched, imaged, launched again."""

from dataclasses import dataclass

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Kind:
    """A kind of machine: what it is launched as, and what its guest says of itself."""

    architecture: str
    instance_type: str
    boot_mode: str | None
    uname: str
    firmware: str
    """`uefi` where the guest finds its firmware's variables."""


KINDS = {
    "i386": Kind("i386", "t2.micro", None, "i686", "bios"),
    "arm64": Kind("arm64", "t4g.micro", None, "aarch64", "uefi"),
    "x86_64 by UEFI": Kind("x86_64", "t3.micro", "uefi", "x86_64", "uefi"),
}


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def image_id(host: Host, kind: Kind) -> str:
    """The minimal image of that architecture, registered once more where its boot mode is to be another."""
    built = host.image("minimal", kind.architecture)
    if kind.boot_mode is None:
        return built
    (image,) = host.ec2.describe_images(ImageIds=[built])["Images"]
    return host.ec2.register_image(
        Name=f"minimal {kind.boot_mode}",
        Architecture=image["Architecture"],
        RootDeviceName=image["RootDeviceName"],
        BlockDeviceMappings=[
            {
                "DeviceName": image["RootDeviceName"],
                "Ebs": {"SnapshotId": image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]},
            }
        ],
        BootMode=kind.boot_mode,  # type: ignore[arg-type] # one of them
        VirtualizationType="hvm",
    )["ImageId"]


@pytest.fixture(scope="module")
def guest(host: Host, kind: Kind, image_id: str) -> Guest:
    launched = host.launch(image_id, InstanceType=kind.instance_type)
    launched.wait_for_ssh()
    return launched


def test_the_guest_is_of_its_architecture(guest: Guest, kind: Kind) -> None:
    assert guest.run("uname -m") == kind.uname


def test_the_guest_was_started_by_its_firmware(guest: Guest, kind: Kind) -> None:
    assert guest.run("[ -d /sys/firmware/efi ] && echo uefi || echo bios") == kind.firmware


def test_the_api_says_how_it_was_started(guest: Guest, kind: Kind) -> None:
    expected = "uefi" if kind.firmware == "uefi" else "legacy-bios"

    assert guest.describe()["CurrentInstanceBootMode"] == expected


def test_a_volume_is_plugged_into_the_running_guest(host: Host, guest: Guest) -> None:
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    volume_id = host.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    host.ec2.attach_volume(InstanceId=guest.instance_id, VolumeId=volume_id, Device="/dev/sdf")

    wait_for(lambda: guest.run("grep -cE '(vd.|nvme.n1)$' /proc/partitions") == "2", "the guest sees the volume")

    host.ec2.detach_volume(VolumeId=volume_id)
    wait_for(lambda: guest.run("grep -cE '(vd.|nvme.n1)$' /proc/partitions") == "1", "the guest let go of the volume")


@pytest.mark.long
def test_an_image_of_it_launches_with_its_files(host: Host, guest: Guest, kind: Kind) -> None:
    guest.run("dd if=/dev/urandom of=/root/kept bs=64k count=4; sync")
    name = f"of {kind.architecture} {kind.boot_mode}"
    image_id = host.ec2.create_image(InstanceId=guest.instance_id, Name=name, NoReboot=True)["ImageId"]

    again = host.launch(image_id, InstanceType=kind.instance_type)
    again.wait_for_ssh()

    assert again.run("sha256sum /root/kept") == guest.run("sha256sum /root/kept")
    assert again.run("uname -m") == kind.uname


@pytest.mark.long
def test_it_stops_by_its_power_button_and_starts_again(host: Host, guest: Guest) -> None:
    host.ec2.stop_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("stopped")
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("running")

    guest.wait_for_ssh()
