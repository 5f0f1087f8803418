"""What answers call public addresses: by name where this host resolves the names, else by the address itself."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from tests.server import RunningServer
from tests.system.interfaces import default_subnet
from tests.system.networking import fabric_of
from tests.system.shop import Shop

from bakehouse.ports.host_names import NoHostNames
from bakehouse.server.name_control import NameControl


def name_of(address: str, zone: str = "compute-1") -> str:
    return f"ec2-{address.replace('.', '-')}.{zone}.bakehouse.internal"


@pytest.fixture
def proven(shared: RunningServer) -> Iterator[NoHostNames]:
    """A host that resolves public names, for as long as the test lasts."""
    names = shared.drivers.names
    assert isinstance(names, NoHostNames)
    names.proven = True
    yield names
    names.proven = False


def names_shown(shop: Shop, instance_id: str) -> set[str]:
    """Return every public name that any answer has for an instance with one interface."""
    instance = shop.describe(instance_id)
    wanted: Any = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    (interface,) = shop.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    (within,) = instance["NetworkInterfaces"]
    return {
        instance["PublicDnsName"],
        within["Association"]["PublicDnsName"],
        within["PrivateIpAddresses"][0]["Association"]["PublicDnsName"],
        interface["Association"]["PublicDnsName"],
        interface["PrivateIpAddresses"][0]["Association"]["PublicDnsName"],
        interface["PublicDnsName"],
        told_to_guest(shop, instance),
    }


def told_to_guest(shop: Shop, instance: Any) -> str:
    metadata = shop.running.server.app.metadata.of(instance["VpcId"], instance["PrivateIpAddress"])
    assert metadata is not None
    return metadata.public_hostname or ""


@pytest.mark.usefixtures("proven")
def test_a_host_that_resolves_names_is_told_names(shop: Shop) -> None:
    instance = shop.launch()

    name = name_of(instance["PublicIpAddress"])
    assert names_shown(shop, instance["InstanceId"]) == {name}
    for known in ("dns-name", "network-interface.association.public-dns-name", "network-interface.public-dns-name"):
        assert shop.found((known, name)) == [instance["InstanceId"]]
        assert shop.found((known, instance["PublicIpAddress"])) == []


def test_a_host_that_does_not_is_told_addresses(shop: Shop) -> None:
    instance = shop.launch()

    assert names_shown(shop, instance["InstanceId"]) == {instance["PublicIpAddress"]}
    assert shop.found(("dns-name", instance["PublicIpAddress"])) == [instance["InstanceId"]]
    assert shop.found(("dns-name", name_of(instance["PublicIpAddress"]))) == []


def test_answers_follow_the_host_at_once(shop: Shop, proven: NoHostNames) -> None:
    instance = shop.launch()
    address = instance["PublicIpAddress"]

    proven.proven = False
    assert names_shown(shop, instance["InstanceId"]) == {address}
    proven.proven = True
    assert names_shown(shop, instance["InstanceId"]) == {name_of(address)}


@pytest.mark.usefixtures("proven")
def test_names_tell_the_region(shop: Shop) -> None:
    client = shop.running.ec2(shop.name, region="eu-west-1")
    copy = client.copy_image(SourceImageId=shop.image_id, SourceRegion="us-east-1", Name="copy")["ImageId"]
    client.get_waiter("image_available").wait(ImageIds=[copy])

    client.run_instances(ImageId=copy, MinCount=1, MaxCount=1)

    (reservation,) = client.describe_instances()["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["PublicDnsName"] == name_of(instance["PublicIpAddress"], "eu-west-1.compute")


@pytest.mark.usefixtures("proven")
def test_a_network_without_host_names_has_none(shop: Shop) -> None:
    instance = shop.launch()
    shop.ec2.modify_vpc_attribute(VpcId=instance["VpcId"], EnableDnsHostnames={"Value": False})

    assert names_shown(shop, instance["InstanceId"]) == {""}
    assert shop.found(("dns-name", "*")) == []
    assert shop.found(("network-interface.association.public-dns-name", "*")) == []
    wanted: Any = [{"Name": "association.public-dns-name", "Values": ["*"]}]
    assert shop.ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"] == []


def test_guests_are_told_the_names_of_all_addresses_whatever_the_host_resolves(shop: Shop) -> None:
    instance = shop.launch()
    (within,) = instance["NetworkInterfaces"]
    interface_id = within["NetworkInterfaceId"]
    assigned = shop.ec2.assign_private_ip_addresses(NetworkInterfaceId=interface_id, SecondaryPrivateIpAddressCount=1)
    further = assigned["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    elastic = shop.ec2.allocate_address()
    shop.ec2.associate_address(
        AllocationId=elastic["AllocationId"], NetworkInterfaceId=interface_id, PrivateIpAddress=further
    )

    spec = fabric_of(shop.running).interfaces[interface_id]
    assert name_of(instance["PublicIpAddress"]) in spec.names
    (pair,) = spec.secondary_ips
    assert pair.names == (f"ip-{further.replace('.', '-')}", name_of(elastic["PublicIp"]))


def dual_stack_subnet(shop: Shop) -> str:
    """Give the default network's first subnet an IPv6 range, from which instances get addresses."""
    (vpc,) = shop.ec2.describe_vpcs()["Vpcs"]
    shop.ec2.associate_vpc_cidr_block(VpcId=vpc["VpcId"], AmazonProvidedIpv6CidrBlock=True)
    (vpc,) = shop.ec2.describe_vpcs()["Vpcs"]
    cidr = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    subnet_id = default_subnet(shop.ec2)
    shop.ec2.associate_subnet_cidr_block(SubnetId=subnet_id, Ipv6CidrBlock=cidr)
    shop.ec2.modify_subnet_attribute(SubnetId=subnet_id, AssignIpv6AddressOnCreation={"Value": True})
    return subnet_id


def names_of_ipv6(shop: Shop, instance: Any) -> tuple[str, ...]:
    spec = fabric_of(shop.running).interfaces[instance["NetworkInterfaces"][0]["NetworkInterfaceId"]]
    assert spec.ipv6_addresses
    return spec.ipv6_names


def test_an_instances_id_has_an_ipv6_address_where_its_launch_asks_for_it(shop: Shop) -> None:
    subnet_id = dual_stack_subnet(shop)

    asked = shop.launch(SubnetId=subnet_id, PrivateDnsNameOptions={"EnableResourceNameDnsAAAARecord": True})
    not_asked = shop.launch(SubnetId=subnet_id)

    assert asked["PrivateDnsNameOptions"]["EnableResourceNameDnsAAAARecord"] is True
    assert names_of_ipv6(shop, asked) == (asked["InstanceId"],)
    assert names_of_ipv6(shop, not_asked) == ()
    option = "private-dns-name-options.enable-resource-name-dns-aaaa-record"
    assert shop.found((option, "true")) == [asked["InstanceId"]]


def test_a_subnet_says_whether_ids_have_ipv6_addresses(shop: Shop) -> None:
    subnet_id = dual_stack_subnet(shop)
    enabled: Any = {"Value": True}
    shop.ec2.modify_subnet_attribute(SubnetId=subnet_id, EnableResourceNameDnsAAAARecordOnLaunch=enabled)

    as_its_subnet = shop.launch(SubnetId=subnet_id)
    otherwise = shop.launch(SubnetId=subnet_id, PrivateDnsNameOptions={"EnableResourceNameDnsAAAARecord": False})

    assert names_of_ipv6(shop, as_its_subnet) == (as_its_subnet["InstanceId"],)
    assert names_of_ipv6(shop, otherwise) == ()
    option = "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record"
    wanted: Any = [{"Name": option, "Values": ["true"]}]
    (subnet,) = shop.ec2.describe_subnets(Filters=wanted)["Subnets"]
    assert subnet["SubnetId"] == subnet_id
    assert subnet["PrivateDnsNameOptionsOnLaunch"]["EnableResourceNameDnsAAAARecord"] is True


def test_a_running_instances_id_gets_and_loses_its_ipv6_address(shop: Shop) -> None:
    instance = shop.launch(SubnetId=dual_stack_subnet(shop))
    instance_id = instance["InstanceId"]

    shop.ec2.modify_private_dns_name_options(InstanceId=instance_id, EnableResourceNameDnsAAAARecord=True)
    assert names_of_ipv6(shop, instance) == (instance_id,)
    shop.ec2.modify_private_dns_name_options(InstanceId=instance_id, EnableResourceNameDnsAAAARecord=False)
    assert names_of_ipv6(shop, instance) == ()


async def test_the_hosts_owner_is_told_who_answers_and_which_names_are_in_use(shop: Shop) -> None:
    instance = shop.launch()
    application = Starlette(routes=NameControl(shop.running.server.app.public_names).routes())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://bakehouse") as client:
        told = (await client.get("/names")).json()

    assert (told["domain"], told["proven"], told["server"]) == ("bakehouse.internal", False, None)
    assert {
        "address": instance["PublicIpAddress"],
        "name": name_of(instance["PublicIpAddress"]),
        "instance_id": instance["InstanceId"],
    } in told["names"]
