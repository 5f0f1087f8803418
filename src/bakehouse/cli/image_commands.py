"""Commands on images: build, import, export, list; those on published ones are in `image_pull_commands.py`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from bakehouse.cli import image_pull_commands
from bakehouse.cli.described import described
from bakehouse.cli.home import HomeOption, credentials_of, home_of, require_server, settings_of
from bakehouse.cli.image_imports import CONTENT_TAG, USER_TAG, find_by_content, followed, import_disk
from bakehouse.cli.terminal import (
    CommandFailed,
    Output,
    OutputOption,
    note,
    print_json,
    print_rows,
    print_text,
    progress_bar,
)

if TYPE_CHECKING:
    from bakehouse.domain.checksum import Checksum

images = typer.Typer(help="Build, pull, import, export and list images.", no_args_is_help=True)


class FileFormat(StrEnum):
    """What an image's disk can be written as."""

    QCOW2 = "qcow2"
    RAW = "raw"
    VHD = "vhd"
    VMDK = "vmdk"


@images.command(**described("image build"))
def build(
    recipe: Annotated[str, typer.Argument(help="minimal or debian-12")],
    home: HomeOption = None,
    architecture: Annotated[str, typer.Option("--arch", help="x86_64, i386 or arm64")] = "x86_64",
    mirror: Annotated[str | None, typer.Option(help="A Debian mirror, instead of the host's own sources.")] = None,
    name: Annotated[str | None, typer.Option(help="The image's name.")] = None,
) -> None:
    """Build an image from the distribution's packages and print its id; built before, it is found again."""
    import asyncio

    from bakehouse.bootstrap.image_builds import BuildFailed, NothingToBuild, build_image
    from bakehouse.domain.public_parameter import parameter_of_recipe

    where = home_of(home)
    require_server(where)
    with progress_bar(f"building {recipe}") as bar:
        try:
            built = asyncio.run(
                build_image(
                    settings_of(where),
                    recipe,
                    architecture,
                    mirror,
                    lambda step: bar.move(step.fraction, step.step),
                )
            )
        except NothingToBuild as err:
            raise CommandFailed(str(err), "other images: `bakehouse image catalog`") from err
        except BuildFailed as err:
            raise CommandFailed(str(err), "what the host lacks: `bakehouse doctor`") from err
    known = find_by_content(where, built.content_key)
    if known is not None:
        print_text(known)
        return
    order = {
        "path": str(built.path),
        "name": name or f"{recipe}-{built.content_key[:12]}",
        "description": built.description,
        "architecture": built.architecture,
        "root_device_name": built.root_device_name,
        "boot_mode": built.boot_mode,
        "disk_bus": "virtio",
        "tags": {CONTENT_TAG: built.content_key, USER_TAG: built.default_user},
        "public_parameter": parameter_of_recipe(recipe, built.architecture),
    }
    print_text(import_disk(where, order))


@images.command(**described("image import"))
def import_image(  # noqa: PLR0917 - typer calls it by name
    source: Annotated[str, typer.Argument(help="A raw, qcow2, VMDK, VHD, VHDX or OVA file, or an http(s) URL of one.")],
    name: Annotated[str, typer.Option(help="The image's name.")],
    home: HomeOption = None,
    description: Annotated[str, typer.Option(help="The image's description.")] = "",
    checksum: Annotated[str | None, typer.Option(help="sha256:HEX or sha512:HEX of the file.")] = None,
    architecture: Annotated[str, typer.Option(help="x86_64, i386 or arm64.")] = "x86_64",
    boot_mode: Annotated[str | None, typer.Option(help="legacy-bios, uefi or uefi-preferred.")] = None,
    root_device: Annotated[str, typer.Option(help="The root device's name.")] = "/dev/xvda",
    disk_bus: Annotated[
        str, typer.Option(help="nvme, or virtio if it finds its root on a virtio disk: such disks grow while in use.")
    ] = "nvme",
    user: Annotated[str | None, typer.Option(help="Whom `bakehouse ssh` logs in as.")] = None,
    parameter: Annotated[
        str | None, typer.Option(help="A name below `/aws/service/` that is to stand for the image from now on.")
    ] = None,
) -> None:
    """Inspect a disk image from outside, take a copy of it, and print the new image's id."""
    where = home_of(home)
    require_server(where)
    with _as_file(source, checksum) as path:
        order = {
            "path": str(path),
            "name": name,
            "description": description,
            "architecture": architecture,
            "root_device_name": root_device,
            "boot_mode": boot_mode,
            "disk_bus": disk_bus,
            "tags": {USER_TAG: user} if user else {},
            "public_parameter": parameter,
        }
        print_text(import_disk(where, order))


@images.command(**described("image export"))
def export_image(
    image: Annotated[str, typer.Argument(help="The image's id.")],
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    home: HomeOption = None,
    file_format: Annotated[FileFormat, typer.Option("--format", help="The file's format.")] = FileFormat.QCOW2,
    output: OutputOption = Output.TEXT,
) -> None:
    """Write an image's disk into a file that other programs read, and print its path."""
    where = home_of(home)
    credentials = credentials_of(where)
    target = file.expanduser().absolute()
    # Under another name until it is whole; it is ours to remove, for the server may be gone.
    unfinished = target.with_name(f".{target.name}.unfinished")
    body = {
        "account_id": credentials["account_id"],
        "region": credentials["region"],
        "image_id": image,
        "path": str(unfinished),
        "format": file_format.value,
    }
    try:
        size = followed(where, "exporting", "/images/export", body)["bytes"]
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    if output is Output.JSON:
        print_json({"image_id": image, "path": str(target), "format": file_format.value, "bytes": size})
    else:
        print_text(str(target))


@images.command(**described("image list"))
def list_images(home: HomeOption = None, output: OutputOption = Output.TEXT) -> None:
    """List the account's images."""
    from bakehouse.cli.client import ec2_client

    client = ec2_client(home_of(home))
    found = client.describe_images(Owners=["self"])["Images"]
    rows = [
        {
            "image_id": image["ImageId"],
            "name": image["Name"],
            "state": image["State"],
            "architecture": image["Architecture"],
            "created": image["CreationDate"],
        }
        for image in found
    ]
    columns = {"image_id": "IMAGE", "name": "NAME", "state": "STATE", "architecture": "ARCH", "created": "CREATED"}
    print_rows(output, rows, columns)


@contextmanager
def _as_file(source: str, checksum: str | None) -> Iterator[Path]:
    """Give a local path of a file or URL, verified; what was downloaded goes when the block ends well."""
    from bakehouse.domain.checksum import UnknownChecksum, checksum_of

    try:
        expected = None if checksum is None else checksum_of(checksum)
    except UnknownChecksum as err:
        raise CommandFailed(str(err), "use sha256:HEX or sha512:HEX") from err
    if urlsplit(source).scheme in ("http", "https"):
        with _downloaded(source, expected) as path:
            yield path
        return
    path = Path(source).expanduser().absolute()
    if not path.is_file():
        raise CommandFailed(f"there is no file `{path}`", "name a file of this host, or an http(s) URL")
    if expected is not None:
        _verify(path, expected)
    yield path


@contextmanager
def _downloaded(url: str, expected: "Checksum | None") -> Iterator[Path]:
    from bakehouse.bootstrap.image_downloads import FetchFailed, downloaded

    note(f"downloading {url}")
    try:
        with ExitStack() as kept:
            # Closed before the import's begins: a terminal has room for one.
            with progress_bar("downloading") as bar:
                path = kept.enter_context(downloaded(url, expected, lambda _, part: bar.move(part)))
            yield path
    except FetchFailed as err:
        raise CommandFailed(str(err), err.hint) from err


def _verify(path: Path, expected: "Checksum") -> None:
    import hashlib

    with path.open("rb") as file:
        found = hashlib.file_digest(file, expected.algorithm).hexdigest()
    if found != expected.digits:
        raise CommandFailed(
            f"the {expected.algorithm} of `{path}` is {found}, not {expected.digits}",
            "get the file again, or look the checksum up once more",
        )


images.command(**described("image catalog"))(image_pull_commands.catalog)
images.command(**described("image pull"))(image_pull_commands.pull)
