"""Where images come from, and what is still known of those that were deregistered."""

from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import Image
from bakehouse.store.store import Store

#: Source: EC2 User Guide, "Use AMI ancestry to trace the origin of an AMI": the longest list.
_MOST: Final = 50


def last_known(store: Store, image_id: str | None) -> Image | None:
    """Return an image as it is, or as it was when it was deregistered; None if nothing is known of it."""
    if image_id is None:
        return None
    image = store.images.get(image_id)
    if image is not None:
        return image
    gone = store.deregistered_images.get(image_id)
    return None if gone is None else gone.image


class ImageAncestry:
    """Use cases on the origin of images."""

    def __init__(self, context: AppContext, images: ImageCatalogue) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    def of(self, caller: Caller, image_id: str) -> list[Image]:
        """Return an image that the caller sees, then its source, and so on, as far as is known, 50 at most.

        The sources are told of whoever owns them and in whatever region, and after they were deregistered: their ids
        are in each copy. Source: EC2 User Guide, "Use AMI ancestry to trace the origin of an AMI".
        """
        chain = [self._images.named(caller, image_id)]
        while len(chain) < _MOST:
            source = last_known(self._context.store, chain[-1].source_image_id)
            if source is None:
                break
            chain.append(source)
        return chain

    def last_known(self, image_id: str) -> Image | None:
        """Return an image whatever has become of it, for those who have an instance of it."""
        return last_known(self._context.store, image_id)

    async def forget_unneeded(self) -> None:
        """Remove what is kept of deregistered images from which nothing comes any more that exists."""
        store = self._context.store
        recycled = {it.image.source_image_id for it in store.recycle_bin if it.image is not None}
        indexes = store.instances.by("image"), store.images.by("source"), store.deregistered_images.by("source")
        async with store.transaction() as tx:
            # The youngest first: with it may go its source.
            for gone in reversed(list(store.deregistered_images)):
                is_needed = gone.id in recycled or any(index[gone.id] for index in indexes)
                if gone.id in store.images or not is_needed:
                    tx.delete(gone)
