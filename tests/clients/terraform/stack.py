"""A configuration of several resources, and the network that most of them need."""

from typing import Any, Final

from tests.clients.terraform.instance import AwsInstance
from tests.clients.terraform.network import AwsInternetGateway, AwsSubnet, AwsVpc
from tests.clients.terraform.provider import Resource, Values
from tests.clients.terraform.route_tables import AwsRouteTable, AwsRouteTableAssociation
from tests.clients.terraform.security_groups import AwsSecurityGroup, AwsVpcSecurityGroupRule
from tests.system.shop import Shop

ZONE: Final = "us-east-1b"
TAGS: Final = {"Name": "<ä & 'b'>", "Made": "by Terraform"}


class Stack:
    """Resources in the order in which they were applied; each is planned again at once."""

    def __init__(self, shop: Shop) -> None:
        self.ec2: Any = shop.ec2
        self._applied: list[Resource] = []
        self.before = self.own()

    def apply(self, make: type[Resource], /, **wanted: Any) -> Resource:
        resource = make(self.ec2, **wanted).apply()
        self._applied.append(resource)
        assert resource.plan() == {}, wanted
        return resource

    def machine(self, image_id: str, **wanted: Any) -> Resource:
        """Apply an instance in the default VPC."""
        default = [{"Name": "default-for-az", "Values": ["true"]}, {"Name": "availability-zone", "Values": [ZONE]}]
        (subnet,) = self.ec2.describe_subnets(Filters=default)["Subnets"]
        placed = {"ami": image_id, "instance_type": "t2.nano", "subnet_id": subnet["SubnetId"]}
        return self.apply(AwsInstance, **{**placed, **wanted})

    def change(self, resource: Resource, *changes: Values) -> None:
        """Change a resource step by step."""
        for wanted in changes:
            resource.change(**wanted)
            assert resource.plan() == {}, wanted

    def plan(self) -> dict[str, Any]:
        """Return what any resource differs in from its configuration."""
        return {type(it).__name__: found for it in self._applied if (found := it.plan())}

    def forget(self, resource: Resource) -> None:
        """Leave out a resource that was destroyed already."""
        self._applied.remove(resource)

    def end(self) -> None:
        """Plan all again, destroy it last to first, and find nothing of it."""
        assert self.plan() == {}
        for resource in reversed(self._applied):
            resource.destroy()
            assert resource.is_gone(), resource
        assert self.own() == self.before

    def own(self) -> dict[str, int]:
        """Return how much an account has of what these resources make."""
        ec2 = self.ec2
        asked = {
            "addresses": ec2.describe_addresses()["Addresses"],
            "gateways": ec2.describe_internet_gateways()["InternetGateways"],
            "groups": ec2.describe_security_groups()["SecurityGroups"],
            "images": ec2.describe_images(Owners=["self"])["Images"],
            "interfaces": ec2.describe_network_interfaces()["NetworkInterfaces"],
            "keys": ec2.describe_key_pairs()["KeyPairs"],
            "snapshots": ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"],
            "subnets": ec2.describe_subnets()["Subnets"],
            "tables": ec2.describe_route_tables()["RouteTables"],
            "templates": ec2.describe_launch_templates()["LaunchTemplates"],
            "volumes": ec2.describe_volumes()["Volumes"],
            "vpcs": ec2.describe_vpcs()["Vpcs"],
        }
        return {name: len(found) for name, found in asked.items()}


class Network:
    """A VPC with a subnet that is open to the outside, and a group that lets SSH in."""

    def __init__(self, stack: Stack) -> None:
        self.vpc = stack.apply(AwsVpc, cidr_block="10.1.0.0/16", enable_dns_hostnames=True, tags=TAGS)
        self.gateway = stack.apply(AwsInternetGateway, vpc_id=self.vpc.id, tags=TAGS)
        self.subnet = stack.apply(
            AwsSubnet,
            availability_zone=ZONE,
            cidr_block="10.1.1.0/24",
            map_public_ip_on_launch=True,
            tags=TAGS,
            vpc_id=self.vpc.id,
        )
        routes = [{"cidr_block": "0.0.0.0/0", "gateway_id": self.gateway.id}]
        self.table = stack.apply(AwsRouteTable, vpc_id=self.vpc.id, route=routes, tags=TAGS)
        self.association = stack.apply(AwsRouteTableAssociation, route_table_id=self.table.id, subnet_id=self.subnet.id)
        self.group = stack.apply(AwsSecurityGroup, name="web", description="d", vpc_id=self.vpc.id, tags=TAGS)
        self.rule = stack.apply(
            AwsVpcSecurityGroupRule,
            cidr_ipv4="0.0.0.0/0",
            description="SSH",
            egress=False,
            from_port=22,
            ip_protocol="tcp",
            security_group_id=self.group.id,
            tags=TAGS,
            to_port=22,
        )

    def instance(self, stack: Stack, image_id: str, **wanted: Any) -> Resource:
        configured = {
            "ami": image_id,
            "instance_type": "t2.nano",
            "subnet_id": self.subnet.id,
            "tags": TAGS,
            "vpc_security_group_ids": [self.group.id],
        }
        return stack.apply(AwsInstance, **{**configured, **wanted})
