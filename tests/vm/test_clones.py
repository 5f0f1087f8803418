"""Instances of one image: what each has for itself, what it has from the image, and what it costs the host."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.vm.guest import Guest
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.timeout(240)]

TOGETHER = 8
MIB = 1 << 20


@pytest.fixture(scope="module")
def parent(host: Host) -> Guest:
    guest = host.launch()
    guest.wait_for_ssh()
    guest.run("echo made by the parent > /root/kept; sync")
    return guest


@pytest.fixture(scope="module")
def clones(host: Host, parent: Guest) -> list[Guest]:
    image = host.ec2.create_image(InstanceId=parent.instance_id, Name="parent", NoReboot=True)["ImageId"]
    launched = host.launch_many(2, image)
    for clone in launched:
        clone.wait_for_ssh()
    return launched


def test_clones_hold_what_the_parent_had_written(clones: list[Guest]) -> None:
    assert [clone.run("cat /root/kept") for clone in clones] == ["made by the parent"] * 2


def test_each_clone_knows_its_own_instance_id(clones: list[Guest]) -> None:
    assert [clone.run("imds get meta-data/instance-id") for clone in clones] == [it.instance_id for it in clones]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("hostname", id="host name"),
        pytest.param("ip -4 -o addr show eth0", id="address"),
        pytest.param("cat /sys/class/net/eth0/address", id="hardware address"),
        pytest.param("cat /sys/class/dmi/id/product_uuid", id="machine identity"),
        pytest.param("cat /sys/class/dmi/id/board_asset_tag", id="asset tag"),
        pytest.param("cat /var/lib/ec2-init/instance-id", id="what the image keeps of it"),
        pytest.param("cat /sys/block/vda/serial", id="volume"),
    ],
)
def test_each_of_the_family_is_somebody_else(parent: Guest, clones: list[Guest], command: str) -> None:
    said = [guest.run(command) for guest in (parent, *clones)]

    assert all(said)
    assert len(set(said)) == len(said)


def test_each_of_the_family_has_its_own_host_key(parent: Guest, clones: list[Guest]) -> None:
    assert len({guest.host_key() for guest in (parent, *clones)}) == 3


@pytest.fixture(scope="module")
def eight(host: Host) -> tuple[list[Guest], int]:
    """Launch eight at once; return them and by how much the store grew until the call returned."""
    before = disk_usage(host.home / "volumes")
    guests = host.launch_many(TOGETHER)
    return guests, disk_usage(host.home / "volumes") - before


def test_eight_instances_cost_less_than_a_mebibyte_each_before_they_write(
    eight: tuple[list[Guest], int], measured: Callable[[str], None]
) -> None:
    # All blocks of all files, when RunInstances returns: the machines run, and are still in their firmware.
    measured(f"disk per extra instance before it writes: {eight[1] / TOGETHER / 1024:.0f} KiB")
    assert eight[1] / TOGETHER < MIB


def test_eight_instances_launched_at_once_all_answer(
    eight: tuple[list[Guest], int], measured: Callable[[str], None]
) -> None:
    begin = time.monotonic()

    for guest in eight[0]:
        guest.wait_for_ssh()

    measured(f"{TOGETHER} instances launched at once: all answered by SSH after {time.monotonic() - begin:.1f} s")
    names = {guest.run("hostname") for guest in eight[0]}
    assert len(names) == TOGETHER


def disk_usage(directory: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())
