"""Bakes an image, or finds it baked.

An image is known by its *content key*, a hash over everything that goes into it: this package's version, the
recipe's files, and the exact packages. Asking for an image whose key is there costs one look; a mirror is asked
for newer packages once a day, and without a network what is there is used.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers.images import debian12, minimal, sources
from bakehouse.drivers.images.architecture import ARCHITECTURES, Architecture
from bakehouse.drivers.images.cache import ImageCache
from bakehouse.drivers.images.packages import Archive, Package
from bakehouse.drivers.images.recipe import RECIPES, BuiltImage, Job, Progress, Recipe, RecipeName, Report

#: Time of everything in an image, 2024-01-01: an image must not differ by when it was baked.
EPOCH_S: Final = 1_704_067_200

ROOT_DEVICE_NAME: Final = "/dev/xvda"

#: How far a build is when it has its packages.
_FETCHED: Final = 0.3

_BAKERS: Final = {RecipeName.MINIMAL: minimal.bake, RecipeName.DEBIAN_12: debian12.bake}


class UnknownRecipe(Exception):
    """There is no recipe, or no architecture, of this name."""


async def build(
    recipe: str,
    *,
    cache: Path,
    architecture: str = "x86_64",
    apt_sources: Path | None = None,
    mirror: str | None = None,
    progress: Report = lambda _progress: None,
) -> BuiltImage:
    """Return the image that a recipe makes of today's packages, baking it if it is not in the cache.

    Nothing is left behind by a build that fails or is cancelled; of a killed one, the next removes the remains.
    Two builds at once take turns.

    Args:
        recipe: `minimal` or `debian-12`.
        architecture: `x86_64`, `i386` or `arm64`.
        cache: Folder for finished images, package lists and packages; made if it is not there.
        apt_sources: A file in one of apt's formats that names the mirrors; the host's Debian sources by default.
        mirror: Address of a Debian mirror to use instead of the host's sources.
        progress: Told about each step, in order, the last one with fraction 1.

    Raises:
        UnknownRecipe: Nothing was done.
        sources.NoPackageSources: The host names no Debian mirror and none was given.
        packages.PackagesUnavailable: The mirror cannot be reached or lacks a package, and no older list is there.
        process.ProcessFailed: A tool of the host is missing (`ProgramNotFound`) or failed.
    """
    chosen, made_for = _find_recipe(recipe, architecture)
    store = ImageCache.at(cache)
    progress(Progress("looking for newer packages", 0.0))
    archive = Archive(store.apt(made_for.debian), await sources.choose(apt_sources, mirror), made_for.debian)
    found = _remembered(archive, chosen, made_for)
    if found is None or not store.has(chosen, content_key(chosen, made_for, found)):
        async with store.workspace() as workspace:
            found = await _resolve(archive, chosen, made_for)
            # Another build may have made it while this one waited for its turn.
            if not store.has(chosen, content_key(chosen, made_for, found)):
                await _bake(chosen, made_for, store, archive, found, workspace, progress)
    progress(Progress("done", 1.0))
    return _built(chosen, made_for, store, content_key(chosen, made_for, found))


@dataclass(frozen=True, slots=True)
class Ingredients:
    """The exact packages of an image: those in it, and those with the boot loaders that are written before it."""

    contents: tuple[Package, ...]
    loaders: tuple[Package, ...]


def _remembered(archive: Archive, recipe: Recipe, architecture: Architecture) -> Ingredients | None:
    contents = archive.remembered(recipe.words("packages", architecture), closure=recipe.with_dependencies)
    loaders = archive.remembered(recipe.words("loaders", architecture), closure=False)
    return None if contents is None or loaders is None else Ingredients(contents, loaders)


async def _resolve(archive: Archive, recipe: Recipe, architecture: Architecture) -> Ingredients:
    return Ingredients(
        contents=await archive.resolve(recipe.words("packages", architecture), closure=recipe.with_dependencies),
        loaders=await archive.resolve(recipe.words("loaders", architecture), closure=False),
    )


def content_key(recipe: Recipe, architecture: Architecture, found: Ingredients) -> str:
    """Return the hash over all that makes the image what it is."""
    sha = hashlib.sha256(f"{recipe.digest()} {architecture.name}\n".encode())
    for package in (*found.contents, *found.loaders):
        sha.update(f"{package.file} {package.digest}\n".encode())
    return sha.hexdigest()


def _built(recipe: Recipe, architecture: Architecture, store: ImageCache, key: str) -> BuiltImage:
    path = store.path_of(recipe, key)
    return BuiltImage(
        recipe=recipe.name,
        path=path,
        size_bytes=path.stat().st_size,
        content_key=key,
        root_device_name=ROOT_DEVICE_NAME,
        architecture=architecture.name,
        boot_mode=_boot_mode(recipe, architecture),
        description=recipe.description,
        default_user=recipe.default_user,
    )


def _boot_mode(recipe: Recipe, architecture: Architecture) -> str:
    if not architecture.has_bios:
        return "uefi"
    return "legacy-bios" if architecture.grub_target is None else recipe.boot_mode


async def _bake(
    recipe: Recipe,
    architecture: Architecture,
    store: ImageCache,
    archive: Archive,
    found: Ingredients,
    workspace: Path,
    report: Report,
) -> None:
    report(Progress("fetching packages", 0.0))
    contents = await archive.fetch(
        found.contents, lambda fraction: report(Progress("fetching packages", fraction * _FETCHED))
    )
    loaders = await archive.fetch(found.loaders)
    job = Job(
        disk=workspace / "disk.raw",
        workspace=workspace,
        scratch=store.scratch,
        packages=tuple(contents),
        loaders=tuple(loaders),
        sources=archive.sources_file,
        lists=archive.lists,
        content_key=content_key(recipe, architecture, found),
        when=EPOCH_S,
        architecture=architecture,
        report=report,
    )
    await _BAKERS[recipe.name](job)
    report(Progress("storing the image", 0.97))
    store.keep(job.disk, recipe, job.content_key)


def _find_recipe(name: str, architecture: str) -> tuple[Recipe, Architecture]:
    try:
        recipe = RECIPES[RecipeName(name)]
    except ValueError as err:
        known = ", ".join(f"`{it}`" for it in RecipeName)
        raise UnknownRecipe(f"there is no recipe `{name}`; known are {known}") from err
    if architecture not in ARCHITECTURES:
        known = ", ".join(f"`{it}`" for it in ARCHITECTURES)
        raise UnknownRecipe(f"there is no architecture `{architecture}`; known are {known}")
    return recipe, ARCHITECTURES[architecture]
