"""DescribeImageReferences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
_ARN_TYPES: Final = {INSTANCE: "instance", LAUNCH_TEMPLATE: "launch-template"}
_STATES: Final = {state.value: state for state in InstanceState}

#: Source: EC2 API Reference, DescribeImageReferences: ImageIds.
_IMAGES_MAX: Final = 10
#: Newest versions of a launch template. Source: EC2 API Reference, ResourceTypeOption, version-depth.
_DEPTH: Final = 10


@dataclass(frozen=True, slots=True)
class _Options:
    """Which resources are asked for: instances by their states, templates by a number of versions."""

    states: frozenset[InstanceState] = EVERY_STATE
    depth: int = _DEPTH


@operation("DescribeImageReferences", honours="ImageIds IncludeAllResourceTypes ResourceTypes MaxResults NextToken")
async def describe_image_references(ctx: RequestContext, request: Request) -> Response:
    """List what of the caller's refers to images: instances and launch templates, of the types that EC2 checks."""
    if len(request["ImageIds"]) > _IMAGES_MAX:
        raise invalid_parameter(f"The parameter imageId can have {_IMAGES_MAX} values at most")
    states, depth = _requested(request)
    found = [
        *ctx.app.image_references.of_instances(ctx.caller, request["ImageIds"], states),
        *ctx.app.image_references.of_templates(ctx.caller, request["ImageIds"], depth),
    ]
    shown, token = page(ctx, request, found, key=lambda it: f"{it.image_id}/{it.resource_id}", sizes=(5, 1000))
    return {"ImageReferences": [_view(ctx, it) for it in shown], "NextToken": token}


def _requested(request: Request) -> tuple[frozenset[InstanceState], int]:
    """Return the states of the instances, and the number of versions of the templates, that are asked for.

    Source: EC2 API Reference, DescribeImageReferences: options given override the defaults of IncludeAllResourceTypes.
    """
    types: Iterable[Mapping[str, Any]] = request.get("ResourceTypes") or ()
    everything = request.get("IncludeAllResourceTypes", False)
    if not types and not everything:
        raise missing_parameter("resourceType or includeAllResourceTypes")
    options: dict[str, _Options] = {}
    for entry in types:
        name = entry.get("ResourceType")
        if name is None:
            raise missing_parameter("resourceType")
        if name in options:
            raise invalid_parameter(f"The resource type {name} can be specified only once")
        options[name] = _options(name, entry.get("ResourceTypeOptions") or ())
    unasked = _Options() if everything else _Options(states=frozenset(), depth=0)
    return options.get(INSTANCE, unasked).states, options.get(LAUNCH_TEMPLATE, unasked).depth


def _options(resource_type: str, given: Iterable[Mapping[str, Any]]) -> _Options:
    """Return what the options of a resource type say, or refuse one that it has not."""
    options = _Options()
    for option in given:
        name, values = option.get("OptionName"), option.get("OptionValues") or []
        if name is None:
            raise missing_parameter("optionName")
        if name != _OPTIONS.get(resource_type):
            raise invalid_combination(f"The option {name} is not valid for the resource type {resource_type}")
        if name == VERSION_DEPTH:
            options = replace(options, depth=version_depth(values))
        else:
            options = replace(options, states=frozenset(_state(value) for value in values) or EVERY_STATE)
    return options


def _state(name: str) -> InstanceState:
    if name not in _STATES:
        raise invalid_value(name, "optionValue", f"Expecting one of {', '.join(_STATES)}.")
    return _STATES[name]


def _view(ctx: RequestContext, reference: ImageReference) -> dict[str, Any]:
    caller = ctx.caller
    kind = _ARN_TYPES[reference.resource_type]
    return {
        "ImageId": reference.image_id,
        "ResourceType": reference.resource_type,
        "Arn": f"arn:aws:ec2:{caller.region}:{caller.account_id}:{kind}/{reference.resource_id}",
    }
