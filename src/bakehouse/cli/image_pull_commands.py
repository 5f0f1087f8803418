"""Commands on the catalogue of published images: list it, pull one."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.home import HomeOption, home_of, settings_of
from bakehouse.cli.image_imports import CONTENT_TAG, USER_TAG, find_by_content, import_disk
from bakehouse.cli.terminal import CommandFailed, Output, OutputOption, note, print_rows, print_text, progress_bar

if TYPE_CHECKING:
    from bakehouse.bootstrap.image_downloads import PublishedFile
    from bakehouse.domain.published_image import PublishedImage


def catalog(
    architecture: Annotated[str | None, typer.Option("--arch", help="Only this: x86_64 or arm64.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the images that makers of operating systems publish, as `image pull` knows them."""
    from bakehouse.domain.published_image import PUBLISHED_IMAGES

    rows = [
        {
            "name": image.name,
            "version": image.version,
            "architecture": image.architecture,
            "boot_mode": image.boot_mode,
            "user": image.default_user,
            "format": image.format.value,
            "root_device_name": image.root_device_name,
            "publisher": image.publisher,
            "url": image.image_url,
            "checksums_url": image.checksums_url,
            "checksum_form": image.checksum_form.value,
            "checksum_algorithm": image.algorithm,
            "public_parameter": image.parameter,
        }
        for image in PUBLISHED_IMAGES.values()
        if architecture in (None, image.architecture)
    ]
    if not rows:
        raise CommandFailed(f"no image is published for `{architecture}`", "x86_64 and arm64 are")
    columns = {
        "name": "NAME",
        "version": "VERSION",
        "architecture": "ARCH",
        "boot_mode": "BOOT",
        "user": "USER",
        "format": "FORMAT",
        "url": "URL",
    }
    print_rows(output, rows, columns)


def pull(
    image: Annotated[str, typer.Argument(metavar="NAME", help="A name of the catalogue.")],
    home: HomeOption = None,
    architecture: Annotated[str, typer.Option("--arch", help="x86_64 or arm64.")] = "x86_64",
    url_base: Annotated[
        str | None,
        typer.Option(help="A mirror's URL, in place of the publisher's host and the path before its folders."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The image's name.")] = None,
) -> None:
    """Download a published image, verify it, import it, and print its id; pulled before, it is found again."""
    from bakehouse.bootstrap.image_downloads import FetchFailed, newest

    where = home_of(home)
    wanted = _published(image, architecture)
    try:
        published = newest(wanted, url_base or settings_of(where).image_mirror)
        known = find_by_content(where, str(published.checksum))
        print_text(known or _pulled(where, published, name))
    except FetchFailed as err:
        raise CommandFailed(str(err), err.hint) from err


def _published(name: str, architecture: str) -> "PublishedImage":
    from bakehouse.domain.published_image import PUBLISHED_IMAGES, architectures_of

    image = PUBLISHED_IMAGES.get((name, architecture))
    if image is None:
        known = ", ".join(architectures_of(name))
        reason = f"`{name}` is published for {known}, not `{architecture}`" if known else f"no image `{name}` is known"
        raise CommandFailed(reason, "what there is: `bakehouse image catalog`")
    return image


def _pulled(home: Path, published: "PublishedFile", name: str | None) -> str:
    from bakehouse.bootstrap.image_downloads import published_disk

    image, checksum = published.image, published.checksum
    order = {
        "name": name or f"{image.name}-{image.architecture}-{checksum.digits[:12]}",
        "description": f"{image.publisher}: {published.file}",
        "architecture": image.architecture,
        "root_device_name": image.root_device_name,
        "boot_mode": image.boot_mode,
        "tags": {CONTENT_TAG: str(checksum), USER_TAG: image.default_user},
        "public_parameter": image.parameter,
    }
    note(f"downloading {published.url}")
    with ExitStack() as kept:
        # Closed before the import's begins: a terminal has room for one.
        with progress_bar(f"pulling {image.name}") as bar:
            disk = kept.enter_context(published_disk(published, lambda words, fraction: bar.move(fraction, words)))
        # Another command may have had it meanwhile: of one file, downloads take turns.
        return find_by_content(home, str(checksum)) or import_disk(home, order | {"path": str(disk)})
