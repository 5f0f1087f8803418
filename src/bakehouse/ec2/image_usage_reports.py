"""Image usage reports: made, listed with what they say, deleted."""

from typing import Any, Final, NamedTuple

from bakehouse.app.image_usage_reports import ReportRequest
from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.image_usage_report import (
    VERSION_DEPTH,
    ImageUsageReport,
    ReportedType,
    UsageEntry,
    reported_type,
)
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.image_views import moment
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribeImageUsageReports and DescribeImageUsageReportEntries; it names no largest page.
_SIZES: Final = (1, 1000)


class Entry(NamedTuple):
    """One line of a report."""

    report: ImageUsageReport
    usage: UsageEntry


#: Source: EC2 API Reference, DescribeImageUsageReports.
FILTERS: Final[Filters[ImageUsageReport]] = Filters(
    {
        "creation-time": lambda report: (moment(report.created_at),),
        "state": lambda report: (report.state,),
    },
    tags=lambda report: report.tags,
)

#: Source: EC2 API Reference, DescribeImageUsageReportEntries.
ENTRY_FILTERS: Final[Filters[Entry]] = Filters(
    {
        "account-id": lambda entry: (entry.usage.account_id,),
        "creation-time": lambda entry: (moment(entry.report.created_at),),
        "resource-type": lambda entry: (entry.usage.resource_type,),
    }
)


async def _repeat_create(_ctx: RequestContext, report_id: str) -> Response:
    return {"ReportId": report_id}


@operation(
    "CreateImageUsageReport",
    honours="ImageId ResourceTypes AccountIds TagSpecifications",
    replay=_repeat_create,
)
async def create_image_usage_report(ctx: RequestContext, request: Request) -> Response:
    """Count which accounts have instances of an image of the caller's, and how many."""
    report = await ctx.app.image_usage_reports.create(
        ctx.caller,
        ReportRequest(
            image_id=request["ImageId"],
            resource_types=tuple(_requested_type(entry) for entry in request["ResourceTypes"]),
            accounts=tuple(request.get("AccountIds") or ()),
            tags=requested_tags(request, "image-usage-report")["image-usage-report"],
        ),
    )
    return {"ReportId": report.id}


@operation("DescribeImageUsageReports", honours="ImageIds ReportIds Filters MaxResults NextToken")
async def describe_image_usage_reports(ctx: RequestContext, request: Request) -> Response:
    """List the caller's reports."""
    matches = FILTERS.compile(request)
    reports = [report for report in _requested_reports(ctx, request) if matches(report)]
    shown, token = page(ctx, request, reports, key=lambda report: report.id, sizes=_SIZES)
    return {"ImageUsageReports": [_view(report) for report in shown], "NextToken": token}


@operation("DescribeImageUsageReportEntries", honours="ImageIds ReportIds Filters MaxResults NextToken")
async def describe_image_usage_report_entries(ctx: RequestContext, request: Request) -> Response:
    """List what the caller's reports say: one row for each report and account."""
    matches = ENTRY_FILTERS.compile(request)
    reports = _requested_reports(ctx, request)
    entries = [it for report in reports for usage in report.entries if matches(it := Entry(report, usage))]
    shown, token = page(ctx, request, entries, key=_key, sizes=_SIZES)
    return {"ImageUsageReportEntries": [_entry_view(entry) for entry in shown], "NextToken": token}


@operation("DeleteImageUsageReport", honours="ReportId")
async def delete_image_usage_report(ctx: RequestContext, request: Request) -> Response:
    """Delete a report of the caller's."""
    await ctx.app.image_usage_reports.delete(ctx.caller, request["ReportId"])
    return {"Return": True}


def _requested_reports(ctx: RequestContext, request: Request) -> list[ImageUsageReport]:
    return ctx.app.image_usage_reports.describe(ctx.caller, request.get("ReportIds"), request.get("ImageIds"))


def _requested_type(entry: dict[str, Any]) -> ReportedType:
    if "ResourceType" not in entry:
        raise missing_parameter("resourceType")
    options = entry.get("ResourceTypeOptions") or ()
    return reported_type(
        entry["ResourceType"], [(it.get("OptionName", ""), it.get("OptionValues") or []) for it in options]
    )


def _key(entry: Entry) -> str:
    return f"{entry.report.id}/{entry.usage.account_id}/{entry.usage.resource_type}"


def _view(report: ImageUsageReport) -> Response:
    return {
        "ImageId": report.image_id,
        "ReportId": report.id,
        "ResourceTypes": [_type_view(it) for it in report.resource_types],
        "AccountIds": list(report.accounts),
        "State": report.state,
        "StateReason": report.state_reason,
        "CreationTime": report.created_at,
        "ExpirationTime": report.expires_at,
        "Tags": tag_set(report.tags),
    }


def _type_view(it: ReportedType) -> dict[str, Any]:
    if it.version_depth is None:
        return {"ResourceType": it.name}
    option = {"OptionName": VERSION_DEPTH, "OptionValues": [str(it.version_depth)]}
    return {"ResourceType": it.name, "ResourceTypeOptions": [option]}


def _entry_view(entry: Entry) -> Response:
    return {
        "ResourceType": entry.usage.resource_type,
        "ReportId": entry.report.id,
        "UsageCount": entry.usage.count,
        "AccountId": entry.usage.account_id,
        "ImageId": entry.report.image_id,
        "ReportCreationTime": entry.report.created_at,
    }
