"""Systems Manager's Parameter Store, as far as images need it: public parameters, read only."""

from collections.abc import Iterable
from typing import Any, Final

from bakehouse.app.public_parameters import FoundParameter
from bakehouse.domain.errors import ServiceError
from bakehouse.domain.public_parameter import parameter_name_invalid
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: Source: SSM API Reference, GetParametersByPath, MaxResults.
_PAGE_SIZES: Final = (1, 10)

_TYPE: Final = "String"


@operation("GetParameter", service="ssm", honours="Name WithDecryption")
async def get_parameter(ctx: RequestContext, request: Request) -> Response:
    """Answer the image that a public parameter stands for."""
    return {"Parameter": _view(ctx.app.public_parameters.find(ctx.caller, request["Name"]))}


@operation("GetParameters", service="ssm", honours="Names WithDecryption")
async def get_parameters(ctx: RequestContext, request: Request) -> Response:
    """Answer several parameters by name, and which of them are not there."""
    found: dict[str, FoundParameter] = {}
    invalid = []
    for name in dict.fromkeys(request["Names"]):
        try:
            found[name] = ctx.app.public_parameters.find(ctx.caller, name)
        except ServiceError as refusal:
            if refusal.code == "ValidationException":
                raise
            invalid.append(name)
    return {"Parameters": [_view(found[name]) for name in sorted(found)], "InvalidParameters": invalid}


@operation(
    "GetParametersByPath",
    service="ssm",
    honours="Path Recursive WithDecryption MaxResults NextToken "
    "ParameterFilters.Key ParameterFilters.Option ParameterFilters.Values",
)
async def get_parameters_by_path(ctx: RequestContext, request: Request) -> Response:
    """Answer the parameters below a path, ten at a time."""
    recursive = request.get("Recursive", False)
    found = ctx.app.public_parameters.below(ctx.caller, request["Path"], recursive=recursive)
    if not _all_match(request.get("ParameterFilters", ())):
        found = []
    asked = {"MaxResults": _PAGE_SIZES[1], **request}
    shown, token = page(ctx, asked, found, key=lambda it: it.parameter.name, sizes=_PAGE_SIZES)
    return {"Parameters": [_view(each) for each in shown], "NextToken": token}


def _all_match(filters: Iterable[dict[str, Any]]) -> bool:
    """Tell whether what all public parameters have in common fits: their type, no key, no labels.

    Source: SSM API Reference, GetParametersByPath, ParameterFilters: Type, KeyId and Label; Equals and BeginsWith.
    """
    for each in filters:
        key, option, values = each["Key"], each.get("Option", "Equals"), each.get("Values", ())
        if key not in {"Type", "KeyId", "Label"}:
            raise ServiceError("InvalidFilterKey", "")
        if option not in {"Equals", "BeginsWith"} or (key, option) == ("Label", "BeginsWith"):
            raise ServiceError("InvalidFilterOption", f"The filter option {option} is not valid for {key}.")
        if not values:
            raise parameter_name_invalid(f"The filter {key} has no values.")
        fits = key == "Type" and any(
            value == _TYPE or (option == "BeginsWith" and _TYPE.startswith(value)) for value in values
        )
        if not fits:
            return False
    return True


def _view(found: FoundParameter) -> dict[str, Any]:
    return {
        "Name": found.parameter.name,
        "Type": _TYPE,
        "Value": found.version.image_id,
        "Version": found.version.version,
        "Selector": found.selector or None,
        "LastModifiedDate": found.version.modified_at,
        "ARN": found.parameter.arn,
        "DataType": "aws:ec2:image",
    }
