"""Allowed AMIs: an account limits which images of others it finds and uses in a region."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bakehouse.app.account_settings import change_settings, settings_of
from bakehouse.app.context import AppContext
from bakehouse.domain.allowed_images import AllowedImages, AllowedImagesState, ImageCriterion, check_criteria
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import Image


def meets_criteria(context: AppContext, caller: Caller, image: Image) -> bool | None:
    """Tell whether an image meets the caller's criteria, applied or audited; None where Allowed AMIs is disabled."""
    settings = settings_of(context, caller.account_id, caller.region).allowed_images
    if settings.state is AllowedImagesState.DISABLED:
        return None
    return settings.allows(image, caller.account_id, context.now())


def may_use(context: AppContext, caller: Caller, image: Image) -> bool:
    """Tell whether an image is there for the caller: its own, or one that it may launch and has not barred itself from.

    What is not there for a caller is not found, whatever it asks for. Whether the image's state lets anybody launch it
    is another question.
    """
    if image.account_id == caller.account_id:
        return True
    if not image.launchable_by(caller.account_id):
        return False
    settings = settings_of(context, caller.account_id, caller.region).allowed_images
    return settings.state is not AllowedImagesState.ENABLED or settings.allows(image, caller.account_id, context.now())


class AllowedImagesSettings:
    """Use cases on the settings."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def of(self, caller: Caller) -> AllowedImages:
        """Return the caller's settings."""
        return settings_of(self._context, caller.account_id, caller.region).allowed_images

    def allowed(self, caller: Caller, image: Image) -> bool:
        """Tell whether an image is allowed; all are where Allowed AMIs is disabled."""
        return meets_criteria(self._context, caller, image) is not False

    def verdict(self, caller: Caller) -> Callable[[Image], bool] | None:
        """Return what tells for each image whether it meets the criteria; None where Allowed AMIs is disabled."""
        settings, now = self.of(caller), self._context.now()
        if settings.state is AllowedImagesState.DISABLED:
            return None
        return lambda image: settings.allows(image, caller.account_id, now)

    async def set_state(self, caller: Caller, state: AllowedImagesState) -> None:
        """Apply the criteria, only show what they would do, or do neither. The criteria stay."""
        await change_settings(self._context, caller, allowed_images=replace(self.of(caller), state=state))

    async def replace_criteria(self, caller: Caller, criteria: Sequence[ImageCriterion]) -> None:
        """Set the criteria; none allow no image of others. Refuses what `check_criteria` refuses."""
        check_criteria(criteria)
        await change_settings(self._context, caller, allowed_images=replace(self.of(caller), criteria=tuple(criteria)))
