"""Lists of checksums, in every form that a publisher of the catalogue uses."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.checksum import (
    DIGITS,
    Checksum,
    ChecksumForm,
    UnknownChecksum,
    UnusableChecksums,
    checksum_of,
    listed_checksums,
)

A, B = "a" * 64, "b" * 64

ALGORITHMS = st.sampled_from(sorted(DIGITS))
NAMES = st.text(string.ascii_letters + string.digits + "._-+", min_size=1, max_size=40).filter(
    lambda name: not name.startswith("./")
)
LISTS = ALGORITHMS.flatmap(
    lambda algorithm: st.tuples(
        st.just(algorithm),
        st.dictionaries(
            NAMES, st.text("0123456789abcdefABCDEF", min_size=DIGITS[algorithm], max_size=DIGITS[algorithm]), max_size=5
        ),
    )
)
FORMS = st.sampled_from([ChecksumForm.GNU, ChecksumForm.BSD, ChecksumForm.BSD_CLEARSIGNED])


def signed(text: str) -> str:
    escaped = "\n".join(f"- {line}" if line.startswith("-") else line for line in text.splitlines())
    return (
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{escaped}\n"
        "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCAAdFiEE\n-----END PGP SIGNATURE-----\n"
    )


def written(form: ChecksumForm, algorithm: str, checksums: dict[str, str]) -> str:
    """Write a list as publishers do."""
    if form is ChecksumForm.GNU:
        return "".join(f"{digits} {' *'[i % 2]}{name}\n" for i, (name, digits) in enumerate(checksums.items()))
    text = "".join(
        f"# {name}: 12 bytes\n{algorithm.upper()} ({name}) = {digits}\n" for name, digits in checksums.items()
    )
    return signed(text) if form is ChecksumForm.BSD_CLEARSIGNED else text


@given(listed=LISTS, form=FORMS, crlf=st.booleans())
def test_every_form_tells_every_file_its_checksum(
    listed: tuple[str, dict[str, str]], form: ChecksumForm, *, crlf: bool
) -> None:
    algorithm, checksums = listed
    text = written(form, algorithm, checksums)

    found = listed_checksums(text.replace("\n", "\r\n") if crlf else text, form, algorithm, "other")

    assert found == {name: Checksum(algorithm, digits.lower()) for name, digits in checksums.items()}


@given(text=st.text(), form=st.sampled_from(ChecksumForm), algorithm=ALGORITHMS)
def test_whatever_a_list_says_it_is_read_or_refused(text: str, form: ChecksumForm, algorithm: str) -> None:
    try:
        found = listed_checksums(text, form, algorithm, "image")
    except UnusableChecksums:
        return
    assert all(len(checksum.digits) == DIGITS[algorithm] for checksum in found.values())


@pytest.mark.parametrize("text", [A, f"{A}\n", f"  {A.upper()}  image.qcow2\n"])
def test_a_bare_checksum_is_of_the_image_that_was_asked_for(text: str) -> None:
    found = listed_checksums(text, ChecksumForm.BARE, "sha256", "image.qcow2")

    assert found == {"image.qcow2": Checksum("sha256", A)}


def test_a_path_from_the_lists_own_folder_is_a_name() -> None:
    assert set(listed_checksums(f"{A}  ./disk.raw\n", ChecksumForm.GNU, "sha256", "")) == {"disk.raw"}


def test_of_several_algorithms_only_the_one_asked_for_is_read() -> None:
    text = f"SHA512 (disk) = {'c' * 128}\nSHA256 (disk) = {A}\nMD5 (disk) = {'d' * 32}\n"

    assert listed_checksums(text, ChecksumForm.BSD, "sha256", "") == {"disk": Checksum("sha256", A)}


@pytest.mark.parametrize("line", [f"{A[1:]}  disk", f"{A}0  disk", f"{A}disk", f"\\{A}  di\\nsk", f"{A} disk", A])
def test_a_line_of_another_form_is_passed_over(line: str) -> None:
    assert listed_checksums(line, ChecksumForm.GNU, "sha256", "disk") == {}


def test_a_file_with_two_checksums_is_refused() -> None:
    with pytest.raises(UnusableChecksums, match="two checksums for `disk`"):
        listed_checksums(f"{A}  disk\n{B} *disk\n", ChecksumForm.GNU, "sha256", "")


@pytest.mark.parametrize("place", ["before", "after"])
def test_what_is_outside_the_signature_does_not_count(place: str) -> None:
    forged, true = f"SHA256 (disk) = {B}\n", signed(f"SHA256 (disk) = {A}\n")

    found = listed_checksums(
        forged + true if place == "before" else true + forged, ChecksumForm.BSD_CLEARSIGNED, "sha256", ""
    )

    assert found == {"disk": Checksum("sha256", A)}


@pytest.mark.parametrize(
    "text", ["", f"SHA256 (disk) = {A}\n", signed(f"SHA256 (disk) = {A}\n").partition("-----BEGIN PGP SIGNATURE")[0]]
)
def test_a_signed_list_without_its_whole_frame_is_refused(text: str) -> None:
    with pytest.raises(UnusableChecksums, match="no whole OpenPGP signed message"):
        listed_checksums(text, ChecksumForm.BSD_CLEARSIGNED, "sha256", "")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (A, Checksum("sha256", A)),
        (f"sha256:{A.upper()}", Checksum("sha256", A)),
        (f"sha512:{A}{B}", Checksum("sha512", A + B)),
    ],
)
def test_a_checksum_is_read_as_a_person_writes_it(text: str, read: Checksum) -> None:
    assert checksum_of(text) == read


@pytest.mark.parametrize(
    "text", ["", "sha1:" + "0" * 40, "md5:" + "0" * 32, "sha256:", f"sha512:{A}", "sha256:" + "g" * 64]
)
def test_what_is_no_checksum_is_refused(text: str) -> None:
    with pytest.raises(UnknownChecksum):
        checksum_of(text)
