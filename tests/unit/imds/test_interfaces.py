"""What a guest reads of its interfaces, from the records as they are at that moment."""

from dataclasses import replace
from pathlib import Path

from tests.sagas import networked
from tests.unit.imds.samples import VPC, interface, metadata
from tests.unit.imds.test_tree import crawl, listing_at, text_at
from tests.world import World

from bakehouse.domain.network import CidrAssociation
from bakehouse.domain.network_interface import AddressAssociation, NetworkInterface

MACS = "latest/meta-data/network/interfaces/macs"
SECOND_MAC = "02:00:00:00:00:02"


def second() -> NetworkInterface:
    """An interface with everything that one can have."""
    return interface(
        id="eni-0123456789abcdef1",
        mac=SECOND_MAC,
        device_index=3,
        private_ip="172.31.16.20",
        secondary_ips=("172.31.16.21", "172.31.16.22"),
        ipv6_addresses=("2600:1f18::5", "2600:1f18::6"),
        public_ip=None,
        associations=(
            AddressAssociation(
                id="eipassoc-0", allocation_id="eipalloc-0", public_ip="127.20.0.9", private_ip="172.31.16.22"
            ),
        ),
    )


def test_each_interface_tells_its_own_number_and_addresses() -> None:
    guest = metadata(others=(second(),))

    def read(name: str) -> str:
        return text_at(guest, f"{MACS}/{SECOND_MAC}/{name}")

    assert listing_at(guest, MACS) == ["02:11:22:33:44:55/", f"{SECOND_MAC}/"]
    assert (read("device-number"), read("interface-id")) == ("3", "eni-0123456789abcdef1")
    assert read("local-ipv4s").split("\n") == ["172.31.16.20", "172.31.16.21", "172.31.16.22"]
    assert read("ipv6s").split("\n") == ["2600:1f18::5", "2600:1f18::6"]
    assert (read("public-ipv4s"), read("ipv4-associations/127.20.0.9")) == ("127.20.0.9", "172.31.16.22")
    assert text_at(guest, "latest/meta-data/local-ipv4") == "172.31.16.10"


def test_each_listed_name_of_a_full_interface_can_be_read() -> None:
    ipv6 = CidrAssociation(id="vpc-cidr-assoc-0", cidr="2600:1f18::/56")
    guest = metadata(others=(second(),), vpc=replace(VPC, ipv6_cidr=ipv6, secondary_cidrs=(ipv6,)))

    assert [path for path, node in crawl(guest, "latest/meta-data/") if node in (None, "")] == []


async def test_a_guest_reads_what_was_attached_and_associated_while_it_ran(tmp_path: Path) -> None:
    world = await World.begin(tmp_path)
    instance_id, interface_id = await networked.interface_beside(world)
    primary = world.store.network_interfaces[world.instance(instance_id).network_interface_id]

    await networked.attach(world, (instance_id, interface_id))
    attached = world.store.network_interfaces[interface_id]
    guests = [world.app.metadata.of(primary.vpc_id, address) for address in (primary.private_ip, *attached.private_ips)]

    assert attached.public_ip is not None
    for guest in guests:
        assert guest is not None
        assert text_at(guest, "latest/meta-data/instance-id") == instance_id
        assert listing_at(guest, MACS) == [f"{primary.mac}/", f"{attached.mac}/"]
        assert text_at(guest, f"{MACS}/{attached.mac}/public-ipv4s") == attached.public_ip
    await networked.detach(world, (instance_id, interface_id))
    left = world.app.metadata.of(primary.vpc_id, primary.private_ip)
    assert left is not None
    assert listing_at(left, MACS) == [f"{primary.mac}/"]
    assert world.app.metadata.of(primary.vpc_id, attached.private_ip) is None
    await world.stop_server()
