"""Servers that end while guests run, by accident and by `bakehouse down`."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host, running_host
from tests.vm.wholeness import assert_whole

pytestmark = [pytest.mark.vm, pytest.mark.timeout(180)]

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A server of these tests' own: it is killed, and comes back as the one that the command line starts."""
    with running_host() as made:
        yield made


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    """An instance that the tests below share, in their order."""
    launched = host.launch()
    launched.wait_for_ssh()
    return launched


@pytest.mark.skipif(os.geteuid() != 0, reason="without root the server itself forwards connections to guests")
def test_a_session_goes_on_when_the_server_is_killed(host: Host, guest: Guest) -> None:
    command = guest.ssh_command("while read -r word; do echo $word; done")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        assert said(session, "before") == "before"

        host.kill()

        assert said(session, "while no server runs") == "while no server runs"
        assert host.start()
        assert said(session, "after") == "after"
        session.stdin.close()


def said(session: "subprocess.Popen[str]", text: str) -> str:
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(text + "\n")
    return session.stdout.readline().strip()


def test_a_guest_runs_on_under_the_next_server(host: Host, guest: Guest) -> None:
    boot, machine, addresses = guest.run(BOOT_ID), guest.machine_record()["pid"], addresses_of(guest)
    guest.disconnect()
    host.kill()

    assert host.start()

    guest.wait_for_ssh()
    assert (guest.run(BOOT_ID), guest.machine_record()["pid"], addresses_of(guest)) == (boot, machine, addresses)
    assert_whole(host)


def test_the_next_server_answers_the_guests_metadata(guest: Guest) -> None:
    assert guest.run("imds get meta-data/instance-id") == guest.instance_id


def test_the_next_server_follows_the_machine(host: Host, guest: Guest) -> None:
    guest.try_to_run("poweroff")

    guest.wait_for_state("stopped")
    host.ec2.start_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_ssh()


def test_what_went_with_the_host_comes_back_with_its_networks_and_addresses(host: Host, guest: Guest) -> None:
    """As in a reboot of the host: machines, name services and the agents that hold the namespaces end at once."""
    boot, addresses = guest.run(BOOT_ID), addresses_of(guest)
    guest.disconnect()
    host.kill()
    for pid in host.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: host.processes() == [], "nothing runs for this home", timeout_s=10)

    assert host.start()

    wait_for(lambda: guest.state() == "running", "it runs again")
    guest.wait_for_ssh()
    assert guest.run(BOOT_ID) != boot
    assert addresses_of(guest) == addresses
    assert guest.run("imds get meta-data/instance-id") == guest.instance_id
    assert_whole(host)


def test_down_ends_the_machines_and_up_brings_them_back(host: Host, guest: Guest) -> None:
    guest.run("echo kept > /root/kept")
    boot, addresses = guest.run(BOOT_ID), addresses_of(guest)
    guest.disconnect()

    host.bakehouse("down")
    assert not guest.machine_runs()

    host.bakehouse("up")
    wait_for(lambda: guest.state() == "running", "it runs again")
    guest.wait_for_ssh()
    assert guest.run("cat /root/kept") == "kept"
    assert guest.run(BOOT_ID) != boot
    assert addresses_of(guest) == addresses


def test_a_stopped_instance_stays_stopped_over_down_and_up(host: Host, guest: Guest) -> None:
    guest.disconnect()
    host.ec2.stop_instances(InstanceIds=[guest.instance_id], Force=True)
    guest.wait_for_state("stopped")

    host.bakehouse("down")
    host.bakehouse("up")

    assert guest.state() == "stopped"
    assert_whole(host)


def test_down_leaves_nothing_on_the_host(host: Host) -> None:
    host.bakehouse("down")

    wait_for(lambda: host.processes() == [], "nothing runs for this home", timeout_s=10)


def addresses_of(guest: Guest) -> tuple[str, str]:
    shown = guest.describe()
    return shown["PrivateIpAddress"], shown["PublicIpAddress"]
