"""Building images for the command line, in the user's own cache."""

import os
from collections.abc import Callable
from pathlib import Path

from bakehouse.drivers.images import builder
from bakehouse.drivers.images.packages import PackagesUnavailable
from bakehouse.drivers.images.recipe import BuiltImage, Progress
from bakehouse.drivers.images.sources import NoPackageSources
from bakehouse.drivers.process import ProcessFailed
from bakehouse.settings import Settings, default_cache


class BuildFailed(Exception):
    """An image could not be built. The text says why."""


async def build_image(
    settings: Settings,
    recipe: str,
    architecture: str,
    mirror: str | None,
    progress: Callable[[Progress], None],
) -> BuiltImage:
    """Build an image in the user's cache, or find it there."""
    sources = Path(settings.apt_sources) if settings.apt_sources else None
    try:
        return await builder.build(
            recipe,
            cache=default_cache(os.environ),
            architecture=architecture,
            apt_sources=sources,
            mirror=mirror,
            progress=progress,
        )
    except (builder.UnknownRecipe, NoPackageSources, PackagesUnavailable, ProcessFailed) as err:
        raise BuildFailed(str(err)) from err
