"""Which names a bucket and an object may have."""

import re
from typing import Final

from bakehouse.ports.objects import InvalidObjectName, NoSuchBucket

#: Source: Amazon S3 User Guide, "General purpose buckets naming rules".
_BUCKET: Final = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

#: Source: Amazon S3 User Guide, "Naming Amazon S3 objects": at most 1024 bytes of UTF-8.
KEY_BYTES_MAX: Final = 1024


def check_bucket(bucket: str) -> None:
    """Return if a bucket could have this name.

    Raises:
        NoSuchBucket: None can.
    """
    if not _BUCKET.fullmatch(bucket):
        raise NoSuchBucket(bucket)


def check_key(key: str) -> None:
    """Return if an object could have this key in any store.

    Raises:
        InvalidObjectName: None can.
    """
    try:
        length = len(key.encode())
    except UnicodeEncodeError as err:
        raise InvalidObjectName("an object's key is UTF-8") from err
    if not 0 < length <= KEY_BYTES_MAX:
        raise InvalidObjectName(f"an object's key has 1 to {KEY_BYTES_MAX} bytes")
