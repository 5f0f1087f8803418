"""VPCs and what is in them, in few words."""

from typing import TYPE_CHECKING, Any

from tests.server import RunningServer

from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def new_vpc(client: "EC2Client", cidr: str = "10.0.0.0/16", **members: Any) -> str:
    return client.create_vpc(CidrBlock=cidr, **members)["Vpc"]["VpcId"]


def new_subnet(client: "EC2Client", vpc_id: str, cidr: str = "10.0.1.0/24", **members: Any) -> str:
    return client.create_subnet(VpcId=vpc_id, CidrBlock=cidr, **members)["Subnet"]["SubnetId"]


def new_gateway(client: "EC2Client", vpc_id: str | None = None) -> str:
    gateway_id = client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    if vpc_id is not None:
        client.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    return gateway_id


def new_table(client: "EC2Client", vpc_id: str) -> str:
    return client.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]


def table(client: "EC2Client", table_id: str) -> Any:
    return client.describe_route_tables(RouteTableIds=[table_id])["RouteTables"][0]


def of_vpc(vpc_id: str) -> Any:
    return [{"Name": "vpc-id", "Values": [vpc_id]}]


def tagged(resource_type: str, **tags: str) -> Any:
    return [{"ResourceType": resource_type, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def furnish(client: "EC2Client", count: int) -> None:
    """Make so many VPCs, each with a subnet, gateways and options of its own."""
    for number in range(count):
        vpc_id = new_vpc(client, f"10.{number}.0.0/16")
        new_subnet(client, vpc_id, f"10.{number}.1.0/24")
        new_gateway(client, vpc_id)
        client.create_egress_only_internet_gateway(VpcId=vpc_id)
        configuration: Any = [{"Key": "domain-name", "Values": [f"site-{number}.example"]}]
        options = client.create_dhcp_options(DhcpConfigurations=configuration)["DhcpOptions"]
        client.associate_dhcp_options(DhcpOptionsId=options["DhcpOptionsId"], VpcId=vpc_id)


def new_interface(client: "EC2Client", subnet_id: str, **members: Any) -> Any:
    return client.create_network_interface(SubnetId=subnet_id, **members)["NetworkInterface"]


def new_nat_gateway(client: "EC2Client", subnet_id: str) -> str:
    allocation_id = client.allocate_address()["AllocationId"]
    return client.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id)["NatGateway"]["NatGatewayId"]


def new_prefix_list(client: "EC2Client", *cidrs: str, **members: Any) -> str:
    members = {"PrefixListName": "offices", "AddressFamily": "IPv4", "MaxEntries": 5, **members}
    entries: Any = [{"Cidr": cidr, "Description": f"to {cidr}"} for cidr in cidrs]
    return client.create_managed_prefix_list(Entries=entries, **members)["PrefixList"]["PrefixListId"]


def furnish_interfaces(client: "EC2Client", subnet_id: str, count: int) -> None:
    """Make so many free interfaces and NAT gateways, and prefix lists: one with as many entries and groups."""
    cidrs = [f"10.{number}.0.0/16" for number in range(count)]
    prefix_list_id = new_prefix_list(client, *cidrs, MaxEntries=count)
    for number in range(count):
        new_interface(client, subnet_id)
        new_nat_gateway(client, subnet_id)
        new_prefix_list(client, PrefixListName=f"list-{number}")
        group_id = client.create_security_group(GroupName=f"listed-{number}", Description="d")["GroupId"]
        permission: Any = {"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": prefix_list_id}]}
        client.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])


def fabric_of(running: RunningServer) -> FakeNetworkFabric:
    """Return what a server told its fabric."""
    fabric = running.drivers.network
    assert isinstance(fabric, FakeNetworkFabric)
    return fabric


def hypervisor_of(running: RunningServer) -> FakeHypervisor:
    """Return a server's hypervisor."""
    hypervisor = running.drivers.hypervisor
    assert isinstance(hypervisor, FakeHypervisor)
    return hypervisor
