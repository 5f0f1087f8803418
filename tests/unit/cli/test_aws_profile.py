"""Writing one section of a file that belongs to somebody else."""

import stat
from configparser import RawConfigParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakehouse.cli.aws_profile import write_section
from bakehouse.cli.terminal import CommandFailed

SECTION = "profile bakehouse"
VALUES = {"region": "us-east-1", "endpoint_url": "http://127.0.0.1:8773"}
BLOCK = "[profile bakehouse]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:8773\n"

NAMES = st.text(st.characters(categories=["L", "N"], max_codepoint=0x3000), min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)
LINES = st.one_of(
    st.just(""),
    st.just("   "),
    TEXTS.map("# {}".format),
    TEXTS.map("; [profile bakehouse] {}".format),
    st.tuples(NAMES, TEXTS).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.just("s3 =\n    max_concurrent_requests = 20\n    [profile bakehouse]"),
    st.just("key = a\x0cb\x85c\u2028d"),
    st.just("with_return = yes\r"),
)
OTHERS = st.lists(st.tuples(NAMES, st.lists(LINES, max_size=4)), max_size=4, unique_by=lambda section: section[0])


def sections(text: str) -> dict[str, dict[str, str]] | None:
    """Return what the AWS clients would read, or None of a file that they would refuse."""
    parser = RawConfigParser(default_section="")
    try:
        parser.read_string(text)
    except Exception:  # noqa: BLE001 - whatever it finds wrong with it
        return None
    return {name: dict(parser[name]) for name in parser.sections()}


def ini(others: list[tuple[str, list[str]]]) -> str:
    return "".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in others)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(others=OTHERS, after=OTHERS, already=st.booleans())
def test_all_other_lines_stay_as_they_are(
    tmp_path: Path, others: list[tuple[str, list[str]]], after: list[tuple[str, list[str]]], *, already: bool
) -> None:
    path = tmp_path / "config"
    head, tail = ini(others), ini(after)
    old = "[profile bakehouse]\nregion = eu-west-1\ncolour = red\n" if already else ""
    before = head + old + tail
    if sections(before) is None:
        return
    path.write_bytes(before.encode())

    write_section(path, SECTION, VALUES)

    text = path.read_bytes().decode()
    assert sections(text) == (sections(before) or {}) | {SECTION: VALUES}
    if already:
        assert text == head + BLOCK + tail
    else:
        assert text.removesuffix(BLOCK).rstrip("\n") == before.rstrip("\n")


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "aws" / "credentials"

    write_section(path, SECTION, VALUES)

    assert path.read_text() == BLOCK
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_writing_twice_is_writing_once(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("[default]\nregion = eu-west-1")

    write_section(path, SECTION, VALUES)
    once = path.read_text()
    write_section(path, SECTION, VALUES)

    assert path.read_text() == once == "[default]\nregion = eu-west-1\n\n" + BLOCK


def test_a_comment_above_the_next_section_stays(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("[profile bakehouse]\nregion = x\n\n# for work\n[profile work]\nregion = y\n")

    write_section(path, SECTION, VALUES)

    assert path.read_text() == BLOCK + "\n# for work\n[profile work]\nregion = y\n"


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"[default]\nname = \xff\xfe\n")

    write_section(path, SECTION, VALUES)

    assert path.read_bytes() == b"[default]\nname = \xff\xfe\n\n" + BLOCK.encode()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("[default]\n")
    (tmp_path / "config").symlink_to("real")

    write_section(tmp_path / "config", SECTION, VALUES)

    assert (tmp_path / "config").is_symlink()
    assert BLOCK in (tmp_path / "real").read_text()


@pytest.mark.parametrize("text", ["no section\n", "[a]\nx = 1\n[a]\ny = 2\n", "[a]\nx = 1\nx = 2\n"])
def test_a_file_that_no_client_could_read_is_not_touched(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(CommandFailed):
        write_section(path, SECTION, VALUES)

    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "aws").write_text("")

    with pytest.raises(CommandFailed, match="cannot write"):
        write_section(tmp_path / "aws" / "config", SECTION, VALUES)
