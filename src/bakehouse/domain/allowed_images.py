"""Allowed AMIs: which images of others an account lets itself find and use.

Source: EC2 User Guide, "Control the discovery and use of AMIs in Amazon EC2 with Allowed AMIs". An image must meet all
that one criterion asks for, and one criterion is enough; of several values of one kind any will do. An account's own
images are always allowed. Without criteria nothing of others is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, invalid_combination, invalid_parameter, invalid_value
from bakehouse.domain.image import Image
from bakehouse.domain.image_watermark import ImageWatermark
from bakehouse.domain.wildcards import wildcards

#: Providers beside accounts. None of them owns an image here, so that they allow nothing.
_ALIASES: Final = frozenset({"amazon", "aws-backup-vault", "aws-marketplace"})
#: The provider that stands for "nobody else", alone.
_NOBODY: Final = "none"

#: Source: EC2 API Reference, ReplaceImageCriteriaInAllowedImagesSettings and ImageCriterionRequest.
_CRITERIA_MAX: Final = 10
_VALUES_MAX: Final = {"imageProvider": 200, "imageName": 50, "marketplaceProductCode": 50, "imageWatermark": 50}
_NAME: Final = re.compile(r"[A-Za-z0-9()\[\]./\-'@_*? ]{1,128}")
#: Names that use the wildcard `?` are at least so long.
_NAME_WITH_ANY_MIN: Final = 3
_PRODUCT_CODE: Final = re.compile(r"[A-Za-z0-9]{1,25}")
_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}")
_DAYS_MAX: Final = 2**31 - 1
_DAY: Final = timedelta(days=1)


class AllowedImagesState(StrEnum):
    """Source: EC2 API Reference, GetAllowedImagesSettings."""

    DISABLED = "disabled"
    AUDIT_MODE = "audit-mode"
    ENABLED = "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatermarkCriterion:
    """What one watermark of an image must be like; None asks for nothing. Texts may have the wildcards `*` and `?`."""

    key: str | None = None
    source_region: str | None = None
    days_since_source_created: int | None = None
    days_since_attached: int | None = None

    def is_met_by(self, watermark: ImageWatermark, now: datetime) -> bool:
        """Tell whether a watermark is like that."""
        return (
            (self.key is None or _matches(self.key, watermark.key))
            and (self.source_region is None or _matches(self.source_region, watermark.source_image_region))
            and _is_within(self.days_since_source_created, watermark.source_image_created_at, now)
            and _is_within(self.days_since_attached, watermark.created_at, now)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCriterion:
    """What an image must be like, all of it; what is empty or None asks for nothing."""

    providers: tuple[str, ...] = ()
    """Account ids, Amazon's aliases, or `none` alone."""
    product_codes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """May have the wildcards `*` and `?`."""
    days_since_deprecated: int | None = None
    """The most that may have passed; 0 allows no deprecated image."""
    days_since_created: int | None = None
    watermarks: tuple[WatermarkCriterion, ...] = ()

    def is_met_by(self, image: Image, now: datetime) -> bool:
        """Tell whether an image is like that."""
        return (
            (not self.providers or image.account_id in self.providers)
            and not self.product_codes  # no image here has a product code
            and (not self.names or wildcards(self.names, escapes=False).fullmatch(image.name) is not None)
            and _is_within(self.days_since_created, image.created_at, now)
            and self._allows_deprecation(image, now)
            and (
                not self.watermarks
                or any(it.is_met_by(mark, now) for it in self.watermarks for mark in image.watermarks)
            )
        )

    def _allows_deprecation(self, image: Image, now: datetime) -> bool:
        if self.days_since_deprecated is None or image.deprecation_time is None or not image.is_deprecated(now):
            return True
        return self.days_since_deprecated > 0 and _is_within(self.days_since_deprecated, image.deprecation_time, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedImages:
    """An account's settings in a region."""

    state: AllowedImagesState = AllowedImagesState.DISABLED
    criteria: tuple[ImageCriterion, ...] = ()

    def allows(self, image: Image, account_id: str, now: datetime) -> bool:
        """Tell whether an image meets the criteria, whether or not they are applied."""
        return image.account_id == account_id or any(it.is_met_by(image, now) for it in self.criteria)


def check_criteria(criteria: Sequence[ImageCriterion]) -> None:
    """Refuse criteria that are too many, empty, or of a wrong form: InvalidParameterValue.

    `none` beside anything else is refused too: InvalidParameterCombination.
    """
    if len(criteria) > _CRITERIA_MAX:
        raise _too_many("imageCriterion", _CRITERIA_MAX)
    for criterion in criteria:
        if criterion == ImageCriterion():
            raise invalid_parameter("An image criterion must name at least one condition.")
        _check_counts(criterion)
        _check_texts(criterion)
        _check_days(criterion)
    if any(_NOBODY in it.providers for it in criteria) and criteria != [ImageCriterion(providers=(_NOBODY,))]:
        raise invalid_combination(f"The image provider '{_NOBODY}' cannot be combined with other criteria")


def _check_counts(criterion: ImageCriterion) -> None:
    for name, values in (
        ("imageProvider", criterion.providers),
        ("imageName", criterion.names),
        ("marketplaceProductCode", criterion.product_codes),
        ("imageWatermark", criterion.watermarks),
    ):
        if len(values) > _VALUES_MAX[name]:
            raise _too_many(name, _VALUES_MAX[name])


def _check_texts(criterion: ImageCriterion) -> None:
    for provider in criterion.providers:
        if provider not in _ALIASES and provider != _NOBODY and _ACCOUNT_ID.fullmatch(provider) is None:
            raise invalid_value(provider, "imageProvider", "Expecting an account ID or a provider's alias.")
    for name in criterion.names:
        if _NAME.fullmatch(name) is None or ("?" in name and len(name) < _NAME_WITH_ANY_MIN):
            raise invalid_value(name, "imageName")
    for code in criterion.product_codes:
        if _PRODUCT_CODE.fullmatch(code) is None:
            raise invalid_value(code, "marketplaceProductCode")
    for watermark in criterion.watermarks:
        if watermark == WatermarkCriterion():
            raise invalid_parameter("An image watermark filter must name at least one condition.")


def _check_days(criterion: ImageCriterion) -> None:
    for name, days in (
        ("maximumDaysSinceDeprecated", criterion.days_since_deprecated),
        ("maximumDaysSinceCreated", criterion.days_since_created),
        *(("maximumDaysSinceSourceImageCreated", it.days_since_source_created) for it in criterion.watermarks),
        *(("maximumDaysSinceWatermarkCreated", it.days_since_attached) for it in criterion.watermarks),
    ):
        if days is not None and not 0 <= days <= _DAYS_MAX:
            raise invalid_value(days, name, f"Expecting a value between 0 and {_DAYS_MAX}.")


def _too_many(name: str, most: int) -> Ec2Error:
    return invalid_parameter(f"The maximum number of {name} values is {most}.")


def _is_within(days: int | None, since: datetime, now: datetime) -> bool:
    """Tell whether no more days have passed; the largest number allowed is more than a `timedelta` can hold."""
    return days is None or (now - since) / _DAY <= days


def _matches(pattern: str, text: str) -> bool:
    return wildcards((pattern,), escapes=False).fullmatch(text) is not None
