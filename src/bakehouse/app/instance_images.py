"""The images that instances were launched from, whatever has become of them."""

from collections.abc import Collection
from dataclasses import dataclass

from bakehouse.app.allowed_images import AllowedImagesSettings
from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.image_ancestry import last_known
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import Image
from bakehouse.domain.instance import Instance


@dataclass(frozen=True, slots=True)
class InstanceImage:
    """An instance and its image."""

    instance: Instance
    image: Image | None
    """None if nothing is known of it any more."""
    is_allowed: bool | None
    """Whether it meets the criteria of the instance's account; None if it is not known."""


class InstanceImages:
    """Use cases on the images of instances."""

    def __init__(self, context: AppContext, settings: AllowedImagesSettings) -> None:
        """Work on these records."""
        self._context = context
        self._settings = settings

    def describe(self, caller: Caller, instance_ids: Collection[str] | None = None) -> list[InstanceImage]:
        """Return the images of the caller's instances: of all, oldest first, or of these. InvalidInstanceID.NotFound.

        An image is told of that was deregistered, disabled, deprecated, made private or is not allowed.
        """
        records = self._context.store.instances
        instances = owned(records, caller, "instance", instance_ids) if instance_ids else scope(records, caller)
        return [self._of(caller, instance) for instance in instances]

    def _of(self, caller: Caller, instance: Instance) -> InstanceImage:
        image = last_known(self._context.store, instance.image_id)
        return InstanceImage(instance, image, None if image is None else self._settings.allowed(caller, image))
