"""Disks from the web for the command line: of any URL, or of the catalogue of published images."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.domain.checksum import Checksum, UnusableChecksums
from bakehouse.domain.published_image import PublishedImage
from bakehouse.drivers.images.downloads import (
    Download,
    DownloadFailed,
    DownloadInterrupted,
    Downloads,
    digest_of,
    fetch_text,
)
from bakehouse.drivers.images.unpacking import CannotUnpack, unpack_xz
from bakehouse.settings import default_cache

#: The largest disk that EC2 has. Source: EBS User Guide, "Amazon EBS volume types".
_DISK_MAX_BYTES: Final = 64 << 40

#: No publisher's image comes near to it, packed or not; only a broken one fills the host's disk.
_PUBLISHED_MAX_BYTES: Final = 64 << 30


class FetchFailed(Exception):
    """A disk could not be had from the web. The text says why, the hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """What a name of the catalogue stands for today."""

    image: PublishedImage
    file: str
    url: str
    checksum: Checksum


@contextmanager
def downloaded(url: str, checksum: Checksum | None, report: Callable[[str, float], None]) -> Iterator[Path]:
    """Give a file of the web for as long as the block lasts.

    An earlier download that broke off is continued. A file with another checksum is removed and refused: FetchFailed,
    as is everything else.
    """
    with _fetched(url, checksum, _DISK_MAX_BYTES, report) as download:
        yield download.path


def newest(image: PublishedImage, mirror: str | None) -> PublishedFile:
    """Look up what a name stands for today, in the publisher's list of checksums, or in the mirror's.

    Raises:
        FetchFailed: The list cannot be had, or has no such file.
    """
    url = image.url(image.checksums, mirror)
    try:
        file, checksum = image.newest(fetch_text(url))
    except UnusableChecksums as err:
        raise FetchFailed(f"the checksums at `{url}` do not serve: {err}") from err
    except DownloadFailed as err:
        raise FetchFailed(str(err), "another address that has the same files: `--url-base URL`") from err
    return PublishedFile(image, file, image.url(file, mirror), checksum)


@contextmanager
def published_disk(published: PublishedFile, report: Callable[[str, float], None]) -> Iterator[Path]:
    """Give a published image's disk, verified and unpacked, for as long as the block lasts.

    Raises:
        FetchFailed: It cannot be had, has another checksum (then it is removed), or cannot be unpacked.
    """
    with _fetched(published.url, published.checksum, _PUBLISHED_MAX_BYTES, report) as download:
        if not published.image.format.is_packed:
            yield download.path
            return
        target = download.path.with_name(f"{download.path.name}.unpacked")
        try:
            unpack_xz(download.path, target, _PUBLISHED_MAX_BYTES, lambda fraction: report("unpacking", fraction))
        except (CannotUnpack, OSError) as err:
            target.unlink(missing_ok=True)
            raise FetchFailed(str(err)) from err
        try:
            yield target
        finally:
            target.unlink(missing_ok=True)


@contextmanager
def _fetched(
    url: str, checksum: Checksum | None, limit_bytes: int, report: Callable[[str, float], None]
) -> Iterator[Download]:
    downloads = Downloads(default_cache(os.environ) / "downloads")
    try:
        with downloads.file(url, limit_bytes, lambda fraction: report("downloading", fraction)) as download:
            if checksum is not None:
                report("verifying", 1.0)
                found = digest_of(download.path, checksum.algorithm)
                if found != checksum.digits:
                    download.discard()
                    reason = f"the {checksum.algorithm} of `{url}` is {found}, not {checksum.digits}"
                    raise FetchFailed(reason, "download it again")
            yield download
    except DownloadInterrupted as err:
        raise FetchFailed(str(err), "the same command goes on where this one ended") from err
    except DownloadFailed as err:
        raise FetchFailed(str(err)) from err
