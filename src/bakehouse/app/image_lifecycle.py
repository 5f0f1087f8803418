"""What becomes of registered images: disabled, deprecated, protected; and given back by those they are shared with."""

from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from bakehouse.app.context import AppContext
from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import DeregistrationProtection, Image
from bakehouse.domain.image_lifecycle import (
    cools_down,
    deprecated,
    disabled,
    enabled,
    not_deprecated,
    not_windows,
    permission_not_explicit,
    protected,
    unprotected,
)
from bakehouse.domain.snapshot_tier import snapshot_archived, snapshot_moving


class ImageLifecycle:
    """Use cases of owners on their images, and one of those whom an image is shared with."""

    def __init__(self, context: AppContext, images: ImageCatalogue) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    async def disable(self, caller: Caller, image_id: str) -> None:
        """Take an image out of use, and away from all whom it was shared with. A second time changes nothing.

        Refuses one that is pending or failed: InvalidAMIID.Unavailable.
        """
        await self._put(disabled(self._images.owned(caller, image_id)))

    async def enable(self, caller: Caller, image_id: str) -> None:
        """Let the owner launch and share an image again; refuses as `disable` does.

        Its snapshots must not be in the archive or on their way there, nor be restored for some days only:
        IncorrectState.
        Source: EBS User Guide, "Restore an archived Amazon EBS snapshot".
        """
        image = self._images.owned(caller, image_id)
        for snapshot_id in image.snapshot_ids:
            snapshot = self._context.store.snapshots.get(snapshot_id)
            if snapshot is not None and snapshot.is_archived:
                raise snapshot_archived(snapshot_id)
            if snapshot is not None and snapshot.is_leaving:
                raise snapshot_moving(snapshot_id)
        await self._put(enabled(image))

    async def deprecate(self, caller: Caller, image_id: str, at: datetime) -> None:
        """Let an image be deprecated at a time, which is rounded to the minute. Refuses what `deprecated` refuses."""
        await self._put(deprecated(self._images.owned(caller, image_id), at, self._context.now()))

    async def cancel_deprecation(self, caller: Caller, image_id: str) -> None:
        """Take back the deprecation, come or to come. Refuses a public image: OperationNotPermitted."""
        await self._put(not_deprecated(self._images.owned(caller, image_id)))

    async def protect(self, caller: Caller, image_id: str, *, cooldown: bool) -> DeregistrationProtection:
        """Protect an image from deregistration, also for a day after the protection ends if `cooldown`."""
        image = protected(self._images.owned(caller, image_id), cooldown=cooldown)
        await self._put(image)
        return image.deregistration_protection

    async def unprotect(self, caller: Caller, image_id: str) -> DeregistrationProtection:
        """End the protection of an image; where it has a cooldown, that begins now."""
        image = unprotected(self._images.owned(caller, image_id), self._context.now())
        await self._put(image)
        return image.deregistration_protection

    def cools_down(self, image: Image) -> bool:
        """Tell whether an image is still protected because the protection that was ended has a cooldown."""
        return cools_down(image, self._context.now())

    async def give_up_permission(self, caller: Caller, image_id: str) -> None:
        """Take the caller's account from those that may launch an image of another.

        Refuses an image that is not shared with the account itself, such as a public one: AuthFailure.
        """
        image = self._images.named(caller, image_id)
        if caller.account_id not in image.launch_accounts:
            raise permission_not_explicit(image_id)
        others = tuple(account for account in image.launch_accounts if account != caller.account_id)
        await self._put(replace(image, launch_accounts=others))

    def refuse_fast_launch(self, caller: Caller, image_id: str) -> NoReturn:
        """Refuse to pre-provision Windows images: InvalidParameterValue, as no image here is one, or not found."""
        image = self._images.named(caller, image_id)
        raise not_windows(image.id)

    async def _put(self, image: Image) -> None:
        async with self._context.store.transaction() as tx:
            tx.put(image)
