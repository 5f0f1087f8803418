"""The image catalogue: who sees which images, who may launch them, what is said of them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext
from bakehouse.app.snapshots import check_description, checked_account_id, owner_accounts
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import malformed_id, not_found
from bakehouse.domain.ids import is_well_formed
from bakehouse.domain.image import Image, image_not_authorized


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
    ) -> Sequence[Image]:
        """Return the images that the caller may launch: all, oldest first, or those of these ids, owners and launchers.

        `owners` are account ids, `self`, or Amazon's aliases, which own nothing here. `launchable_by` asks for explicit
        launch permission: of account ids, `self`, or `all` for public images. A missing id is refused:
        InvalidAMIID.NotFound.
        """
        found = self._visible(caller) if image_ids is None else self._of_ids(caller, image_ids)
        if owners is not None:
            accounts = owner_accounts(caller, owners)
            found = [image for image in found if image.account_id in accounts]
        if launchable_by is not None:
            launchers = {_launcher(caller, user) for user in launchable_by}
            found = [image for image in found if not launchers.isdisjoint(image.launch_accounts)]
        return found

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
        added = [_checked_launcher(launcher) for launcher in change.add_launchers]
        removed = {_checked_launcher(launcher) for launcher in change.remove_launchers}
        launchers = dict.fromkeys((*image.launch_accounts, *added))
        changed = replace(
            image,
            description=image.description if change.description is None else change.description,
            imds_support=change.imds_support or image.imds_support,
            launch_accounts=tuple(launcher for launcher in launchers if launcher not in removed),
        )
        async with self._context.store.transaction() as tx:
            tx.put(changed)

    async def reset_launchers(self, caller: Caller, image_id: str) -> None:
        """Make an image private again."""
        image = self.owned(caller, image_id)
        async with self._context.store.transaction() as tx:
            tx.put(replace(image, launch_accounts=()))

    def _visible(self, caller: Caller) -> list[Image]:
        """Return all that the caller sees; made again only when an image has changed. Not to be changed."""
        place, images = (caller.account_id, caller.region), self._context.store.images
        known = self._lists.get(place)
        if known is not None and known[0] == images.version:
            return known[1]
        visible = [image for image in images.by("region")[caller.region].values() if _is_visible(image, caller)]
        self._lists[place] = images.version, visible
        return visible

    def _of_ids(self, caller: Caller, image_ids: Iterable[str]) -> list[Image]:
        found, missing = [], []
        for image_id in dict.fromkeys(image_ids):
            if not is_well_formed(image_id, "image"):
                raise malformed_id("image", image_id)
            image = self._context.store.images.get(image_id)
            if image is None or image.region != caller.region or not _is_visible(image, caller):
                missing.append(image_id)
            else:
                found.append(image)
        if missing:
            raise not_found("image", missing)
        return found


def _is_visible(image: Image, caller: Caller) -> bool:
    return image.account_id == caller.account_id or image.launchable_by(caller.account_id)


def _launcher(caller: Caller, user: str) -> str:
    if user == "self":
        return caller.account_id
    return _checked_launcher(user)


def _checked_launcher(launcher: str) -> str:
    return launcher if launcher == "all" else checked_account_id(launcher)
