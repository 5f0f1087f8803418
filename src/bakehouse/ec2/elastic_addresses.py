"""Elastic IP operations."""

from typing import Any, Final

from bakehouse.app.elastic_addresses import AddressDetails, AssociationRequest
from bakehouse.domain.errors import Ec2Error, invalid_parameter, not_honoured
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: The pool that is Amazon's. Source: EC2 API Reference, DescribeAddresses, example.
_POOL: Final = "amazon"
_NO_REVERSE_DNS: Final = "A public address here is one of this host's loopback network, which has no reverse DNS."

FILTERS: Final[Filters[AddressDetails]] = Filters(
    {
        "allocation-id": lambda it: [it.address.id],
        "association-id": lambda it: [it.address.association_id],
        "domain": lambda _it: ["vpc"],
        "instance-id": lambda it: [it.interface.instance_id if it.interface else None],
        "network-border-group": lambda it: [it.address.region],
        "network-interface-id": lambda it: [it.address.interface_id],
        "network-interface-owner-id": lambda it: [it.interface.account_id if it.interface else None],
        "private-ip-address": lambda it: [it.private_ip],
        "public-ip": lambda it: [it.address.public_ip],
    },
    tags=lambda it: it.address.tags,
)


@operation("AllocateAddress", honours="Domain NetworkBorderGroup PublicIpv4Pool TagSpecifications")
async def allocate_address(ctx: RequestContext, request: Request) -> Response:
    """Give the account an address."""
    _check_place(ctx, request)
    if request.get("Domain", "vpc") != "vpc":
        raise invalid_parameter("Invalid value 'standard' for domain. EC2-Classic is no more.")
    if request.get("PublicIpv4Pool", _POOL) != _POOL:
        raise Ec2Error("InvalidPublicIpv4PoolID.NotFound", f"The pool '{request['PublicIpv4Pool']}' does not exist.")
    address = await ctx.app.elastic_addresses.allocate(ctx.caller, requested_tags(request, "elastic-ip")["elastic-ip"])
    return {
        "AllocationId": address.id,
        "PublicIp": address.public_ip,
        "PublicIpv4Pool": _POOL,
        "NetworkBorderGroup": address.region,
        "Domain": "vpc",
    }


@operation(
    "AssociateAddress",
    honours="AllocationId PublicIp InstanceId NetworkInterfaceId PrivateIpAddress AllowReassociation",
)
async def associate_address(ctx: RequestContext, request: Request) -> Response:
    """Let an address lead to an instance or interface; the guest is reached there when this is answered."""
    association_id = await ctx.app.elastic_addresses.associate(
        ctx.caller,
        AssociationRequest(
            allocation_id=request.get("AllocationId"),
            public_ip=request.get("PublicIp"),
            instance_id=request.get("InstanceId"),
            interface_id=request.get("NetworkInterfaceId"),
            private_ip=request.get("PrivateIpAddress"),
            allow_reassociation=request.get("AllowReassociation", True),
        ),
    )
    return {"AssociationId": association_id}


@operation("DisassociateAddress", honours="AssociationId PublicIp")
async def disassociate_address(ctx: RequestContext, request: Request) -> Response:
    """Let an address lead nowhere."""
    await ctx.app.elastic_addresses.disassociate(ctx.caller, request.get("AssociationId"), request.get("PublicIp"))
    return {}


@operation("ReleaseAddress", honours="AllocationId PublicIp NetworkBorderGroup")
async def release_address(ctx: RequestContext, request: Request) -> Response:
    """Give an address back."""
    _check_place(ctx, request)
    await ctx.app.elastic_addresses.release(ctx.caller, request.get("AllocationId"), request.get("PublicIp"))
    return {}


@operation("DescribeAddresses", honours="AllocationIds PublicIps Filters")
async def describe_addresses(ctx: RequestContext, request: Request) -> Response:
    """List addresses."""
    matches = FILTERS.compile(request)
    found = ctx.app.elastic_addresses.describe(ctx.caller, request.get("AllocationIds"), request.get("PublicIps"))
    return {"Addresses": [_view(details) for details in found if matches(details)]}


@operation("DescribeAddressesAttribute", honours="AllocationIds Attribute MaxResults NextToken")
async def describe_addresses_attribute(ctx: RequestContext, request: Request) -> Response:
    """List addresses with their reverse DNS names: none has one."""
    found = ctx.app.elastic_addresses.describe(ctx.caller, request.get("AllocationIds"))
    shown, token = page(ctx, request, found, key=lambda it: it.address.id, sizes=(1, 1000))
    return {
        "Addresses": [{"PublicIp": it.address.public_ip, "AllocationId": it.address.id} for it in shown],
        "NextToken": token,
    }


@operation("ModifyAddressAttribute", honours="AllocationId DomainName")
async def modify_address_attribute(ctx: RequestContext, request: Request) -> Response:
    """Refuse a reverse DNS name."""
    ctx.app.elastic_addresses.one(ctx.caller, request["AllocationId"], None)
    raise not_honoured("DomainName", _NO_REVERSE_DNS)


def _check_place(ctx: RequestContext, request: Request) -> None:
    group = request.get("NetworkBorderGroup", ctx.caller.region)
    if group != ctx.caller.region:
        raise Ec2Error("InvalidAddress.NotFound", f"There are no addresses in the network border group '{group}'.")


def _view(details: AddressDetails) -> dict[str, Any]:
    address, interface = details.address, details.interface
    view: dict[str, Any] = {
        "AllocationId": address.id,
        "PublicIp": address.public_ip,
        "Domain": "vpc",
        "PublicIpv4Pool": _POOL,
        "NetworkBorderGroup": address.region,
        "Tags": tag_set(address.tags),
    }
    if interface is not None:
        view |= {
            "AssociationId": address.association_id,
            "InstanceId": interface.instance_id or "",
            "NetworkInterfaceId": interface.id,
            "NetworkInterfaceOwnerId": interface.account_id,
            "PrivateIpAddress": details.private_ip,
        }
    return view
