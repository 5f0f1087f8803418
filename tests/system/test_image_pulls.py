"""`bakehouse image catalog` and `image pull`, from a publisher of our own making."""

import hashlib
import json
import lzma
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.commands import Commands
from tests.home_account import own_account
from tests.publisher import Publisher, ServedFile, publisher

from bakehouse.cli.terminal import CommandFailed
from bakehouse.domain.published_image import PUBLISHED_IMAGES, PublishedImage
from bakehouse.drivers.images.downloads import Downloads

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

DISK = b"a disk, from a publisher".ljust(1 << 20, b"\0")


@dataclass
class Puller(Commands):
    """Runs commands on a simulating server's home."""

    home: Path
    cache: Path
    web: Publisher

    def message(self, *arguments: str) -> str:
        """Return what a command that fails says: what happened, and the next step."""
        result = self(*arguments)
        assert isinstance(result.exception, CommandFailed), result
        assert result.stdout == ""
        return f"{result.exception.message}\n{result.exception.hint}"

    def pull(self, name: str, *arguments: str) -> str:
        return self.data("image", "pull", name, "--url-base", self.web.url, *arguments)

    def refused(self, name: str, *arguments: str) -> str:
        return self.message("image", "pull", name, "--url-base", self.web.url, *arguments)

    def described(self, image_id: str) -> "ImageTypeDef":
        return boto3.client("ec2", **own_account(self.home)).describe_images(ImageIds=[image_id])["Images"][0]

    def parameter(self, name: str) -> str:
        """Return what a public parameter stands for."""
        image_id: str = boto3.client("ssm", **own_account(self.home)).get_parameter(Name=name)["Parameter"]["Value"]
        return image_id

    def left(self) -> list[str]:
        """Return what is in the cache of downloads."""
        folder = self.cache / "downloads"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def publish(
        self, name: str, content: bytes = DISK, *, architecture: str = "x86_64", release: str = "1", **how: Any
    ) -> ServedFile:
        """Serve an image of the catalogue as its publisher does, with a list of checksums in the publisher's form."""
        image = PUBLISHED_IMAGES[name, architecture]
        file = image.file.replace("*", release)
        digits = hashlib.new(image.algorithm, content).hexdigest()
        self.web.serve(f"{image.folder}/{image.checksums}", written(image, file, digits).encode())
        return self.web.serve(f"{image.folder}/{file}", content, **how)


def written(image: PublishedImage, file: str, digits: str) -> str:
    tagged = f"# {file}: 12 bytes\n{image.algorithm.upper()} ({file}) = {digits}\n"
    return {
        "gnu": f"{'0' * len(digits)}  another\n{digits} *{file}\n",
        "bsd": tagged,
        "bsd-clearsigned": f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{tagged}"
        "-----BEGIN PGP SIGNATURE-----\n\niQIz\n-----END PGP SIGNATURE-----\n",
        "bare": digits,
    }[image.checksum_form.value]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a simulating server that runs in the background."""
    home = tmp_path_factory.mktemp("home")
    argv = [sys.executable, "-m", "bakehouse"]
    subprocess.run([*argv, "up", "--simulate", "--port", "0", "--home", home], check=True, timeout=60)
    yield home
    subprocess.run([*argv, "down", "--home", home], check=True, timeout=60)


@pytest.fixture
def puller(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Puller]:
    monkeypatch.setenv("BAKEHOUSE_HOME", str(home))
    monkeypatch.setenv("BAKEHOUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Downloads.__init__, "__kwdefaults__", {"pause": lambda _: None})
    with publisher() as web:
        yield Puller(home, tmp_path / "cache", web)


def own_disk(request: pytest.FixtureRequest) -> bytes:
    """Return a disk that no other test has."""
    name: str = request.node.name
    return name.encode().ljust(1 << 16, b"\0")


def test_the_catalog_says_what_there_is(puller: Puller) -> None:
    rows = json.loads(puller.data("image", "catalog", "--output", "json"))
    lines = puller.data("image", "catalog").splitlines()

    assert {(row["name"], row["architecture"]) for row in rows} == set(PUBLISHED_IMAGES)
    assert rows[0] == {
        "name": "debian-12",
        "version": "12",
        "architecture": "x86_64",
        "boot_mode": "uefi-preferred",
        "user": "debian",
        "format": "qcow2",
        "root_device_name": "/dev/xvda",
        "publisher": "Debian",
        "url": "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2",
        "checksums_url": "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS",
        "checksum_form": "gnu",
        "checksum_algorithm": "sha512",
        "public_parameter": "/aws/service/debian/release/12/latest/amd64",
    }
    assert lines[0].split() == ["NAME", "VERSION", "ARCH", "BOOT", "USER", "FORMAT", "URL"]
    assert len(lines) == 1 + len(rows)


def test_the_catalog_of_one_architecture(puller: Puller) -> None:
    rows = json.loads(puller.data("image", "catalog", "--arch", "arm64", "--output", "json"))

    assert {row["architecture"] for row in rows} == {"arm64"}


def test_the_catalog_of_an_architecture_that_nobody_publishes_for(puller: Puller) -> None:
    assert "no image is published for `vax`" in puller.message("image", "catalog", "--arch", "vax")


def test_a_pulled_image_is_registered_as_its_publisher_says(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("debian-12", own_disk(request))

    image_id = puller.pull("debian-12").strip()

    image = puller.described(image_id)
    checksum = hashlib.sha512(own_disk(request)).hexdigest()
    assert (image["State"], image["Architecture"], image["BootMode"]) == ("available", "x86_64", "uefi-preferred")
    assert image["RootDeviceName"] == "/dev/xvda"
    assert image["Name"] == f"debian-12-x86_64-{checksum[:12]}"
    assert image["Description"] == "Debian: debian-12-genericcloud-amd64.qcow2"
    assert {tag["Key"]: tag["Value"] for tag in image["Tags"]} == {
        "bakehouse:user": "debian",
        "bakehouse:content": f"sha512:{checksum}",
    }
    assert puller.left() == []


def test_a_pulled_image_has_its_publishers_parameter(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("ubuntu-24.04", own_disk(request), architecture="arm64")

    image_id = puller.pull("ubuntu-24.04", "--arch", "arm64").strip()

    name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"
    assert puller.parameter(name) == image_id


@pytest.mark.parametrize(
    "name", ["alpine-3.24-bios", "amazon-linux-2023", "cirros-0.6", "fedora-44", "freebsd-14", "rocky-9"]
)
def test_every_publishers_form_of_checksums_serves(puller: Puller, name: str, request: pytest.FixtureRequest) -> None:
    content = own_disk(request)
    puller.publish(name, lzma.compress(content) if name == "freebsd-14" else content)

    image_id = puller.pull(name).strip()

    image = puller.described(image_id)
    assert image["State"] == "available"
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 1
    assert puller.left() == []


def test_a_packed_image_is_imported_unpacked(puller: Puller, request: pytest.FixtureRequest) -> None:
    # More than a gibibyte; a file of xz may have many streams.
    packed = lzma.compress(own_disk(request)) + 64 * lzma.compress(bytes(16 << 20), preset=0)
    puller.publish("freebsd-14", packed, architecture="arm64")

    image_id = puller.pull("freebsd-14", "--arch", "arm64").strip()

    assert puller.described(image_id)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 2


def test_what_was_pulled_is_found_again_without_a_download(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("debian-13", own_disk(request))
    first = puller.pull("debian-13")
    puller.web.asked.clear()

    assert puller.pull("debian-13", "--name", "another") == first
    assert [path for path, _ in puller.web.asked] == ["trixie/latest/SHA512SUMS"]


def test_two_commands_at_once_get_one_image(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("alpine-3.24", own_disk(request))
    argv = [sys.executable, "-m", "bakehouse", "image", "pull", "alpine-3.24", "--url-base", puller.web.url]

    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(each.communicate(timeout=100)[0], each.returncode) for each in both]

    assert ended[0] == ended[1]
    assert ended[0][1] == 0
    assert ended[0][0].startswith("ami-")


def test_a_newer_release_becomes_another_image(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("rocky-9-ec2", own_disk(request))
    first = puller.pull("rocky-9-ec2").strip()
    puller.publish("rocky-9-ec2", own_disk(request) + bytes(512))

    second = puller.pull("rocky-9-ec2").strip()

    assert second != first
    name = "/aws/service/bakehouse/rocky-9-ec2/latest/x86_64"
    assert puller.parameter(name) == second


def test_a_name_of_ones_own(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("debian-12-generic", own_disk(request))

    image_id = puller.pull("debian-12-generic", "--name", "mine").strip()

    assert puller.described(image_id)["Name"] == "mine"


def test_a_connection_that_breaks_is_taken_up(puller: Puller, request: pytest.FixtureRequest) -> None:
    served = puller.publish("debian-13-generic", own_disk(request), cuts=[1000])

    puller.pull("debian-13-generic")

    assert served.cuts == []
    assert puller.web.ranges("trixie/latest/debian-13-generic-amd64.qcow2") == [None, "bytes=999-"]


def test_another_content_than_the_list_says_is_refused_and_removed(
    puller: Puller, request: pytest.FixtureRequest
) -> None:
    served = puller.publish("fedora-44", own_disk(request), architecture="arm64")
    served.content = b"forged".ljust(len(served.content), b"\0")

    error = puller.refused("fedora-44", "--arch", "arm64")

    assert "the sha256 of" in error
    assert "download it again" in error
    assert puller.left() == []


def test_a_file_that_changes_in_the_middle_is_fetched_anew(puller: Puller, request: pytest.FixtureRequest) -> None:
    served = puller.publish("rocky-9", b"x" * 4096, architecture="arm64", cuts=[2000])
    path = next(path for path, file in puller.web.files.items() if file is served)
    puller.publish("rocky-9", own_disk(request), architecture="arm64", etag='"two"')
    after = puller.web.files[path]
    puller.web.files[path] = served
    # What is served from the second request on is what the list tells.
    served.then = after

    image_id = puller.pull("rocky-9", "--arch", "arm64").strip()

    assert puller.described(image_id)["State"] == "available"


def test_a_length_that_is_not_true_is_not_believed(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("cirros-0.6", own_disk(request), architecture="arm64", claimed_bytes=1000)

    assert "the sha256 of" in puller.refused("cirros-0.6", "--arch", "arm64")
    assert puller.left() == []


@pytest.mark.parametrize("checksums", [b"", b"<html>not here</html>", ("0" * 64 + "  another.img\n").encode()])
def test_a_list_without_the_image_is_refused_before_the_download(puller: Puller, checksums: bytes) -> None:
    puller.web.serve("releases/22.04/release/SHA256SUMS", checksums)

    error = puller.refused("ubuntu-22.04")

    assert "it has no sha256 checksum for `ubuntu-22.04-server-cloudimg-amd64.img`" in error
    assert len(puller.web.asked) == 1


def test_a_list_that_is_not_there_is_said_with_the_next_step(puller: Puller) -> None:
    error = puller.refused("ubuntu-22.04")

    assert "404 Not Found" in error
    assert "--url-base" in error


def test_a_packed_file_that_is_broken_is_refused(puller: Puller, request: pytest.FixtureRequest) -> None:
    puller.publish("freebsd-14", lzma.compress(own_disk(request))[:-20])

    assert "is cut short" in puller.refused("freebsd-14")
    assert not [name for name in puller.left() if name.endswith(".unpacked")]


def test_a_disk_that_the_server_refuses_is_refused(puller: Puller) -> None:
    over = b"QFI\xfb\x00\x00\x00\x03" + (512).to_bytes(8) + (4).to_bytes(4) + (16).to_bytes(4) + (1 << 20).to_bytes(8)
    puller.publish("ubuntu-22.04", over.ljust(512, b"\0") + b"base".ljust(512, b"\0"))

    assert "was refused" in puller.refused("ubuntu-22.04")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan9"], "no image `plan9` is known"),
        (["alpine-3.24-bios", "--arch", "arm64"], "is published for x86_64, not `arm64`"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_the_next_step(
    puller: Puller, arguments: list[str], said: str
) -> None:
    error = puller.refused(arguments[0], *arguments[1:])

    assert said in error
    assert "`bakehouse image catalog`" in error


def test_a_setting_names_the_mirror(
    puller: Puller, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEHOUSE_IMAGE_MIRROR", puller.web.url)
    puller.publish("debian-12", own_disk(request), architecture="arm64")

    image_id = puller.data("image", "pull", "debian-12", "--arch", "arm64")

    assert puller.described(image_id.strip())["Architecture"] == "arm64"


def test_a_mirror_that_is_no_url_is_refused(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEHOUSE_IMAGE_MIRROR", "ftp://mirror")

    refused = puller.message("image", "pull", "debian-12")

    assert "the image mirror `ftp://mirror` is no URL of http or https" in refused


def test_an_import_of_a_url_goes_on_where_it_broke(puller: Puller) -> None:
    puller.web.serve("disk.raw", DISK, cuts=[1000])
    checksum = f"sha256:{hashlib.sha256(DISK).hexdigest()}"

    url = f"{puller.web.url}/disk.raw"
    image_id = puller.data("image", "import", url, "--name", "of a URL", "--checksum", checksum)

    assert image_id.startswith("ami-")
    assert puller.web.ranges("disk.raw") == [None, "bytes=999-"]
    assert puller.left() == []


def test_an_import_of_a_url_with_another_checksum_is_refused_and_removed(puller: Puller) -> None:
    puller.web.serve("disk.raw", DISK)

    url = f"{puller.web.url}/disk.raw"
    refused = puller.message("image", "import", url, "--name", "forged", "--checksum", f"sha256:{'0' * 64}")

    assert f"the sha256 of `{url}` is" in refused
    assert puller.left() == []


def test_a_broken_off_import_says_how_to_go_on(puller: Puller) -> None:
    puller.web.serve("disk.raw", DISK, cuts=[1000, 0, 0, 0, 0])

    failure = puller.message("image", "import", f"{puller.web.url}/disk.raw", "--name", "broken off")

    assert "the same command goes on where this one ended" in failure
    assert len(puller.left()) == 2
