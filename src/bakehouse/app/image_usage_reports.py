"""Image usage reports: made at once, kept for 30 days."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.app.image_references import templates_naming
from bakehouse.app.snapshots import checked_account_id
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import malformed_id, not_found
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.image_usage_report import (
    ImageUsageReport,
    ReportedType,
    ReportState,
    UsageEntry,
    check_resource_types,
)
from bakehouse.domain.tags import check_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What CreateImageUsageReport asks for."""

    image_id: str
    resource_types: tuple[ReportedType, ...]
    accounts: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


class ImageUsageReports:
    """Use cases on image usage reports."""

    def __init__(self, context: AppContext, images: ImageCatalogue) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    async def create(self, caller: Caller, request: ReportRequest) -> ImageUsageReport:
        """Count who uses an image of the caller's, its owner too, and keep that: the report is `available`.

        Every instance counts that DescribeInstances shows, as in references to images, and every launch template with
        the image in so many of its newest versions.
        """
        check_resource_types(request.resource_types)
        check_tags(request.tags)
        accounts = tuple(dict.fromkeys(checked_account_id(account) for account in request.accounts))
        image = self._images.owned(caller, request.image_id)
        now = self._context.now()
        report = ImageUsageReport(
            id=new_id("image-usage-report"),
            account_id=caller.account_id,
            region=caller.region,
            image_id=image.id,
            resource_types=request.resource_types,
            accounts=accounts,
            created_at=now,
            state=ReportState.AVAILABLE,
            entries=self._count(image.id, request.resource_types, accounts),
            tags=dict(request.tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(report)
            tx.remember(caller, report.id, now.timestamp())
        return report

    def describe(
        self, caller: Caller, report_ids: Collection[str] | None = None, image_ids: Iterable[str] | None = None
    ) -> list[ImageUsageReport]:
        """Return the caller's reports: all, oldest first, or those of these ids, and those on these images."""
        now, records = self._context.now(), self._context.store.image_usage_reports
        found = scope(records, caller)
        if report_ids:
            found = owned(records, caller, "image-usage-report", report_ids)
            expired = [report.id for report in found if report.expires_at <= now]
            if expired:
                raise not_found("image-usage-report", expired)
        wanted = [_checked_image_id(image_id) for image_id in image_ids or ()]
        return [it for it in found if it.expires_at > now and (not wanted or it.image_id in wanted)]

    async def delete(self, caller: Caller, report_id: str) -> None:
        """Delete a report."""
        (report,) = self.describe(caller, [report_id])
        async with self._context.store.transaction() as tx:
            tx.delete(report)

    async def forget_expired(self) -> None:
        """Delete the reports whose time has come."""
        now = self._context.now()
        async with self._context.store.transaction() as tx:
            for report in [it for it in self._context.store.image_usage_reports if it.expires_at <= now]:
                tx.delete(report)

    def _count(self, image_id: str, types: Iterable[ReportedType], accounts: Collection[str]) -> tuple[UsageEntry, ...]:
        return tuple(
            UsageEntry(account_id=account_id, resource_type=it.name, count=count)
            for it in types
            for account_id, count in sorted(Counter(self._users(image_id, it)).items())
            if not accounts or account_id in accounts
        )

    def _users(self, image_id: str, reported: ReportedType) -> list[str]:
        """Return the account of each resource of a type that uses an image."""
        store = self._context.store
        if reported.version_depth is None:
            return [it.account_id for it in store.instances.by("image")[image_id].values()]
        return [it.account_id for it in templates_naming(store, image_id, reported.version_depth)]


def _checked_image_id(image_id: str) -> str:
    if not is_well_formed(image_id, "image"):
        raise malformed_id("image", image_id)
    return image_id
