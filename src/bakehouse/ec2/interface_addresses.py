"""Operations on the further private addresses of interfaces."""

from bakehouse.app.interface_addresses import AddressRequest
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation(
    "AssignPrivateIpAddresses",
    honours="NetworkInterfaceId PrivateIpAddresses SecondaryPrivateIpAddressCount AllowReassignment",
)
async def assign_private_ip_addresses(ctx: RequestContext, request: Request) -> Response:
    """Give an interface secondary IPv4 addresses."""
    wanted = AddressRequest(
        addresses=tuple(request.get("PrivateIpAddresses") or ()),
        count=request.get("SecondaryPrivateIpAddressCount"),
        allow_reassignment=request.get("AllowReassignment", False),
    )
    interface_id = request["NetworkInterfaceId"]
    assigned = await ctx.app.interface_addresses.assign_private_ips(ctx.caller, interface_id, wanted)
    views = [{"PrivateIpAddress": address} for address in assigned]
    return {"NetworkInterfaceId": interface_id, "AssignedPrivateIpAddresses": views}


@operation("UnassignPrivateIpAddresses", honours="NetworkInterfaceId PrivateIpAddresses")
async def unassign_private_ip_addresses(ctx: RequestContext, request: Request) -> Response:
    """Take secondary IPv4 addresses from an interface."""
    await ctx.app.interface_addresses.unassign_private_ips(
        ctx.caller, request["NetworkInterfaceId"], request.get("PrivateIpAddresses") or ()
    )
    return {}


@operation("AssignIpv6Addresses", honours="NetworkInterfaceId Ipv6Addresses Ipv6AddressCount")
async def assign_ipv6_addresses(ctx: RequestContext, request: Request) -> Response:
    """Give an interface IPv6 addresses."""
    wanted = AddressRequest(addresses=tuple(request.get("Ipv6Addresses") or ()), count=request.get("Ipv6AddressCount"))
    interface_id = request["NetworkInterfaceId"]
    assigned = await ctx.app.interface_addresses.assign_ipv6(ctx.caller, interface_id, wanted)
    return {"NetworkInterfaceId": interface_id, "AssignedIpv6Addresses": assigned}


@operation("UnassignIpv6Addresses", honours="NetworkInterfaceId Ipv6Addresses")
async def unassign_ipv6_addresses(ctx: RequestContext, request: Request) -> Response:
    """Take IPv6 addresses from an interface."""
    interface_id, addresses = request["NetworkInterfaceId"], request.get("Ipv6Addresses") or ()
    await ctx.app.interface_addresses.unassign_ipv6(ctx.caller, interface_id, addresses)
    return {"NetworkInterfaceId": interface_id, "UnassignedIpv6Addresses": addresses}
