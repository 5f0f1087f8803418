"""Which instance types an image may be launched on, set by its owner."""

from dataclasses import replace

from bakehouse.app.context import AppContext
from bakehouse.app.image_catalogue import ImageCatalogue
from bakehouse.domain.caller import Caller
from bakehouse.domain.instance_type_specification import InstanceTypeSpecification


class ImageInstanceTypes:
    """Use cases on the instance types of images."""

    def __init__(self, context: AppContext, images: ImageCatalogue) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    async def replace(self, caller: Caller, image_id: str, specification: InstanceTypeSpecification | None) -> None:
        """Set what launches of the caller's image are held to from now on; None allows every instance type."""
        image = self._images.owned(caller, image_id)
        async with self._context.store.transaction() as tx:
            tx.put(replace(image, instance_type_specification=specification))
