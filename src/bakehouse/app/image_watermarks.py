"""Watermarks of images, attached and detached by their owners. What comes of an image inherits them."""

from dataclasses import replace

from bakehouse.app.context import AppContext
from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import ImageState, image_unavailable
from bakehouse.domain.image_watermark import (
    WATERMARKS_PER_IMAGE,
    ImageWatermark,
    check_watermark_key,
    public_image_has_no_watermarks,
    too_many_watermarks,
    watermark_key,
)


class ImageWatermarks:
    """Use cases on watermarks."""

    def __init__(self, context: AppContext, images: ImageCatalogue) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    async def attach(self, caller: Caller, image_id: str, name: str) -> str:
        """Attach the caller's watermark of this name to an image of the caller's, and return its key.

        One that the image has, attached here or inherited, stays as it is. Refuses a public image
        (OperationNotPermitted), one that is not made yet (InvalidAMIID.Unavailable), and a sixth watermark
        (ResourceLimitExceeded).
        """
        key = watermark_key(caller.account_id, name)
        image = self._images.owned(caller, image_id)
        if image.state not in (ImageState.AVAILABLE, ImageState.DISABLED):
            raise image_unavailable(image_id)
        if image.is_public:
            raise public_image_has_no_watermarks(image_id)
        if any(it.key == key for it in image.watermarks):
            return key
        if len(image.watermarks) >= WATERMARKS_PER_IMAGE:
            raise too_many_watermarks(image_id)
        watermark = ImageWatermark(
            key=key,
            source_image_id=image.id,
            source_image_region=image.region,
            source_image_created_at=image.created_at,
            created_at=self._context.now(),
        )
        async with self._context.store.transaction() as tx:
            tx.put(replace(image, watermarks=(*image.watermarks, watermark)))
        return key

    async def detach(self, caller: Caller, image_id: str, key: str) -> None:
        """Take a watermark off an image of the caller's, whoever attached it. None of this key: nothing happens."""
        check_watermark_key(key)
        image = self._images.owned(caller, image_id)
        rest = tuple(it for it in image.watermarks if it.key != key)
        if len(rest) < len(image.watermarks):
            async with self._context.store.transaction() as tx:
                tx.put(replace(image, watermarks=rest))
