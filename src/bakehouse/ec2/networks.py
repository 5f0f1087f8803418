"""VPC and subnet operations."""

from bakehouse.domain.network import Subnet, Vpc
from bakehouse.domain.region import zone_id
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set

VPC_FILTERS: Filters[Vpc] = Filters(
    {
        "cidr": lambda vpc: [vpc.cidr],
        "cidr-block": lambda vpc: [vpc.cidr],
        "cidrBlock": lambda vpc: [vpc.cidr],
        "cidr-block-association.association-id": lambda vpc: [_association_id(vpc)],
        "cidr-block-association.cidr-block": lambda vpc: [vpc.cidr],
        "cidr-block-association.state": lambda _vpc: ["associated"],
        "dhcp-options-id": lambda _vpc: ["default"],
        "is-default": lambda vpc: [flag(vpc.is_default)],
        "isDefault": lambda vpc: [flag(vpc.is_default)],  # Packer, Flintrock and SkyPilot say it so
        "owner-id": lambda vpc: [vpc.account_id],
        "state": lambda _vpc: ["available"],
        "vpc-id": lambda vpc: [vpc.id],
    },
    tags=lambda vpc: vpc.tags,
)

_Entry = tuple[Subnet, int]

SUBNET_FILTERS: Filters[_Entry] = Filters(
    {
        "availability-zone": lambda entry: [entry[0].availability_zone],
        "availabilityZone": lambda entry: [entry[0].availability_zone],
        "availability-zone-id": lambda entry: [zone_id(entry[0].availability_zone)],
        "availabilityZoneId": lambda entry: [zone_id(entry[0].availability_zone)],
        "available-ip-address-count": lambda entry: [str(entry[1])],
        "cidr": lambda entry: [entry[0].cidr],
        "cidr-block": lambda entry: [entry[0].cidr],
        "cidrBlock": lambda entry: [entry[0].cidr],
        "default-for-az": lambda entry: [flag(entry[0].default_for_az)],
        "defaultForAz": lambda entry: [flag(entry[0].default_for_az)],
        "ipv6-native": lambda _entry: ["false"],
        "map-public-ip-on-launch": lambda entry: [flag(entry[0].map_public_ip)],
        "owner-id": lambda entry: [entry[0].account_id],
        "state": lambda _entry: ["available"],
        "subnet-arn": lambda entry: [_arn(entry[0])],
        "subnet-id": lambda entry: [entry[0].id],
        "vpc-id": lambda entry: [entry[0].vpc_id],
    },
    tags=lambda entry: entry[0].tags,
)


@operation("DescribeVpcs", honours="VpcIds Filters MaxResults NextToken")
async def describe_vpcs(ctx: RequestContext, request: Request) -> Response:
    """List the caller's VPCs."""
    matches = VPC_FILTERS.compile(request)
    vpcs = [vpc for vpc in ctx.app.networks.vpcs(ctx.caller, request.get("VpcIds")) if matches(vpc)]
    shown, token = page(ctx, request, vpcs, key=lambda vpc: vpc.id, sizes=(5, 1000), ids="VpcIds")
    return {"Vpcs": [_vpc_view(vpc) for vpc in shown], "NextToken": token}


@operation("DescribeSubnets", honours="SubnetIds Filters MaxResults NextToken")
async def describe_subnets(ctx: RequestContext, request: Request) -> Response:
    """List the caller's subnets with the number of their free addresses."""
    matches = SUBNET_FILTERS.compile(request)
    entries = [entry for entry in ctx.app.networks.subnets(ctx.caller, request.get("SubnetIds")) if matches(entry)]
    shown, token = page(ctx, request, entries, key=lambda entry: entry[0].id, sizes=(5, 1000), ids="SubnetIds")
    return {"Subnets": [_subnet_view(subnet, free) for subnet, free in shown], "NextToken": token}


def _association_id(vpc: Vpc) -> str:
    return vpc.id.replace("vpc-", "vpc-cidr-assoc-")


def _vpc_view(vpc: Vpc) -> Response:
    return {
        "VpcId": vpc.id,
        "OwnerId": vpc.account_id,
        "State": "available",
        "CidrBlock": vpc.cidr,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": _association_id(vpc),
                "CidrBlock": vpc.cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "DhcpOptionsId": "default",
        "InstanceTenancy": "default",
        "IsDefault": vpc.is_default,
        "Tags": tag_set(vpc.tags),
    }


def _arn(subnet: Subnet) -> str:
    return f"arn:aws:ec2:{subnet.region}:{subnet.account_id}:subnet/{subnet.id}"


def _subnet_view(subnet: Subnet, free: int) -> Response:
    return {
        "SubnetId": subnet.id,
        "SubnetArn": _arn(subnet),
        "VpcId": subnet.vpc_id,
        "OwnerId": subnet.account_id,
        "State": "available",
        "CidrBlock": subnet.cidr,
        "AvailableIpAddressCount": free,
        "AvailabilityZone": subnet.availability_zone,
        "AvailabilityZoneId": zone_id(subnet.availability_zone),
        "DefaultForAz": subnet.default_for_az,
        "MapPublicIpOnLaunch": subnet.map_public_ip,
        "MapCustomerOwnedIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6Native": False,
        "EnableDns64": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "Tags": tag_set(subnet.tags),
    }
