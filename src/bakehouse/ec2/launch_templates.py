"""Launch template operations."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.launch_templates import TemplateVersion, VersionsQuestion
from bakehouse.domain.errors import invalid_combination
from bakehouse.domain.launch_template import LaunchTemplate, TemplateChoice, template_not_found
from bakehouse.ec2.filters import Filters, Values, flag
from bakehouse.ec2.instance_filters import moment
from bakehouse.ec2.instance_template import template_of
from bakehouse.ec2.launch_template_data import kept, shown, warning
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribeLaunchTemplates and DescribeLaunchTemplateVersions, MaxResults.
_PAGE_SIZES: Final = (1, 200)

FILTERS: Final[Filters[LaunchTemplate]] = Filters(
    {
        "create-time": lambda it: [moment(it.created_at)],
        "launch-template-name": lambda it: [it.name],
    },
    tags=lambda it: it.tags,
)


def _of(path: str) -> Values[TemplateVersion]:
    """Return the values at a path of a version's data; lists on the way are all gone through."""

    def values(it: TemplateVersion) -> list[str]:
        found: list[Any] = [it.version.data]
        for name in path.split("."):
            found = [inner[name] for inner in found if isinstance(inner, Mapping) and name in inner]
            found = [entry for inner in found for entry in (inner if isinstance(inner, list) else [inner])]
        return [flag(value) if isinstance(value, bool) else str(value) for value in found]

    return values


VERSION_FILTERS: Final[Filters[TemplateVersion]] = Filters(
    {
        "create-time": lambda it: [moment(it.version.created_at)],
        "ebs-optimized": _of("EbsOptimized"),
        "host-resource-group-arn": _of("Placement.HostResourceGroupArn"),
        "http-endpoint": _of("MetadataOptions.HttpEndpoint"),
        "http-protocol-ipv4": lambda _it: ["enabled"],
        "http-tokens": _of("MetadataOptions.HttpTokens"),
        "iam-instance-profile": _of("IamInstanceProfile.Arn"),
        "image-id": _of("ImageId"),
        "instance-type": _of("InstanceType"),
        "is-default-version": lambda it: [flag(it.version.number == it.template.default_version)],
        "kernel-id": _of("KernelId"),
        "license-configuration-arn": _of("LicenseSpecifications.LicenseConfigurationArn"),
        "network-card-index": _of("NetworkInterfaces.NetworkCardIndex"),
        "ram-disk-id": _of("RamDiskId"),
    }
)


async def repeat_template(ctx: RequestContext, template_id: str) -> Response:
    """Answer a client token that came before with the template, as it is now."""
    (template,) = ctx.app.launch_templates.describe(ctx.caller, [template_id])
    return {"LaunchTemplate": _template(template)}


async def repeat_version(ctx: RequestContext, version_id: str) -> Response:
    """Answer a client token that came before with the version that it made."""
    made = ctx.app.launch_templates.version(version_id)
    if made is None:
        raise template_not_found(version_id.partition("/")[0])
    return {"LaunchTemplateVersion": _version(made), "Warning": warning(made.version.data)}


@operation(
    "CreateLaunchTemplate",
    honours="LaunchTemplateName VersionDescription LaunchTemplateData TagSpecifications",
    replay=repeat_template,
)
async def create_launch_template(ctx: RequestContext, request: Request) -> Response:
    """Make a template. Its data is kept as it is; the answer warns of what could not be launched."""
    data = kept(request["LaunchTemplateData"])
    template = await ctx.app.launch_templates.create(
        ctx.caller,
        request["LaunchTemplateName"],
        data,
        description=request.get("VersionDescription"),
        tags=requested_tags(request, "launch-template")["launch-template"],
    )
    return {"LaunchTemplate": _template(template), "Warning": warning(data)}


@operation(
    "CreateLaunchTemplateVersion",
    honours="LaunchTemplateId LaunchTemplateName SourceVersion VersionDescription LaunchTemplateData ResolveAlias",
    replay=repeat_version,
)
async def create_launch_template_version(ctx: RequestContext, request: Request) -> Response:
    """Make the next version of a template, over a version before it if that is named."""
    made = await ctx.app.launch_templates.add_version(
        ctx.caller,
        _choice(request),
        kept(request["LaunchTemplateData"]),
        source=request.get("SourceVersion"),
        description=request.get("VersionDescription"),
    )
    view = _resolved(ctx, _version(made)) if request.get("ResolveAlias") else _version(made)
    return {"LaunchTemplateVersion": view, "Warning": warning(made.version.data)}


@operation("DeleteLaunchTemplate", honours="LaunchTemplateId LaunchTemplateName")
async def delete_launch_template(ctx: RequestContext, request: Request) -> Response:
    """Remove a template with its versions."""
    return {"LaunchTemplate": _template(await ctx.app.launch_templates.delete(ctx.caller, _choice(request)))}


@operation("DeleteLaunchTemplateVersions", honours="LaunchTemplateId LaunchTemplateName Versions")
async def delete_launch_template_versions(ctx: RequestContext, request: Request) -> Response:
    """Remove versions; each that cannot be removed is told with its reason, the others go."""
    template, outcomes = await ctx.app.launch_templates.delete_versions(
        ctx.caller, _choice(request), request["Versions"]
    )
    named = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name}
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": [
            {**named, "VersionNumber": number} for number, hindrance in outcomes.items() if hindrance is None
        ],
        "UnsuccessfullyDeletedLaunchTemplateVersions": [
            {**named, "VersionNumber": number, "ResponseError": _hindrance(number, hindrance)}
            for number, hindrance in outcomes.items()
            if hindrance is not None
        ],
    }


@operation(
    "DescribeLaunchTemplates",
    honours="LaunchTemplateIds LaunchTemplateNames Filters MaxResults NextToken IncludeManagedResources",
)
async def describe_launch_templates(ctx: RequestContext, request: Request) -> Response:
    """List templates."""
    matches = FILTERS.compile(request)
    found = ctx.app.launch_templates.describe(
        ctx.caller, request.get("LaunchTemplateIds"), request.get("LaunchTemplateNames")
    )
    templates = [it for it in found if matches(it)]
    entries, token = page(ctx, request, templates, key=lambda it: it.id, sizes=_PAGE_SIZES)
    return {"LaunchTemplates": [_template(it) for it in entries], "NextToken": token}


@operation(
    "DescribeLaunchTemplateVersions",
    honours="LaunchTemplateId LaunchTemplateName Versions MinVersion MaxVersion Filters MaxResults NextToken "
    "ResolveAlias IncludeManagedResources",
)
async def describe_launch_template_versions(ctx: RequestContext, request: Request) -> Response:
    """List versions of one template, the newest first, or the latest or default ones of all templates."""
    matches = VERSION_FILTERS.compile(request)
    versions = [it for it in ctx.app.launch_templates.versions(ctx.caller, _question(request)) if matches(it)]
    entries, token = page(ctx, request, versions, key=lambda it: it.version.id, sizes=_PAGE_SIZES)
    views = [_version(it) for it in entries]
    if request.get("ResolveAlias"):
        views = [_resolved(ctx, view) for view in views]
    return {"LaunchTemplateVersions": views, "NextToken": token}


@operation("ModifyLaunchTemplate", honours="LaunchTemplateId LaunchTemplateName DefaultVersion", replay=repeat_template)
async def modify_launch_template(ctx: RequestContext, request: Request) -> Response:
    """Choose the version that launches take when they name none."""
    choice = _choice(request)
    template = await ctx.app.launch_templates.set_default(ctx.caller, choice, request.get("DefaultVersion"))
    return {"LaunchTemplate": _template(template)}


@operation("GetLaunchTemplateData", honours="InstanceId")
async def get_launch_template_data(ctx: RequestContext, request: Request) -> Response:
    """Return what a template must say to launch such an instance again."""
    (details,) = ctx.app.instances.describe(ctx.caller, [request["InstanceId"]])
    return {"LaunchTemplateData": template_of(details)}


def _choice(request: Request) -> TemplateChoice:
    return TemplateChoice(template_id=request.get("LaunchTemplateId"), name=request.get("LaunchTemplateName"))


def _question(request: Request) -> VersionsQuestion:
    first, last = request.get("MinVersion"), request.get("MaxVersion")
    selectors = tuple(request.get("Versions") or ())
    if selectors and (first or last):
        raise invalid_combination("The parameter Versions cannot be used with the parameters MinVersion and MaxVersion")
    named = request.get("LaunchTemplateId") or request.get("LaunchTemplateName")
    return VersionsQuestion(template=_choice(request) if named else None, selectors=selectors, first=first, last=last)


def _template(template: LaunchTemplate) -> Mapping[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": template.created_at,
        "CreatedBy": template.created_by,
        "DefaultVersionNumber": template.default_version,
        "LatestVersionNumber": template.latest_version,
        "Tags": tag_set(template.tags) or None,
        "Operator": {"Managed": False},
    }


def _version(it: TemplateVersion) -> Mapping[str, Any]:
    return {
        "LaunchTemplateId": it.template.id,
        "LaunchTemplateName": it.template.name,
        "VersionNumber": it.version.number,
        "VersionDescription": it.version.description,
        "CreateTime": it.version.created_at,
        "CreatedBy": it.version.created_by,
        "DefaultVersion": it.version.number == it.template.default_version,
        "LaunchTemplateData": shown(it.version.data),
        "Operator": {"Managed": False},
    }


def _resolved(ctx: RequestContext, view: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a version's view with the image that its parameter stands for now."""
    data = view["LaunchTemplateData"]
    if "ImageId" not in data:
        return view
    image_id = ctx.app.public_parameters.image_id(ctx.caller, data["ImageId"])
    return {**view, "LaunchTemplateData": {**data, "ImageId": image_id}}


def _hindrance(number: int, code: str) -> Mapping[str, str]:
    words = {
        "launchTemplateVersionDoesNotExist": f"The version {number} does not exist.",
        "unexpectedError": f"The version {number} is the default version, which cannot be deleted.",
    }
    return {"Code": code, "Message": words[code]}
