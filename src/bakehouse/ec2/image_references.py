"""DescribeImageReferences."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bakehouse.app.image_references import EVERY_STATE, ImageReference
from bakehouse.domain.errors import invalid_combination, invalid_parameter, invalid_value, missing_parameter
from bakehouse.domain.image_usage_report import INSTANCE, LAUNCH_TEMPLATE, VERSION_DEPTH, version_depth
from bakehouse.domain.instance import InstanceState
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

_STATE_NAME: Final = "state-name"

#: Source: EC2 API Reference, ResourceTypeOption. Other types have no options.
_OPTIONS: Final = {INSTANCE: _STATE_NAME, LAUNCH_TEMPLATE: VERSION_DEPTH}
_STATES: Final = {state.value: state for state in InstanceState}

#: Source: EC2 API Reference, DescribeImageReferences: ImageIds.
_IMAGES_MAX: Final = 10


@operation("DescribeImageReferences", honours="ImageIds IncludeAllResourceTypes ResourceTypes MaxResults NextToken")
async def describe_image_references(ctx: RequestContext, request: Request) -> Response:
    """List what of the caller's refers to images. Of the types that EC2 checks there are only instances here."""
    if len(request["ImageIds"]) > _IMAGES_MAX:
        raise invalid_parameter(f"The parameter imageId can have {_IMAGES_MAX} values at most")
    states = _requested_states(request)
    found = ctx.app.image_references.of_instances(ctx.caller, request["ImageIds"], states)
    shown, token = page(ctx, request, found, key=lambda it: f"{it.image_id}/{it.instance_id}", sizes=(5, 1000))
    return {"ImageReferences": [_view(ctx, it) for it in shown], "NextToken": token}


def _requested_states(request: Request) -> frozenset[InstanceState]:
    """Return the states of the instances that are asked for; none if instances are not.

    Source: EC2 API Reference, DescribeImageReferences: options given override the defaults of IncludeAllResourceTypes.
    """
    types: Iterable[Mapping[str, Any]] = request.get("ResourceTypes") or ()
    everything = request.get("IncludeAllResourceTypes", False)
    if not types and not everything:
        raise missing_parameter("resourceType or includeAllResourceTypes")
    states: dict[str, frozenset[InstanceState]] = {}
    for entry in types:
        name = entry.get("ResourceType")
        if name is None:
            raise missing_parameter("resourceType")
        if name in states:
            raise invalid_parameter(f"The resource type {name} can be specified only once")
        states[name] = _states_of(name, entry.get("ResourceTypeOptions") or ())
    return states.get(INSTANCE, EVERY_STATE if everything else frozenset())


def _states_of(resource_type: str, options: Iterable[Mapping[str, Any]]) -> frozenset[InstanceState]:
    """Return the states that the options of a resource type leave, or refuse an option that it has not."""
    states = EVERY_STATE
    for option in options:
        name, values = option.get("OptionName"), option.get("OptionValues") or []
        if name is None:
            raise missing_parameter("optionName")
        if name != _OPTIONS.get(resource_type):
            raise invalid_combination(f"The option {name} is not valid for the resource type {resource_type}")
        if name == VERSION_DEPTH:
            version_depth(values)
        else:
            states = frozenset(_state(value) for value in values) or EVERY_STATE
    return states


def _state(name: str) -> InstanceState:
    if name not in _STATES:
        raise invalid_value(name, "optionValue", f"Expecting one of {', '.join(_STATES)}.")
    return _STATES[name]


def _view(ctx: RequestContext, reference: ImageReference) -> dict[str, Any]:
    caller = ctx.caller
    return {
        "ImageId": reference.image_id,
        "ResourceType": INSTANCE,
        "Arn": f"arn:aws:ec2:{caller.region}:{caller.account_id}:instance/{reference.instance_id}",
    }
