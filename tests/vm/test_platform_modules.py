"""Trusted platform modules as their guests have them, and whose processes they are."""

from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import ArchitectureValuesType

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.one_user, pytest.mark.timeout(600)]

MODULE = "/sys/class/tpm/tpm0"

#: Of the firmware's own measurements, which differ from machine to machine and stay over stop and start.
REGISTERS = f"cat {MODULE}/pcr-sha256/[0-7]"


def image_with_module(host: Host, architecture: "ArchitectureValuesType") -> str:
    """Register the minimal image once more, with a platform module."""
    (image,) = host.ec2.describe_images(ImageIds=[host.image("minimal", architecture)])["Images"]
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    return host.ec2.register_image(
        Name=f"minimal for {architecture} with a platform module",
        Architecture=architecture,
        RootDeviceName=image["RootDeviceName"],
        BlockDeviceMappings=[{"DeviceName": image["RootDeviceName"], "Ebs": {"SnapshotId": snapshot_id}}],
        BootMode="uefi",
        TpmSupport="v2.0",
        VirtualizationType="hvm",
    )["ImageId"]


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    launched = host.launch(image_with_module(host, "x86_64"), InstanceType="t3.nano")
    launched.wait_for_ssh()
    return launched


def modules(host: Host) -> list[int]:
    """Return the processes whose current folder is that of a machine's module."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                folder = str((directory / "cwd").readlink())
            except OSError:
                continue
            if folder.startswith(str(host.home.resolve())) and folder.endswith("/tpm"):
                found.append(int(directory.name))
    return found


def test_the_guest_has_a_module_of_version_2(guest: Guest) -> None:
    assert guest.run(f"cat {MODULE}/tpm_version_major") == "2"


def test_the_firmware_has_measured_what_it_started(guest: Guest) -> None:
    assert set(guest.run(f"cat {MODULE}/pcr-sha256/0")) != {"0"}


def test_the_api_says_so(guest: Guest) -> None:
    assert guest.describe()["TpmSupport"] == "v2.0"


def test_the_module_runs_as_the_user_that_machines_run_as(host: Host, guest: Guest) -> None:
    (module,) = modules(host)

    users = [Path(f"/proc/{pid}").stat().st_uid for pid in (module, guest.machine_record()["pid"])]
    assert users[0] == users[1]


def test_the_endorsement_key_is_a_key(guest: Guest) -> None:
    answer = guest.ec2.get_instance_tpm_ek_pub(InstanceId=guest.instance_id, KeyType="rsa-2048", KeyFormat="tpmt")

    assert len(b64decode(answer["KeyValue"])) == 314


def test_the_module_outlives_the_server(host: Host, guest: Guest) -> None:
    before = modules(host)
    host.kill()
    assert host.start()

    assert modules(host) == before
    assert guest.run(f"cat {MODULE}/tpm_version_major") == "2"


def test_a_module_that_was_stopped_is_the_same_when_it_is_started_again(host: Host, guest: Guest) -> None:
    def key() -> str:
        answer = guest.ec2.get_instance_tpm_ek_pub(InstanceId=guest.instance_id, KeyType="rsa-2048", KeyFormat="der")
        return answer["KeyValue"]

    before = (key(), guest.run(REGISTERS))
    host.ec2.stop_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("stopped")
    wait_for(lambda: modules(host) == [], "the module has ended with its machine")
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_ssh()

    assert (key(), guest.run(REGISTERS)) == before


def test_an_arm64_guest_has_one_too_that_measures_its_start(host: Host) -> None:
    guest = host.launch(image_with_module(host, "arm64"), InstanceType="t4g.nano")
    guest.wait_for_ssh()

    assert guest.run("uname -m") == "aarch64"
    assert guest.run(f"cat {MODULE}/tpm_version_major") == "2"
    assert set(guest.run(f"cat {MODULE}/pcr-sha256/0")) != {"0"}
    assert "-device tpm-tis-device,tpmdev=tpm" in " ".join(guest.machine_record()["argv"])
