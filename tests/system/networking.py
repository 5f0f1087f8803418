"""VPCs and what is in them, in few words."""

from typing import TYPE_CHECKING, Any

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
