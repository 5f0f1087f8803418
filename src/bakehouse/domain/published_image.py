"""The catalogue of images that makers of operating systems publish (`published_images.csv`).

Each is known by a name and an architecture. Where the publisher has a folder that always holds the newest, the file's
name is a pattern, and what it stands for today is read from the publisher's list of checksums.

None of these addresses could be tried from where Bakehouse is made. Each is one that others fetched from in October
2026, and the list of checksums has the form that they read:

- Debian, Ubuntu, Fedora, Rocky Linux: lima-vm/lima, `templates/_images` and `hack/update-template-*.sh`; the lists
  `SHA512SUMS`, `SHA256SUMS`, `Fedora-Cloud-44-1.7-x86_64-CHECKSUM`, `CHECKSUM` in Packer templates' `iso_checksum`.
- Alpine: alpinelinux.org/cloud. From 3.24.2 on its files have other names (`alpine-3.24.2-x86_64-cloudinit-r0.qcow2`),
  which say nothing of the firmware that they boot by; those of 3.24.1 stay where they are.
- Amazon Linux 2023: AL2023 User Guide, "outside-ec2-download"; boxcutter/kvm for `SHA256SUMS`.
- FreeBSD: release announcement of 14.5 and 15.1; `CHECKSUM.SHA512` as `sha512` writes it.
- CirrOS: download.cirros-cloud.net/0.6.3/SHA256SUMS.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from bakehouse.domain.checksum import Checksum, ChecksumForm, UnusableChecksums, listed_checksums

_CATALOGUE: Final = Path(__file__).with_name("published_images.csv")


class FileFormat(StrEnum):
    """How a published file is written."""

    QCOW2 = "qcow2"
    QCOW2_XZ = "qcow2.xz"
    RAW = "raw"
    RAW_XZ = "raw.xz"
    VHD = "vhd"

    @property
    def is_packed(self) -> bool:
        """Whether it has to be unpacked first."""
        return self.value.endswith(".xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """Where an image comes from, and what it is registered as."""

    name: str
    version: str
    architecture: str
    """`x86_64`, `i386` or `arm64`."""
    boot_mode: str
    default_user: str
    """Whom the image makes for logging in."""
    format: FileFormat
    root_device_name: str
    """As the publisher's own AMIs have it, or else `/dev/xvda`."""
    publisher: str
    url_base: str
    """The part of the publisher's URLs for which a mirror has another."""
    folder: str
    file: str
    """Its name; `*` stands for what changes with each release."""
    checksums: str
    """The name of the list of checksums in the same folder."""
    checksum_form: ChecksumForm
    algorithm: str
    parameter: str
    """The publisher's own name in SSM, where it publishes on AWS, or else one below `/aws/service/bakehouse/`."""

    def url(self, file: str, base: str | None = None) -> str:
        """Return a file's URL, in the publisher's folder or at a mirror."""
        return f"{(base or self.url_base).rstrip('/')}/{self.folder}/{file}"

    @property
    def image_url(self) -> str:
        """Where the publisher has it; with a `*` in it where the name changes."""
        return self.url(self.file)

    @property
    def checksums_url(self) -> str:
        """Where the publisher has its list of checksums."""
        return self.url(self.checksums)

    def newest(self, checksums: str) -> tuple[str, Checksum]:
        """Return the file's name of today and its checksum, of the text of the publisher's list.

        Raises:
            UnusableChecksums: The list has no such file, or contradicts itself.
        """
        listed = listed_checksums(checksums, self.checksum_form, self.algorithm, self.file)
        names = [name for name in listed if "/" not in name and fnmatchcase(name, self.file)]
        if not names:
            raise UnusableChecksums(f"it has no {self.algorithm} checksum for `{self.file}`")
        name = max(names, key=_release_order)
        return name, listed[name]


def _release_order(name: str) -> list[tuple[int, str]]:
    """Return what sorts numbers inside names as numbers: 2023.11 is later than 2023.9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall("[0-9]+|[^0-9]+", name)]


def _image(row: Mapping[str, str]) -> PublishedImage:
    texts = {field.name: row[field.name] for field in fields(PublishedImage)}
    kinds = {"format": FileFormat(row["format"]), "checksum_form": ChecksumForm(row["checksum_form"])}
    return PublishedImage(**(texts | kinds))  # type: ignore[arg-type]  # the columns are its fields


def _catalogue() -> dict[tuple[str, str], PublishedImage]:
    with _CATALOGUE.open(encoding="utf-8", newline="") as file:
        return {(image.name, image.architecture): image for image in map(_image, csv.DictReader(file))}


#: By name and architecture, in the order in which they are shown.
PUBLISHED_IMAGES: Final[Mapping[tuple[str, str], PublishedImage]] = _catalogue()


def architectures_of(name: str) -> Sequence[str]:
    """Return the architectures that an image is published for; none, if there is no such image."""
    return [architecture for known, architecture in PUBLISHED_IMAGES if known == name]
