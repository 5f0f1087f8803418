from pathlib import Path

import pytest

from bakehouse.drivers.images import sources
from bakehouse.drivers.images.sources import Source

DEB822 = """\
Types: deb deb-src
# the archive
URIs: http://mirror.test/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://mirror.test/old
Suites: bookworm
Components: main
"""


def test_a_deb822_file_gives_one_source_for_each_mirror_and_suite() -> None:
    found = sources.parse(DEB822, deb822=True)

    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.test/debian", "trixie"),
        ("http://mirror.test/debian", "trixie-updates"),
        ("http://mirror.test/debian-security", "trixie-security"),
    ]


def test_a_one_line_file_is_read_without_its_comments_and_sources_of_source_packages() -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    text = f"""\
    # deb http://mirror.test/debian bookworm main
    deb [arch=amd64 signed-by={keyring}] http://mirror.test/debian bookworm main non-free # x
    deb-src http://mirror.test/debian bookworm main
    """

    found = sources.parse(text, deb822=False)

    assert found == [Source("http://mirror.test/debian", "bookworm", ("main", "non-free"), keyring)]


def test_the_sources_of_a_newer_debian_are_used_for_the_recipes_release() -> None:
    ours = sources.for_our_release(sources.parse(DEB822, deb822=True))

    assert [source.suite for source in ours] == ["bookworm", "bookworm-updates", "bookworm-security"]


@pytest.mark.parametrize(
    "foreign",
    [
        Source("http://mirror.test/ubuntu", "noble", ("main", "universe")),
        Source("http://vendor.test/apt", "bookworm", ("stable",)),
        Source("http://vendor.test/apt", "bookworm", ("main",), "/etc/apt/keyrings/vendor.gpg"),
        Source("http://mirror.test/debian", "bookworm-backports", ("main",)),
    ],
)
def test_what_is_not_debian_s_release_is_left_out(foreign: Source) -> None:
    assert not list(sources.for_our_release([foreign]))


def test_the_host_s_files_are_read_in_both_formats_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.test/debian bookworm main\n")
    (folder / "a.list").write_text("deb http://two.test/debian bookworm main\n")
    (folder / "b.sources").write_text(DEB822)
    (folder / "c.list.disabled").write_text("deb http://three.test/debian bookworm main\n")

    found = {source.uri for source in sources.host_sources(tmp_path)}

    assert found == {
        "http://one.test/debian",
        "http://two.test/debian",
        "http://mirror.test/debian",
        "http://mirror.test/debian-security",
    }


async def test_a_given_mirror_goes_before_the_host_s_own() -> None:
    text = await sources.choose(None, "http://nearby.test/debian")

    assert all("http://nearby.test/debian bookworm" in line for line in text.splitlines())


async def test_a_given_file_goes_before_all_else(tmp_path: Path) -> None:
    file = tmp_path / "mine.list"
    file.write_text("deb http://mine.test/debian bookworm main\n")

    assert await sources.choose(file, "http://nearby.test/debian") == "deb http://mine.test/debian bookworm main\n"
