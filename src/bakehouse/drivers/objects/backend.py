"""What the store asks of a place that keeps objects. Every method blocks; they are run in threads."""

from collections.abc import Mapping
from typing import BinaryIO, Protocol

from bakehouse.drivers.long_work import Work


class Backend(Protocol):
    """Keeps buckets. The exceptions are those of `bakehouse.ports.objects`; each method may raise `AccessDenied`."""

    def check_bucket(self, bucket: str) -> None:
        """Return if this server may write to the bucket; NoSuchBucket if there is none."""
        ...

    def size(self, bucket: str, key: str) -> int:
        """Return an object's size in bytes; NoSuchBucket or NoSuchObject if there is none."""
        ...

    def read_into(self, bucket: str, key: str, file: BinaryIO, limit_bytes: int, work: Work) -> None:
        """Write an object's bytes into an empty file; ObjectTooLarge if there are more than the limit."""
        ...

    def write_from(self, file: BinaryIO, bucket: str, key: str, tags: Mapping[str, str], work: Work) -> None:
        """Make an object of a file's bytes, whole or not at all; of a former try nothing is left."""
        ...

    def tags(self, bucket: str, key: str) -> Mapping[str, str]:
        """Return an object's tags; NoSuchBucket or NoSuchObject if there is none."""
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, if there is one."""
        ...
