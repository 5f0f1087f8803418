"""Network interface operations."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bakehouse.app.network_interfaces import InterfaceChange
from bakehouse.domain.errors import invalid_combination, invalid_parameter, missing_parameter, operation_not_permitted
from bakehouse.domain.network_interface import NetworkInterface
from bakehouse.ec2.interface_requests import interface_request
from bakehouse.ec2.network_interface_filters import FILTERS
from bakehouse.ec2.network_interface_views import Entry, attachment_view, group_view, network_interface_view
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags

#: What DescribeNetworkInterfaceAttribute shows. Source: EC2 API Reference, NetworkInterfaceAttribute.
_ATTRIBUTES: Final[Mapping[str, tuple[str, Callable[[Entry], Any]]]] = {
    "attachment": ("Attachment", lambda entry: attachment_view(entry[0])),
    "description": ("Description", lambda entry: {"Value": entry[0].description}),
    "groupSet": ("Groups", lambda entry: [group_view(group) for group in entry[1]]),
    "sourceDestCheck": ("SourceDestCheck", lambda entry: {"Value": entry[0].source_dest_check}),
    "associatePublicIpAddress": ("AssociatePublicIpAddress", lambda entry: entry[0].wants_public_ip),
}
_CHANGES: Final = ("Attachment", "Description", "Groups", "SourceDestCheck")


async def _create_again(ctx: RequestContext, interface_id: str) -> Response:
    (interface,) = ctx.app.network_interfaces.describe(ctx.caller, [interface_id])
    return _created(ctx, interface)


@operation(
    "CreateNetworkInterface",
    honours="SubnetId Description Groups PrivateIpAddress PrivateIpAddresses SecondaryPrivateIpAddressCount "
    "Ipv6AddressCount Ipv6Addresses InterfaceType TagSpecifications",
    replay=_create_again,
)
async def create_network_interface(ctx: RequestContext, request: Request) -> Response:
    """Make a free interface."""
    kind = request.get("InterfaceType", "interface")
    if kind != "interface":
        raise invalid_parameter(f"Invalid value '{kind}' for interfaceType: this endpoint makes `interface` only.")
    tags = requested_tags(request, "network-interface")["network-interface"]
    interface = await ctx.app.network_interfaces.create(ctx.caller, interface_request(request), tags)
    return _created(ctx, interface)


@operation("DescribeNetworkInterfaces", honours="NetworkInterfaceIds Filters MaxResults NextToken")
async def describe_network_interfaces(ctx: RequestContext, request: Request) -> Response:
    """List interfaces."""
    matches = FILTERS.compile(request)
    found = ctx.app.network_interfaces.describe(ctx.caller, request.get("NetworkInterfaceIds"))
    entries = [entry for entry in (_entry(ctx, interface) for interface in found) if matches(entry)]
    shown, token = page(
        ctx, request, entries, key=lambda entry: entry[0].id, sizes=(5, 1000), ids="NetworkInterfaceIds"
    )
    return {"NetworkInterfaces": [network_interface_view(entry) for entry in shown], "NextToken": token}


@operation("DeleteNetworkInterface", honours="NetworkInterfaceId")
async def delete_network_interface(ctx: RequestContext, request: Request) -> Response:
    """Delete a free interface."""
    await ctx.app.network_interfaces.delete(ctx.caller, request["NetworkInterfaceId"])
    return {}


@operation("AttachNetworkInterface", honours="NetworkInterfaceId InstanceId DeviceIndex NetworkCardIndex")
async def attach_network_interface(ctx: RequestContext, request: Request) -> Response:
    """Attach an interface to an instance; its guest sees it when this is answered."""
    _refuse_other_cards(request)
    interface = await ctx.app.network_interfaces.attach(
        ctx.caller, request["NetworkInterfaceId"], request["InstanceId"], request["DeviceIndex"]
    )
    return {"AttachmentId": interface.attachment_id, "NetworkCardIndex": 0}


@operation("DetachNetworkInterface", honours="AttachmentId Force")
async def detach_network_interface(ctx: RequestContext, request: Request) -> Response:
    """Detach an interface from its instance."""
    await ctx.app.network_interfaces.detach(ctx.caller, request["AttachmentId"], force=request.get("Force", False))
    return {}


@operation("DescribeNetworkInterfaceAttribute", honours="NetworkInterfaceId Attribute")
async def describe_network_interface_attribute(ctx: RequestContext, request: Request) -> Response:
    """Show one attribute of an interface."""
    (interface,) = ctx.app.network_interfaces.describe(ctx.caller, [request["NetworkInterfaceId"]])
    if "Attribute" not in request:
        raise missing_parameter("attribute")
    member, content = _ATTRIBUTES[request["Attribute"]]
    return {"NetworkInterfaceId": interface.id, member: content(_entry(ctx, interface))}


@operation(
    "ModifyNetworkInterfaceAttribute",
    honours="NetworkInterfaceId Description SourceDestCheck Groups Attachment.AttachmentId "
    "Attachment.DeleteOnTermination",
)
async def modify_network_interface_attribute(ctx: RequestContext, request: Request) -> Response:
    """Change one attribute of an interface."""
    given = [name for name in _CHANGES if name in request]
    if not given:
        raise missing_parameter("attribute")
    if len(given) > 1:
        raise invalid_combination(f"Fields for multiple attribute types specified: {', '.join(given)}")
    await ctx.app.network_interfaces.modify(ctx.caller, request["NetworkInterfaceId"], _change(request))
    return {}


@operation("ResetNetworkInterfaceAttribute", honours="NetworkInterfaceId SourceDestCheck")
async def reset_network_interface_attribute(ctx: RequestContext, request: Request) -> Response:
    """Let an interface's sources be checked again."""
    if "SourceDestCheck" not in request:
        raise missing_parameter("attribute")
    change = InterfaceChange(source_dest_check=True)
    await ctx.app.network_interfaces.modify(ctx.caller, request["NetworkInterfaceId"], change)
    return {}


@operation("CreateNetworkInterfacePermission", honours="NetworkInterfaceId AwsAccountId AwsService Permission")
async def create_network_interface_permission(ctx: RequestContext, request: Request) -> Response:
    """Refuse to let another account attach an interface: its network would reach into the owner's."""
    ctx.app.network_interfaces.describe(ctx.caller, [request["NetworkInterfaceId"]])
    raise operation_not_permitted("This endpoint lets no other account attach a network interface.")


def _entry(ctx: RequestContext, interface: NetworkInterface) -> Entry:
    naming = ctx.app.public_names.naming(interface.vpc_id)
    return interface, ctx.app.network_interfaces.groups_of(interface), naming


def _created(ctx: RequestContext, interface: NetworkInterface) -> Response:
    token = ctx.caller.idempotency.token if ctx.caller.idempotency else None
    view = network_interface_view(_entry(ctx, interface)) | {"Status": "pending"}
    return {"NetworkInterface": view, "ClientToken": token}


def _refuse_other_cards(request: Request) -> None:
    card = request.get("NetworkCardIndex", 0)
    if card != 0:
        raise invalid_parameter(f"Invalid value '{card}' for networkCardIndex: instances here have one network card.")


def _change(request: Request) -> InterfaceChange:
    attachment: dict[str, Any] = request.get("Attachment") or {}
    goes = None
    if "Attachment" in request:
        if "AttachmentId" not in attachment:
            raise missing_parameter("attachment.attachmentId")
        if "DeleteOnTermination" not in attachment:
            raise missing_parameter("attachment.deleteOnTermination")
        goes = attachment["AttachmentId"], attachment["DeleteOnTermination"]
    return InterfaceChange(
        description=(request.get("Description") or {}).get("Value"),
        group_ids=tuple(request["Groups"]) if "Groups" in request else None,
        source_dest_check=(request.get("SourceDestCheck") or {}).get("Value"),
        delete_on_termination=goes,
    )
