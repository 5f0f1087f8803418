"""What the fabric keeps in memory."""

from pathlib import Path

from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric


async def test_nothing_is_kept_of_a_vpc_without_a_network(tmp_path: Path) -> None:
    fabric = LinuxNetworkFabric(tmp_path, mode="root")

    await fabric.unplug("vpc-0123456789abcdef0", "eni-0123456789abcdef0")
    await fabric.delete_group("vpc-0123456789abcdef0", "sg-0123456789abcdef0")
    await fabric.delete_segment("vpc-0123456789abcdef0")

    assert fabric._segments == {}
