"""Image attribute operations: description, launch permission, and what can only be read."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from bakehouse.app.image_catalogue import ImageChange
from bakehouse.domain.errors import invalid_combination, invalid_value, missing_parameter
from bakehouse.domain.image import Image, attribute_withdrawn
from bakehouse.ec2.image_views import moment, protection_view
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.sharing import account_view, requested_sharing

_Show = Callable[[Image], dict[str, Any]]


#: Members by which an image is shared with organizations and their units.
_ORGANIZATIONS: Final = (
    "OrganizationArns",
    "OrganizationalUnitArns",
    *(
        f"LaunchPermission.{change}.{member}"
        for change in ("Add", "Remove")
        for member in ("OrganizationArn", "OrganizationalUnitArn")
    ),
)


def _value(text: str | None) -> dict[str, Any]:
    return {} if text is None else {"Value": text}


def _protection(ctx: RequestContext, image: Image) -> dict[str, Any]:
    protection = protection_view(image, cools_down=ctx.app.image_lifecycle.cools_down(image))
    return {"DeregistrationProtection": _value(protection)}


#: Attribute to the member of the answer that it fills. The kernels and products that no image here has are empty, as
#: EC2 answers them.
_SHOWN: Final[Mapping[str, _Show]] = {
    "bootMode": lambda image: {"BootMode": _value(image.boot_mode)},
    "description": lambda image: {"Description": _value(image.description)},
    "imdsSupport": lambda image: {"ImdsSupport": _value(image.imds_support)},
    "kernel": lambda _image: {"KernelId": {}},
    "lastLaunchedTime": lambda image: {
        "LastLaunchedTime": _value(moment(image.last_launched_at) if image.last_launched_at else None)
    },
    "launchPermission": lambda image: {"LaunchPermissions": [account_view(it) for it in image.launch_accounts]},
    "productCodes": lambda _image: {"ProductCodes": []},
    "ramdisk": lambda _image: {"RamdiskId": {}},
    "sriovNetSupport": lambda image: {"SriovNetSupport": _value(image.sriov_net_support)},
    "tpmSupport": lambda image: {"TpmSupport": _value(image.tpm_support)},
    "uefiData": lambda image: {"UefiData": _value(image.uefi_data)},
}


@operation("DescribeImageAttribute", honours="ImageId Attribute")
async def describe_image_attribute(ctx: RequestContext, request: Request) -> Response:
    """Show one attribute of an image of the caller's."""
    shown: dict[str, _Show] = {**_SHOWN, "deregistrationProtection": partial(_protection, ctx)}
    show = shown.get(request["Attribute"])
    if show is None:
        raise attribute_withdrawn()
    image = ctx.app.images.owned(ctx.caller, request["ImageId"])
    return {"ImageId": image.id, **show(image)}


@operation(
    "ModifyImageAttribute",
    honours="ImageId Attribute Value OperationType UserIds UserGroups Description.Value ImdsSupport.Value "
    "LaunchPermission.Add.UserId LaunchPermission.Add.Group LaunchPermission.Remove.UserId "
    "LaunchPermission.Remove.Group",
    reasons=dict.fromkeys(_ORGANIZATIONS, "Accounts here belong to no organization. Share with account IDs instead."),
)
async def modify_image_attribute(ctx: RequestContext, request: Request) -> Response:
    """Change one attribute of an image, said in its own member or by Attribute, or both ways at once as Packer does."""
    await ctx.app.images.change(ctx.caller, request["ImageId"], _requested_change(request))
    return {}


@operation("ResetImageAttribute", honours="ImageId Attribute")
async def reset_image_attribute(ctx: RequestContext, request: Request) -> Response:
    """Make an image private again: launch permission is the only attribute that can be reset."""
    await ctx.app.images.reset_launchers(ctx.caller, request["ImageId"])
    return {}


def _requested_change(request: Request) -> ImageChange:
    """Source: EC2 API Reference, ModifyImageAttribute: only one attribute at a time."""
    named = {
        attribute
        for attribute, member in (
            ("description", "Description"),
            ("imdsSupport", "ImdsSupport"),
            ("launchPermission", "LaunchPermission"),
        )
        if member in request
    }
    if request.keys() & {"OperationType", "UserIds", "UserGroups"}:
        named.add("launchPermission")
    if "Attribute" in request:
        named.add(request["Attribute"])
    if not named:
        raise invalid_combination("No attributes specified.")
    if len(named) > 1:
        raise invalid_combination(f"Fields for multiple attribute types specified: {', '.join(sorted(named))}")
    match named.pop():
        case "description":
            return ImageChange(description=_requested_value(request, "Description"))
        case "imdsSupport":
            value = _requested_value(request, "ImdsSupport")
            if value != "v2.0":
                raise invalid_value(value, "imdsSupport")
            return ImageChange(imds_support=value)
        case "launchPermission":
            sharing = requested_sharing(request, member="LaunchPermission", groups="UserGroups")
            return ImageChange(add_launchers=sharing.add, remove_launchers=sharing.remove)
        case other:
            raise invalid_value(other, "attribute", "It can be description, imdsSupport or launchPermission.")


def _requested_value(request: Request, member: str) -> str:
    if member in request:
        return str(request[member].get("Value", ""))
    if "Value" not in request:
        raise missing_parameter("value")
    return str(request["Value"])
