"""How guests may ask the metadata service: of one instance, and of all that an account will launch."""

from collections.abc import Mapping
from typing import Any

from bakehouse.domain.account_settings import AccountSettings
from bakehouse.domain.errors import not_honoured
from bakehouse.domain.metadata_options import MetadataPreferences
from bakehouse.ec2.instance_option_views import metadata_options_view
from bakehouse.ec2.launch_options import metadata_preferences
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: A member that says so takes the account's choice back. Source: EC2 API Reference, ModifyInstanceMetadataDefaults.
_NO_PREFERENCE = "no-preference"
_NO_HOP_LIMIT = -1


@operation(
    "ModifyInstanceMetadataOptions",
    honours="InstanceId HttpTokens HttpPutResponseHopLimit HttpEndpoint HttpProtocolIpv6 InstanceMetadataTags",
)
async def modify_instance_metadata_options(ctx: RequestContext, request: Request) -> Response:
    """Change an instance's options. They hold at once; the answer says `pending`, as EC2's does."""
    if request.get("HttpProtocolIpv6", "disabled") != "disabled":
        raise not_honoured("HttpProtocolIpv6=enabled")
    instance = await ctx.app.instance_options.modify_metadata(
        ctx.caller, request["InstanceId"], metadata_preferences(request)
    )
    options = metadata_options_view(instance.metadata_options)
    return {"InstanceId": instance.id, "InstanceMetadataOptions": {**options, "State": "pending"}}


@operation("GetInstanceMetadataDefaults")
async def get_instance_metadata_defaults(ctx: RequestContext, _request: Request) -> Response:
    """Show what the account has chosen for new instances; what it has not is left out."""
    return {"AccountLevel": _defaults(ctx.app.instance_options.metadata_defaults(ctx.caller))}


@operation(
    "ModifyInstanceMetadataDefaults",
    honours="HttpTokens HttpPutResponseHopLimit HttpEndpoint InstanceMetadataTags HttpTokensEnforced",
)
async def modify_instance_metadata_defaults(ctx: RequestContext, request: Request) -> Response:
    """Choose what new instances begin with."""
    before = ctx.app.instance_options.metadata_defaults(ctx.caller)
    shown = {name: value for name, value in _defaults(before).items() if name != "ManagedBy"}
    wanted = {name: value for name, value in (shown | request).items() if value not in (_NO_PREFERENCE, _NO_HOP_LIMIT)}
    await ctx.app.instance_options.modify_metadata_defaults(
        ctx.caller,
        metadata_preferences(wanted),
        tokens_enforced=wanted["HttpTokensEnforced"] == "enabled" if "HttpTokensEnforced" in wanted else None,
    )
    return {"Return": True}


def _defaults(settings: AccountSettings) -> Mapping[str, Any]:
    chosen: MetadataPreferences = settings.metadata_defaults
    members = {
        "HttpTokens": _word(chosen.tokens_required, "required", "optional"),
        "HttpPutResponseHopLimit": chosen.hop_limit,
        "HttpEndpoint": _word(chosen.endpoint_enabled, "enabled", "disabled"),
        "InstanceMetadataTags": _word(chosen.tags_enabled, "enabled", "disabled"),
        "HttpTokensEnforced": _word(settings.metadata_tokens_enforced, "enabled", "disabled"),
        "ManagedBy": "account",
    }
    return {name: value for name, value in members.items() if value is not None}


def _word(value: bool | None, yes: str, no: str) -> str | None:  # noqa: FBT001 - this is about a boolean
    return None if value is None else yes if value else no
