"""The life of an instance on a real machine, as a client and its owner's SSH session see it.

The tests share one instance and tell its story in their order: each leaves it as the next one needs it.
"""

import time
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(180)]

#: A waiter that does not find what it waits for at its first poll sleeps 15 s.
ONE_POLL_S = 10

USER_DATA = "#!/bin/sh\necho {word} >> /root/runs\necho user data of $(hostname) > /dev/ttyS0\n"


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    return host.launch(UserData=USER_DATA.format(word="first"))


def test_the_waiter_for_a_running_instance_returns_at_its_first_poll(guest: Guest, ec2: "EC2Client") -> None:
    begin = time.monotonic()

    ec2.get_waiter("instance_running").wait(InstanceIds=[guest.instance_id])

    assert time.monotonic() - begin < ONE_POLL_S


def test_both_users_are_let_in_with_the_key(guest: Guest) -> None:
    guest.wait_for_ssh()

    assert (guest.run("id -un"), guest.run("id -un", user="ec2-user")) == ("root", "ec2-user")


def test_the_guest_has_the_name_and_the_address_that_the_api_shows(guest: Guest) -> None:
    shown = guest.describe()

    assert guest.run("hostname") + ".ec2.internal" == shown["PrivateDnsName"]
    assert f"inet {shown['PrivateIpAddress']}/" in guest.run("ip -4 addr show eth0")


def test_the_console_output_is_what_the_guest_wrote(guest: Guest, ec2: "EC2Client") -> None:
    line = f"user data of {guest.run('hostname')}"
    guest.wait_for_console(line)

    assert line in ec2.get_console_output(InstanceId=guest.instance_id, Latest=True)["Output"]


def test_a_reboot_boots_the_guest_anew_with_its_addresses(guest: Guest, ec2: "EC2Client") -> None:
    before, boot = addresses(guest), boot_id(guest)

    ec2.reboot_instances(InstanceIds=[guest.instance_id])

    wait_for(lambda: boot_id(guest) not in ("", boot), "the guest booted anew", timeout_s=90, poll_s=0.25)
    assert addresses(guest) == before


def test_a_stopped_instance_has_no_machine_and_no_public_address(guest: Guest, ec2: "EC2Client") -> None:
    guest.disconnect()

    ec2.stop_instances(InstanceIds=[guest.instance_id])

    guest.wait_for_state("stopped")
    assert not guest.machine_runs()
    assert "PublicIpAddress" not in guest.describe()


def test_a_started_instance_has_its_private_address_and_another_public_one(host: Host) -> None:
    guest = host.launch()
    private, public = addresses(guest)
    host.ec2.stop_instances(InstanceIds=[guest.instance_id], Force=True)
    guest.wait_for_state("stopped")

    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("running")

    assert addresses(guest)[0] == private
    assert addresses(guest)[1] not in (public, "")
    host.ec2.terminate_instances(InstanceIds=[guest.instance_id])


def test_a_type_changed_while_stopped_is_the_guests_next_memory(guest: Guest, ec2: "EC2Client") -> None:
    ec2.modify_instance_attribute(InstanceId=guest.instance_id, InstanceType={"Value": "t2.micro"})
    changed = USER_DATA.format(word="second").encode()
    ec2.modify_instance_attribute(InstanceId=guest.instance_id, UserData={"Value": changed})

    ec2.start_instances(InstanceIds=[guest.instance_id])

    guest.wait_for_ssh()
    kib = int(guest.run("awk '/^MemTotal/ { print $2 }' /proc/meminfo"))
    assert 900 < kib / 1024 < 1024


def test_user_data_runs_once_for_an_instance_also_when_it_was_changed(guest: Guest) -> None:
    # It would run behind this line, which every boot writes.
    guest.wait_for_console(f"instance {guest.instance_id} ready")
    assert guest.run("imds get user-data").splitlines()[1] == "echo second >> /root/runs"

    assert guest.run("cat /root/runs") == "first"


def test_a_protected_instance_is_not_terminated(guest: Guest, ec2: "EC2Client") -> None:
    ec2.modify_instance_attribute(InstanceId=guest.instance_id, DisableApiTermination={"Value": True})

    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[guest.instance_id])

    assert guest.run("echo alive") == "alive"
    ec2.modify_instance_attribute(InstanceId=guest.instance_id, DisableApiTermination={"Value": False})


def test_a_guest_that_powers_off_is_stopped(guest: Guest) -> None:
    guest.try_to_run("poweroff")

    guest.wait_for_state("stopped")
    assert guest.describe()["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_guest_that_powers_off_is_terminated_where_its_owner_wanted_that(guest: Guest, ec2: "EC2Client") -> None:
    ec2.modify_instance_attribute(
        InstanceId=guest.instance_id, InstanceInitiatedShutdownBehavior={"Value": "terminate"}
    )
    ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_ssh()

    guest.try_to_run("poweroff")

    guest.wait_for_state("terminated")


def test_a_terminated_instance_leaves_no_volume_and_no_machine(guest: Guest, ec2: "EC2Client") -> None:
    attached = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [guest.instance_id]}])

    assert attached["Volumes"] == []
    assert not guest.machine_runs()


def addresses(guest: Guest) -> tuple[str, str]:
    shown = guest.describe()
    return shown["PrivateIpAddress"], shown.get("PublicIpAddress", "")


def boot_id(guest: Guest) -> str:
    guest.disconnect()
    return guest.try_to_run("cat /proc/sys/kernel/random/boot_id").stdout.strip()
