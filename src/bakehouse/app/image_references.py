"""What of an account refers to images."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import malformed_id
from bakehouse.domain.ids import is_well_formed
from bakehouse.domain.instance import InstanceState

EVERY_STATE: Final = frozenset(InstanceState)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """An instance of the caller's that was launched from an image."""

    image_id: str
    instance_id: str


class ImageReferences:
    """Use cases on references to images."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def of_instances(
        self, caller: Caller, image_ids: Iterable[str], states: Collection[InstanceState]
    ) -> list[ImageReference]:
        """Return the caller's instances in these states that were launched from these images, whoever owns those.

        An id without an image has no references: it may be one that was deregistered. Instances are the only
        resources here that refer to images: there are no launch templates, no recipes, and no parameters but the
        public ones, which are nobody's.
        """
        store, found = self._context.store, []
        for image_id in dict.fromkeys(image_ids):
            if not is_well_formed(image_id, "image"):
                raise malformed_id("image", image_id)
            found += [
                ImageReference(image_id=image_id, instance_id=instance.id)
                for instance in store.instances.by("image")[image_id].values()
                if instance.state in states
                and (instance.account_id, instance.region) == (caller.account_id, caller.region)
            ]
        return found
