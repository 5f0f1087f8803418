"""Object stores: folders of this host, an S3-compatible service, the web; and the folders that tasks work in."""

from bakehouse.drivers.objects.store import BucketStore

__all__ = ["BucketStore"]
