"""What of an account refers to images."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import malformed_id
from bakehouse.domain.ids import is_well_formed
from bakehouse.domain.image_usage_report import INSTANCE, LAUNCH_TEMPLATE
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.launch_template import LaunchTemplate
from bakehouse.store.store import Store

EVERY_STATE: Final = frozenset(InstanceState)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """Something of the caller's that refers to an image: an instance launched from it, a launch template naming it."""

    image_id: str
    resource_type: str
    """As DescribeImageReferences has it: `ec2:Instance`."""
    resource_id: str


class ImageReferences:
    """Use cases on references to images."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def of_instances(
        self, caller: Caller, image_ids: Iterable[str], states: Collection[InstanceState]
    ) -> list[ImageReference]:
        """Return the caller's instances in these states that were launched from these images, whoever owns those.

        An id without an image has no references: it may be one that was deregistered.
        """
        return [
            ImageReference(image_id=image_id, resource_type=INSTANCE, resource_id=instance.id)
            for image_id in _checked(image_ids)
            for instance in self._context.store.instances.by("image")[image_id].values()
            if instance.state in states and (instance.account_id, instance.region) == (caller.account_id, caller.region)
        ]

    def of_templates(self, caller: Caller, image_ids: Iterable[str], depth: int) -> list[ImageReference]:
        """Return the caller's launch templates that name these images in one of so many newest versions.

        Beside these and instances nothing here refers to images: there are no recipes, and no parameters but the public
        ones, which are nobody's.
        """
        return [
            ImageReference(image_id=image_id, resource_type=LAUNCH_TEMPLATE, resource_id=template.id)
            for image_id in _checked(image_ids)
            for template in templates_naming(self._context.store, image_id, depth)
            if (template.account_id, template.region) == (caller.account_id, caller.region)
        ]


def templates_naming(store: Store, image_id: str, depth: int) -> list[LaunchTemplate]:
    """Return the launch templates, whosever they are, that name an image in one of their newest `depth` versions."""
    found: dict[str, LaunchTemplate] = {}
    for version in store.launch_template_versions.by("image")[image_id].values():
        numbers = [it.number for it in store.launch_template_versions.by("template")[version.template_id].values()]
        if version.number in sorted(numbers, reverse=True)[:depth]:
            found[version.template_id] = store.launch_templates[version.template_id]
    return list(found.values())


def _checked(image_ids: Iterable[str]) -> list[str]:
    """Return each id once, or refuse what is no image's id."""
    checked = list(dict.fromkeys(image_ids))
    for image_id in checked:
        if not is_well_formed(image_id, "image"):
            raise malformed_id("image", image_id)
    return checked
