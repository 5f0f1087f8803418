"""The catalogue of published images."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from bakehouse.domain.checksum import DIGITS, Checksum, UnusableChecksums
from bakehouse.domain.image_boot import BOOT_MODES
from bakehouse.domain.public_parameter import check_public_parameter_name
from bakehouse.domain.published_image import PUBLISHED_IMAGES, PublishedImage, architectures_of

IMAGES = list(PUBLISHED_IMAGES.values())


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: f"{image.name} {image.architecture}")
def test_an_image_of_the_catalogue_can_be_registered_as_it_says(image: PublishedImage) -> None:
    check_public_parameter_name(image.parameter)
    assert image.architecture in ("x86_64", "i386", "arm64")
    assert image.boot_mode in BOOT_MODES
    assert image.architecture != "arm64" or image.boot_mode == "uefi"
    assert image.algorithm in DIGITS
    assert image.root_device_name in ("/dev/xvda", "/dev/sda1")


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: f"{image.name} {image.architecture}")
def test_an_images_addresses_are_protected_and_its_names_are_names(image: PublishedImage) -> None:
    assert urlsplit(image.image_url).scheme == "https"
    assert "/" not in image.file + image.checksums
    assert not image.folder.startswith("/")
    assert not image.folder.endswith("/")
    assert all(vars_of(image))


def vars_of(image: PublishedImage) -> list[str]:
    return [image.name, image.version, image.default_user, image.publisher, image.folder, image.file, image.checksums]


@pytest.mark.parametrize("wanted", ["parameter", "image_url"])
def test_no_two_images_share_what_is_to_be_their_own(wanted: str) -> None:
    assert len({getattr(image, wanted) for image in IMAGES}) == len(IMAGES)


@pytest.mark.parametrize(
    "name",
    ["debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04", "ubuntu-26.04", "alpine-3.24", "fedora-44", "rocky-9",
     "amazon-linux-2023", "freebsd-14", "freebsd-15", "cirros-0.6"],
)  # fmt: skip
def test_each_system_is_there_for_both_architectures(name: str) -> None:
    assert architectures_of(name) == ["x86_64", "arm64"]


def test_a_publisher_on_aws_keeps_its_own_names_of_parameters() -> None:
    parameters = {name: PUBLISHED_IMAGES[name, "x86_64"].parameter for name, _ in PUBLISHED_IMAGES}

    assert parameters["debian-12"] == "/aws/service/debian/release/12/latest/amd64"
    assert (
        parameters["ubuntu-24.04"]
        == "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    )
    assert parameters["amazon-linux-2023"] == "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    assert parameters["rocky-9"] == "/aws/service/bakehouse/rocky-9/latest/x86_64"


def test_of_a_folder_that_holds_the_newest_the_file_is_read_from_the_list() -> None:
    image = PUBLISHED_IMAGES["amazon-linux-2023", "x86_64"]
    older, newer, other = "a" * 64, "b" * 64, "c" * 64

    found = image.newest(
        f"{older}  al2023-kvm-2023.9.20260406.2-kernel-6.1-x86_64.xfs.gpt.qcow2\n"
        f"{newer}  al2023-kvm-2023.11.20260406.2-kernel-6.1-x86_64.xfs.gpt.qcow2\n"
        f"{other}  al2023-kvm-2023.12.20260406.2-kernel-6.1-arm64.xfs.gpt.qcow2\n"
    )

    assert found[0] == "al2023-kvm-2023.11.20260406.2-kernel-6.1-x86_64.xfs.gpt.qcow2"
    assert found[1].digits == newer


#: Lines of the publishers' lists of October 2026, as others quote them, with other digits.
LISTS = {
    "debian-13": "{0}  debian-13-generic-amd64.qcow2\n{1}  debian-13-genericcloud-amd64.qcow2\n",
    "ubuntu-26.04": "{0} *ubuntu-26.04-server-cloudimg-amd64.ova\n{1} *ubuntu-26.04-server-cloudimg-amd64.img\n",
    "alpine-3.24": "{1}\n",
    "fedora-44": (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        "# Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2: 596115456 bytes\n"
        "SHA256 (Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2) = {1}\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCAAdFiEE\n-----END PGP SIGNATURE-----\n"
    ),
    "rocky-9": (
        "# Rocky-9-EC2-Base.latest.x86_64.qcow2: 645988352 bytes\nSHA256 (Rocky-9-EC2-Base.latest.x86_64.qcow2) = {0}\n"
        "# Rocky-9-GenericCloud-Base.latest.x86_64.qcow2: 645988352 bytes\n"
        "SHA256 (Rocky-9-GenericCloud-Base.latest.x86_64.qcow2) = {1}\n"
    ),
    "amazon-linux-2023": "{1}  al2023-kvm-2023.12.20260930.0-kernel-6.1-x86_64.xfs.gpt.qcow2\n",
    "freebsd-15": (
        "SHA512 (FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.raw.xz) = {0}\n"
        "SHA512 (FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz) = {1}\n"
    ),
    "cirros-0.6": "{1}  cirros-0.6.3-x86_64-disk.img\n{0}  cirros-0.6.3-aarch64-disk.img\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_each_publishers_list_is_read_as_it_writes_it(name: str) -> None:
    image = PUBLISHED_IMAGES[name, "x86_64"]
    other, wanted = "0" * DIGITS[image.algorithm], "72e10d97" * (DIGITS[image.algorithm] // 8)

    file, checksum = image.newest(LISTS[name].format(other, wanted))

    assert checksum == Checksum(image.algorithm, wanted)
    assert file.startswith(image.file.partition("*")[0])


@pytest.mark.parametrize("name", ["other.qcow2", "../debian-12-genericcloud-amd64.qcow2"])
def test_a_list_without_the_image_is_refused(name: str) -> None:
    with pytest.raises(UnusableChecksums, match=r"no sha512 checksum for `debian-12-genericcloud-amd64\.qcow2`"):
        PUBLISHED_IMAGES["debian-12", "x86_64"].newest(f"{'a' * 128}  {name}\n")


def test_a_pattern_matches_no_path() -> None:
    image = replace(PUBLISHED_IMAGES["amazon-linux-2023", "x86_64"], file="al*.qcow2")

    with pytest.raises(UnusableChecksums):
        image.newest(f"{'a' * 64}  al/../../x.qcow2\n")


def test_a_mirror_stands_for_the_publishers_host_and_first_folders() -> None:
    image = PUBLISHED_IMAGES["debian-12", "x86_64"]

    assert image.url("SHA512SUMS") == "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS"
    assert image.url("SHA512SUMS", "http://mirror/debian/") == "http://mirror/debian/bookworm/latest/SHA512SUMS"
