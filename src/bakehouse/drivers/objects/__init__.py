"""Object stores: folders of this host, an S3-compatible service, the web; and the folders that tasks work in."""

from pathlib import Path

from bakehouse.drivers.objects.store import BucketStore
from bakehouse.drivers.objects.web import WebFiles

__all__ = ["BucketStore", "open_store"]


def open_store(
    *, buckets: Path, work: Path, s3: tuple[str | None, str, str | None], fetch_from_this_host: bool
) -> BucketStore:
    """Open the store that a server's settings describe.

    Args:
        buckets: Folder whose subfolders are buckets.
        work: Folder for the tasks' own.
        s3: Of the service with all other buckets: its URL, None without a service; the region; the profile.
        fetch_from_this_host: Whether URLs of this host may be fetched from.
    """
    endpoint_url, region, profile = s3
    service = None
    if endpoint_url is not None:
        from bakehouse.drivers.objects.s3 import S3Buckets  # noqa: PLC0415 - boto3 takes 0.2 s of each start

        service = S3Buckets(endpoint_url, region=region, profile=profile)
    return BucketStore(buckets=buckets, work=work, service=service, web=WebFiles(allow_this_host=fetch_from_this_host))
