"""The image catalogue: who sees which images, who may launch them, what is said of them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bakehouse.app.account_settings import settings_of
from bakehouse.app.allowed_images import may_use
from bakehouse.app.context import AppContext
from bakehouse.app.public_access import check_image_sharing
from bakehouse.app.snapshots import check_description, checked_account_id, checked_receiver, owner_accounts
from bakehouse.domain.allowed_images import AllowedImagesState
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import malformed_id, not_found
from bakehouse.domain.ids import is_well_formed
from bakehouse.domain.image import Image, ImageState, check_image_name, image_name_taken, image_not_authorized
from bakehouse.domain.image_lifecycle import with_public_deprecation
from bakehouse.domain.image_watermark import public_image_has_no_watermarks
from bakehouse.domain.tags import check_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChange:
    """What ModifyImageAttribute changes; None leaves a member as it is. Launchers are account ids, or `all`."""

    description: str | None = None
    imds_support: str | None = None
    add_launchers: Collection[str] = ()
    remove_launchers: Collection[str] = ()


class ImageCatalogue:
    """Use cases on images that exist."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context
        self._lists: dict[tuple[str, str], tuple[int, list[Image]]] = {}

    def describe(
        self,
        caller: Caller,
        image_ids: Iterable[str] | None = None,
        *,
        owners: Collection[str] | None = None,
        launchable_by: Collection[str] | None = None,
        include_deprecated: bool = False,
        include_disabled: bool = False,
        matching: Callable[[Image], bool] | None = None,
    ) -> Sequence[Image]:
        """Return the images that are there for the caller: all, oldest first, or of these ids, owners and launchers.

        Of others' images those that are deprecated are named by their ids or left out, unless `include_deprecated`;
        disabled ones, which only their owner sees, are left out unless `include_disabled`.
        `owners` are account ids, `self`, or Amazon's aliases, which own nothing here. `launchable_by` asks for explicit
        launch permission: of account ids, `self`, or `all` for public images. `matching` leaves out what it does
        not take. A missing id is refused: InvalidAMIID.NotFound.
        """
        found = self._visible(caller) if image_ids is None else self._of_ids(caller, image_ids)
        if not include_disabled:
            found = [image for image in found if image.state is not ImageState.DISABLED]
        if owners is not None:
            accounts = owner_accounts(caller, owners)
            found = [image for image in found if image.account_id in accounts]
        if launchable_by is not None:
            launchers = {_launcher(caller, user) for user in launchable_by}
            found = [image for image in found if not launchers.isdisjoint(image.launch_accounts)]
        if matching is not None:
            found = [image for image in found if matching(image)]
        return self._listed(caller, found, include_deprecated=include_deprecated) if image_ids is None else found

    def named(self, caller: Caller, image_id: str) -> Image:
        """Return the image of this id, disabled or not, or refuse what is not there for the caller: not found."""
        (image,) = self._of_ids(caller, [image_id])
        return image

    def owned(self, caller: Caller, image_id: str) -> Image:
        """Return the caller's image. Refuses another's: AuthFailure if the caller may launch it, else not found."""
        (image,) = self._of_ids(caller, [image_id])
        if image.account_id != caller.account_id:
            raise image_not_authorized(image_id)
        return image

    async def change(self, caller: Caller, image_id: str, change: ImageChange) -> None:
        """Change an image of the caller's. To add a launcher twice, or to remove one that is none, changes nothing."""
        image = self.owned(caller, image_id)
        check_description(change.description or "")
        added = [checked_receiver(launcher) for launcher in change.add_launchers]
        removed = {checked_receiver(launcher) for launcher in change.remove_launchers}
        check_image_sharing(self._context, image, added)
        if "all" in added and image.watermarks:
            raise public_image_has_no_watermarks(image_id)
        launchers = dict.fromkeys((*image.launch_accounts, *added))
        changed = replace(
            image,
            description=image.description if change.description is None else change.description,
            imds_support=change.imds_support or image.imds_support,
            launch_accounts=tuple(launcher for launcher in launchers if launcher not in removed),
        )
        async with self._context.store.transaction() as tx:
            tx.put(with_public_deprecation(changed))

    async def reset_launchers(self, caller: Caller, image_id: str) -> None:
        """Make an image private again."""
        image = self.owned(caller, image_id)
        async with self._context.store.transaction() as tx:
            tx.put(replace(image, launch_accounts=()))

    def _listed(self, caller: Caller, images: Iterable[Image], *, include_deprecated: bool) -> list[Image]:
        """Return what of these images the caller finds without naming them."""
        allowed, now = settings_of(self._context, caller.account_id, caller.region).allowed_images, self._context.now()
        applied = allowed.state is AllowedImagesState.ENABLED
        return [
            image
            for image in images
            if image.account_id == caller.account_id
            or (
                (include_deprecated or not image.is_deprecated(now))
                and (not applied or allowed.allows(image, caller.account_id, now))
            )
        ]

    def _visible(self, caller: Caller) -> list[Image]:
        """Return what the caller has or may launch; made again only when an image has changed. Not to be changed."""
        place, images = (caller.account_id, caller.region), self._context.store.images
        known = self._lists.get(place)
        if known is not None and known[0] == images.version:
            return known[1]
        of_region = images.by("region")[caller.region].values()
        visible = [image for image in of_region if image.launchable_by(caller.account_id)]
        self._lists[place] = images.version, visible
        return visible

    def _of_ids(self, caller: Caller, image_ids: Iterable[str]) -> list[Image]:
        found, missing = [], []
        for image_id in dict.fromkeys(image_ids):
            if not is_well_formed(image_id, "image"):
                raise malformed_id("image", image_id)
            image = self._context.store.images.get(image_id)
            if image is None or image.region != caller.region or not may_use(self._context, caller, image):
                missing.append(image_id)
            else:
                found.append(image)
        if missing:
            raise not_found("image", missing)
        return found


def check_new_image(context: AppContext, caller: Caller, name: str, description: str, tags: Mapping[str, str]) -> None:
    """Refuse a name that an image of the caller's has (InvalidAMIName.Duplicate), and what no image may be called."""
    check_image_name(name)
    check_description(description)
    check_tags(tags)
    for image in context.store.images.by("name")[caller.account_id, caller.region, name].values():
        raise image_name_taken(name, image.id)


def _launcher(caller: Caller, user: str) -> str:
    if user == "self":
        return caller.account_id
    return user if user == "all" else checked_account_id(user)
