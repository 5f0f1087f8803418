"""Building images for the command line, in the user's own cache."""

import os
from collections.abc import Callable
from pathlib import Path

from bakehouse.drivers.images import builder
from bakehouse.drivers.images.packages import PackagesUnavailable
from bakehouse.drivers.images.recipe import RECIPES, BuiltImage, Progress
from bakehouse.drivers.images.sources import NoPackageSources
from bakehouse.drivers.process import ProcessFailed
from bakehouse.settings import Settings, default_cache


class BuildFailed(Exception):
    """An image could not be built. The text says why."""


class NothingToBuild(BuildFailed):
    """There is no such recipe, or none for the architecture. The text says which there are."""


def is_recipe(name: str) -> bool:
    """Tell whether such an image can be built."""
    return name in RECIPES


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
    except builder.UnknownRecipe as err:
        raise NothingToBuild(str(err)) from err
    except (NoPackageSources, PackagesUnavailable, ProcessFailed) as err:
        raise BuildFailed(str(err)) from err
