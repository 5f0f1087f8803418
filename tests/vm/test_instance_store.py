"""Local disks of an instance type, watched from inside the guest."""

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(400)]

#: A type with one disk of 50 GB.
KIND = "c5d.large"


def disk(guest: Guest) -> str:
    """Return the local disk's device in the guest; there is one, behind the root."""
    return guest.run("for d in /sys/block/vd*; do grep -q ^AWS $d/serial && echo /dev/${d##*/}; done; true")


def begins_with(guest: Guest) -> str:
    return guest.run(f"head -c 4 {disk(guest)} | tr '\\0' -")


def used_on_host(host: Host, guest: Guest) -> int:
    (file,) = (host.home / "machines" / guest.instance_id / "local").iterdir()
    return file.stat().st_blocks * 512


def test_a_local_disk_lives_as_long_as_its_machine(host: Host) -> None:
    guest = host.launch(InstanceType=KIND)
    guest.wait_for_ssh()
    seen = disk(guest), guest.run("cat /sys/block/vdb/size"), begins_with(guest), used_on_host(host, guest)
    guest.run(f"echo kept > {disk(guest)}; sync")

    guest.disconnect()
    host.ec2.reboot_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_console("reboot: ", timeout_s=60)
    guest.wait_for_ssh()
    after_reboot = begins_with(guest)

    host.ec2.create_replace_root_volume_task(InstanceId=guest.instance_id)
    wait_for(
        lambda: host.ec2.describe_replace_root_volume_tasks()["ReplaceRootVolumeTasks"][-1]["TaskState"] == "succeeded",
        "the root is replaced",
        timeout_s=90,
    )
    guest.wait_for_ssh()
    after_replacement = begins_with(guest)

    host.ec2.stop_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("stopped")
    is_gone = not (host.home / "machines" / guest.instance_id / "local").exists()
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_ssh()

    assert seen == ("/dev/vdb", str(50 * 10**9 // 512), "----", 0)
    assert (after_reboot, after_replacement) == ("kept", "kept")
    assert (is_gone, begins_with(guest)) == (True, "----")
