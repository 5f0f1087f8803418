"""Watermarks: marks of an account that stay with an image and with every image that comes of it.

Source: EC2 User Guide, "Use AMI watermarks to track and identify AMIs".
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_value, operation_not_permitted

#: Source: EC2 User Guide, "How AMI watermarks work".
WATERMARKS_PER_IMAGE: Final = 5

#: Source: EC2 API Reference, AttachImageWatermark, WatermarkName.
_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
_KEY: Final = re.compile(rf"\d{{12}}:{_NAME.pattern}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWatermark:
    """A watermark. It says of a copy, too, where and when it was first attached."""

    key: str
    """`ACCOUNT:NAME`, where the account is the one that attached it."""
    source_image_id: str
    source_image_region: str
    source_image_created_at: datetime
    created_at: datetime


def watermark_key(account_id: str, name: str) -> str:
    """Return the key of an account's watermark. Refuses a name that no watermark may have: InvalidParameterValue."""
    if _NAME.fullmatch(name) is None:
        raise invalid_value(
            name,
            "watermarkName",
            "Watermark names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'.",
        )
    return f"{account_id}:{name}"


def check_watermark_key(key: str) -> None:
    """Refuse what can be no watermark's key: InvalidParameterValue."""
    if _KEY.fullmatch(key) is None:
        raise invalid_value(key, "watermarkKey", "Expecting the form accountId:watermarkName.")


def too_many_watermarks(image_id: str) -> Ec2Error:
    """Source of the limit: EC2 User Guide, "How AMI watermarks work"; the code is the one of EC2's other limits."""
    return Ec2Error(
        "ResourceLimitExceeded",
        f"The image '{image_id}' already has {WATERMARKS_PER_IMAGE} watermarks, the most it can",
    )


def public_image_has_no_watermarks(image_id: str) -> Ec2Error:
    """Source of the rule, both ways: EC2 User Guide, "How AMI watermarks work", Not available on public AMIs."""
    return operation_not_permitted(f"The image '{image_id}' cannot be public and have watermarks")
