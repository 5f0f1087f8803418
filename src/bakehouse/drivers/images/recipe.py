"""What can be baked, and what a baked image is."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bakehouse.drivers.images.architecture import Architecture

#: Raised by hand whenever code of this package would make another image of the same recipe and packages.
BUILDER_VERSION: Final = 2

#: The release whose packages both recipes are made of.
SUITE: Final = "bookworm"

_RECIPES: Final = Path(__file__).parent / "recipes"


class RecipeName(StrEnum):
    """The recipes that come with Bakehouse."""

    MINIMAL = "minimal"
    DEBIAN_12 = "debian-12"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is to be baked.

    Attributes:
        name: What it is asked for by.
        description: One line for people.
        default_user: Who may log in by ssh with the instance's key.
        boot_mode: As EC2 writes it.
        disk_mib: Virtual size of the disk.
        with_dependencies: Whether the packages are installed with all that they depend on, or only unpacked.
    """

    name: RecipeName
    description: str
    default_user: str
    boot_mode: str
    disk_mib: int
    with_dependencies: bool

    @property
    def folder(self) -> Path:
        """Where the recipe's own files are."""
        return _RECIPES / self.name

    def words(self, file: str, architecture: Architecture | None = None) -> list[str]:
        """Return the words of one of the recipe's lists, without its comments, and those for an architecture only."""
        lines = (self.folder / file).read_text().splitlines()
        if architecture is not None:
            lines += (self.folder / f"{file}.{architecture.name}").read_text().splitlines()
        return [word for line in lines if not line.startswith("#") for word in line.split()]

    def digest(self) -> str:
        """Return a SHA-256 over the names and bytes of all the recipe's files."""
        sha = hashlib.sha256(f"{BUILDER_VERSION} {self.disk_mib}\n".encode())
        for file in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            content = file.read_bytes()
            sha.update(f"{file.relative_to(self.folder)} {len(content)}\n".encode() + content)
        return sha.hexdigest()


MINIMAL: Final = Recipe(
    RecipeName.MINIMAL,
    description="Bakehouse minimal: Linux, busybox and ssh; boots in seconds",
    default_user="ec2-user",
    boot_mode="legacy-bios",
    disk_mib=60,
    with_dependencies=False,
)
DEBIAN_12: Final = Recipe(
    RecipeName.DEBIAN_12,
    description="Debian 12 (bookworm) with cloud-init, made from its packages by Bakehouse",
    default_user="admin",
    boot_mode="uefi-preferred",
    disk_mib=2048,
    with_dependencies=True,
)
RECIPES: Final = {recipe.name: recipe for recipe in (MINIMAL, DEBIAN_12)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: `fraction` runs from 0 to 1 over the whole build, `step` says what is being done."""

    step: str
    fraction: float


#: Told about each step; must not raise.
Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One image to be baked.

    Attributes:
        disk: The raw disk file to make.
        workspace: A folder of ours to work in; it goes away afterwards.
        scratch: Another one, which the users of a user namespace can reach too.
        packages: The package files, downloaded and verified.
        sources: A sources.list that names the mirrors they came from.
        lists: Folder with apt's lists of these mirrors.
        content_key: Ids of disk and file systems derive from it.
        when: Time of everything in the image, seconds since 1970.
        architecture: What it is baked for.
        loaders: Package files with the boot loaders that are not installed in the image, but written before it.
        report: Told about each step.
    """

    disk: Path
    workspace: Path
    scratch: Path
    packages: tuple[Path, ...]
    sources: Path
    lists: Path
    content_key: str
    when: int
    architecture: Architecture
    loaders: tuple[Path, ...]
    report: Report


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A baked disk.

    Attributes:
        recipe: What it was baked from.
        path: The disk: a raw, sparse file in the cache. Belongs to the cache; copy or link it, never write it.
        size_bytes: Virtual size of the disk.
        content_key: SHA-256 in hex over all that went into it. Equal key, equal image.
        root_device_name: What EC2 calls the disk.
        architecture: As EC2 writes it.
        boot_mode: As EC2 writes it.
        description: One line for people.
        default_user: Who may log in by ssh with the instance's key.
    """

    recipe: RecipeName
    path: Path
    size_bytes: int
    content_key: str
    root_device_name: str
    architecture: str
    boot_mode: str
    description: str
    default_user: str
