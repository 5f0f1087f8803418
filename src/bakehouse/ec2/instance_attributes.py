"""DescribeInstanceAttribute and ModifyInstanceAttribute."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from bakehouse.app.instance_changes import InstanceChange
from bakehouse.app.instance_details import InstanceDetails
from bakehouse.domain.errors import invalid_combination, invalid_value, missing_parameter, not_honoured
from bakehouse.ec2.instance_views import block_device_view
from bakehouse.ec2.launch_request import decoded_user_data
from bakehouse.ec2.network_interface_views import group_view
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


def _value(value: object) -> Mapping[str, Any]:
    return {"Value": value}


#: Attribute to the member of the answer and its content. Source: EC2 API Reference, DescribeInstanceAttribute.
_ATTRIBUTES: Final[Mapping[str, tuple[str, Callable[[InstanceDetails], Any]]]] = {
    "blockDeviceMapping": ("BlockDeviceMappings", lambda it: [block_device_view(volume) for volume in it.volumes]),
    "disableApiStop": ("DisableApiStop", lambda it: _value(it.instance.stop_protected)),
    "disableApiTermination": ("DisableApiTermination", lambda it: _value(it.instance.termination_protected)),
    "ebsOptimized": ("EbsOptimized", lambda it: _value(it.instance.ebs_optimized)),
    "enaSupport": ("EnaSupport", lambda _it: {"Value": True}),
    "enclaveOptions": ("EnclaveOptions", lambda _it: {"Enabled": False}),
    "groupSet": ("Groups", lambda it: [group_view(group) for group in it.groups]),
    "instanceInitiatedShutdownBehavior": (
        "InstanceInitiatedShutdownBehavior",
        lambda it: _value(it.instance.shutdown_behavior),
    ),
    "instanceType": ("InstanceType", lambda it: _value(it.instance.type)),
    "kernel": ("KernelId", lambda _it: {}),
    "productCodes": ("ProductCodes", lambda _it: []),
    "ramdisk": ("RamdiskId", lambda _it: {}),
    "rootDeviceName": ("RootDeviceName", lambda it: _value(it.instance.root_device_name)),
    "sourceDestCheck": (
        "SourceDestCheck",
        lambda it: _value(it.interface.source_dest_check) if it.interface else _value(True),  # noqa: FBT003
    ),
    "sriovNetSupport": ("SriovNetSupport", lambda it: _sriov(it.instance.sriov_net_support)),
    "userData": ("UserData", lambda it: _user_data(it.instance.user_data)),
}

#: The older form, Attribute with Value, to the member that says the same.
_BY_ATTRIBUTE: Final = {
    "disableApiStop": "DisableApiStop",
    "disableApiTermination": "DisableApiTermination",
    "ebsOptimized": "EbsOptimized",
    "instanceInitiatedShutdownBehavior": "InstanceInitiatedShutdownBehavior",
    "instanceType": "InstanceType",
    "sourceDestCheck": "SourceDestCheck",
    "userData": "UserData",
}
_FLAGS: Final = frozenset({"DisableApiStop", "DisableApiTermination", "EbsOptimized", "SourceDestCheck"})
_BOOLEANS: Final = {"true": True, "false": False}
_SHUTDOWN_BEHAVIORS: Final = ("stop", "terminate")


#: Member with a Value to what it changes.
_FIELDS: Final = {
    "DisableApiStop": "stop_protected",
    "DisableApiTermination": "termination_protected",
    "EbsOptimized": "ebs_optimized",
    "InstanceInitiatedShutdownBehavior": "shutdown_behavior",
    "InstanceType": "instance_type",
    "SourceDestCheck": "source_dest_check",
    "SriovNetSupport": "sriov_net_support",
    "UserData": "user_data",
}
#: Members that can only be set to what they are: every guest has the same network card.
_ALWAYS_TRUE: Final = ("EnaSupport",)


#: Source: EC2 API Reference, ResetInstanceAttribute, Attribute.
_RESETTABLE: Final = ("kernel", "ramdisk", "sourceDestCheck")


def _sriov(support: str | None) -> Mapping[str, Any]:
    return _value(support) if support else {}


def _user_data(user_data: bytes) -> Mapping[str, Any]:
    return _value(b64encode(user_data).decode()) if user_data else {}


@operation("DescribeInstanceAttribute", honours="InstanceId Attribute")
async def describe_instance_attribute(ctx: RequestContext, request: Request) -> Response:
    """Show one attribute of an instance."""
    (details,) = ctx.app.instances.describe(ctx.caller, [request["InstanceId"]])
    member, content = _ATTRIBUTES[request["Attribute"]]
    return {"InstanceId": details.instance.id, member: content(details)}


@operation(
    "ModifyInstanceAttribute",
    honours="InstanceId Attribute Value BlockDeviceMappings.DeviceName BlockDeviceMappings.Ebs.DeleteOnTermination "
    "BlockDeviceMappings.Ebs.VolumeId DisableApiStop DisableApiTermination EbsOptimized EnaSupport Groups "
    "InstanceInitiatedShutdownBehavior InstanceType SourceDestCheck SriovNetSupport UserData",
)
async def modify_instance_attribute(ctx: RequestContext, request: Request) -> Response:
    """Change one attribute of an instance."""
    given = _given(request)
    if not given:
        raise missing_parameter("attribute")
    if len(given) > 1:
        raise invalid_combination(f"Fields for multiple attribute types specified: {', '.join(sorted(given))}")
    ((member, value),) = given.items()
    await ctx.app.instances.modify(ctx.caller, request["InstanceId"], _change(member, value))
    return {}


@operation("ResetInstanceAttribute", honours="InstanceId Attribute")
async def reset_instance_attribute(ctx: RequestContext, request: Request) -> Response:
    """Give an attribute its default value again. A guest's kernel is its image's own anyhow."""
    if request["Attribute"] not in _RESETTABLE:
        raise invalid_value(request["Attribute"], "attribute", f"Expecting one of {', '.join(_RESETTABLE)}.")
    check = request["Attribute"] == "sourceDestCheck"
    change = _change("SourceDestCheck", {"Value": True}) if check else InstanceChange()
    await ctx.app.instances.modify(ctx.caller, request["InstanceId"], change)
    return {}


def _given(request: Request) -> dict[str, Any]:
    """Return the members that change something, in the form of the newer ones."""
    given = {
        name: request[name] for name in (*_FIELDS, *_ALWAYS_TRUE, "BlockDeviceMappings", "Groups") if name in request
    }
    if "Attribute" not in request:
        return given
    member = _BY_ATTRIBUTE.get(request["Attribute"])
    if member is None:
        raise not_honoured(f"Attribute={request['Attribute']}")
    if "Value" in request:
        given[member] = {"Value": _from_text(member, request["Value"])}
    elif member not in given and request["Attribute"] != "userData":
        raise missing_parameter("value")
    elif member not in given:
        given[member] = {"Value": b""}
    return given


def _from_text(member: str, text: str) -> Any:  # noqa: ANN401 - as the member's own Value
    if member in _FLAGS:
        if text.lower() not in _BOOLEANS:
            raise invalid_value(text, "value", "Expecting a boolean.")
        return _BOOLEANS[text.lower()]
    return decoded_user_data(text) if member == "UserData" else text


def _change(member: str, given: Any) -> InstanceChange:  # noqa: ANN401 - a structure or a list
    if member == "Groups":
        return InstanceChange(group_ids=tuple(given))
    if member == "BlockDeviceMappings":
        return InstanceChange(delete_on_termination=_delete_on_termination(given))
    value = given.get("Value", b"" if member == "UserData" else None)
    if value is None:
        raise missing_parameter(f"{member}.Value")
    if member in _ALWAYS_TRUE:
        if value is not True:
            raise not_honoured(f"{member}=false")
        return InstanceChange()
    if member == "InstanceInitiatedShutdownBehavior" and value not in _SHUTDOWN_BEHAVIORS:
        raise invalid_value(value, "instanceInitiatedShutdownBehavior", "Expecting stop or terminate.")
    if member == "SriovNetSupport" and value != "simple":
        raise invalid_value(value, "sriovNetSupport", "It can be simple.")
    return InstanceChange(**{_FIELDS[member]: value})


def _delete_on_termination(given: list[Mapping[str, Any]]) -> dict[str, bool]:
    changes = {}
    for entry in given:
        if "DeviceName" not in entry:
            raise missing_parameter("deviceName")
        flag = (entry.get("Ebs") or {}).get("DeleteOnTermination")
        if flag is None:
            raise missing_parameter("ebs.deleteOnTermination")
        changes[entry["DeviceName"]] = flag
    return changes
