"""What a launch template says, as it is kept, shown, and put below a request to launch.

A member that a request gives replaces the template's whole, lists too. Source: EC2 API Reference, RunInstances,
LaunchTemplate: "Any additional parameters that you specify for the new instance overwrite the corresponding parameters
included in the launch template".
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.launch_template import ID_TAG, VERSION_TAG, TemplateChoice
from bakehouse.ec2.launch_request import HONOURED, decoded_user_data
from bakehouse.ec2.registry import Members, Request, RequestContext, members

#: Members that are called otherwise in a request to launch.
_RENAMED: Final = {"RamDiskId": "RamdiskId"}
#: Members that say the same in two forms: a request that has one of them means none of the template's.
_ALTERNATIVES: Final = (("SecurityGroupIds", "SecurityGroups"), ("InstanceType", "InstanceRequirements"))

_LAUNCHABLE: Final[Members] = members(HONOURED)


def kept(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's LaunchTemplateData as it is kept: the only time in it as text.

    Refuses user data that is no base64: InvalidUserData.Malformed.
    """
    if "UserData" in data:
        decoded_user_data(data["UserData"])
    return _with_valid_until(data, datetime, datetime.isoformat)


def shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ResponseLaunchTemplateData."""
    return _with_valid_until(data, str, datetime.fromisoformat)


def warning(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a ValidationWarning of what is kept but cannot be launched here, None when all can be."""
    try:
        check_launchable(_as_request(data))
    except Ec2Error as refusal:
        return {"Errors": [{"Code": refusal.code, "Message": refusal.message}]}
    return None


def check_launchable(request: Mapping[str, Any]) -> None:
    """Refuse a request to launch with a member that is not honoured: UnsupportedOperation."""
    _LAUNCHABLE.refuse_others(request, {})


def templated(ctx: RequestContext, request: Request) -> tuple[Request, dict[str, str]]:
    """Return a request to launch over what the template that it names says, and the tags that tell of the template.

    Refuses templates and versions that are not there, and what a template has that is not honoured. Without a template
    the request stays as it is.
    """
    named = request.get("LaunchTemplate")
    if named is None:
        return request, {}
    choice = TemplateChoice(template_id=named.get("LaunchTemplateId"), name=named.get("LaunchTemplateName"))
    chosen = ctx.app.launch_templates.at(ctx.caller, choice, named.get("Version"))
    whole = _over(_as_request(shown(chosen.version.data)), request)
    check_launchable(whole)
    return whole, {ID_TAG: chosen.template.id, VERSION_TAG: str(chosen.version.number)}


def _as_request(data: Mapping[str, Any]) -> Request:
    return {_RENAMED.get(name, name): value for name, value in data.items()}


def _over(template: Request, request: Request) -> Request:
    below = dict(template)
    for names in _ALTERNATIVES:
        if any(request.get(name) for name in names):
            for name in names:
                below.pop(name, None)
    whole = {**below, **request}
    if "TagSpecifications" in template and "TagSpecifications" in request:
        whole["TagSpecifications"] = _tags_over(template["TagSpecifications"], request["TagSpecifications"])
    return whole


def _tags_over(template: list[Mapping[str, Any]], request: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tags of both, by resource type; of a key that both have the request's.

    Source: EC2 Auto Scaling User Guide, "Tag Auto Scaling groups and instances": tags that come with a launch and those
    of its template are merged, and the launch's win.
    """
    asked = {(it.get("ResourceType"), tag.get("Key")) for it in request for tag in it.get("Tags") or ()}
    left = [
        {**it, "Tags": [tag for tag in it.get("Tags") or () if (it.get("ResourceType"), tag.get("Key")) not in asked]}
        for it in template
    ]
    return [*left, *request]


def _with_valid_until(data: Mapping[str, Any], kind: type, convert: Any) -> dict[str, Any]:  # noqa: ANN401 - a function
    """Return the data with the time until which a spot request is valid converted, if it is of a type."""
    market = data.get("InstanceMarketOptions") or {}
    spot = market.get("SpotOptions") or {}
    if not isinstance(spot.get("ValidUntil"), kind):
        return dict(data)
    spot = {**spot, "ValidUntil": convert(spot["ValidUntil"])}
    return {**data, "InstanceMarketOptions": {**market, "SpotOptions": spot}}
