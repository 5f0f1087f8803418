"""Checksums, and the files in which publishers of images list them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Hexadecimal digits of a checksum, by algorithm.
DIGITS: Final = {"sha256": 64, "sha512": 128}

_BEGIN_SIGNED: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_BEGIN_SIGNATURE: Final = "-----BEGIN PGP SIGNATURE-----"


class UnusableChecksums(ValueError):
    """A list of checksums does not tell what it should. The text says why."""


class UnknownChecksum(ValueError):
    """A text is no checksum. The text of this error says why."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a file's content comes to."""

    algorithm: str
    """A key of `DIGITS`."""
    digits: str
    """Hexadecimal, in lower case."""

    def __str__(self) -> str:
        """Return `sha256:HEX`."""
        return f"{self.algorithm}:{self.digits}"


def checksum_of(text: str) -> Checksum:
    """Read `sha256:HEX` or `sha512:HEX`; HEX alone is SHA-256.

    Raises:
        UnknownChecksum: It is neither.
    """
    algorithm, _, digits = text.rpartition(":")
    algorithm = algorithm or "sha256"
    if algorithm not in DIGITS:
        raise UnknownChecksum(f"`{algorithm}` is not a checksum that is known")
    if not _is_digest(digits, algorithm):
        raise UnknownChecksum(f"`{digits}` is no {algorithm} checksum: it has to be {DIGITS[algorithm]} hex digits")
    return Checksum(algorithm, digits.lower())


class ChecksumForm(StrEnum):
    """How a publisher writes its list."""

    GNU = "gnu"
    """`HEX  NAME` or `HEX *NAME`, as `sha256sum` of GNU coreutils writes it."""
    BSD = "bsd"
    """`SHA256 (NAME) = HEX`, as `sha256sum --tag` and FreeBSD's `sha256` write it."""
    BSD_CLEARSIGNED = "bsd-clearsigned"
    """The same inside an OpenPGP cleartext signature. Source: RFC 9580, section 7."""
    BARE = "bare"
    """`HEX` alone, or before a name: a file for one image."""


def listed_checksums(text: str, form: ChecksumForm, algorithm: str, image_file: str) -> Mapping[str, Checksum]:
    """Return the checksums of an algorithm that a list has, by file name.

    `image_file` is the name to which a bare checksum belongs. Lines that say something else are passed over.

    Raises:
        UnusableChecksums: The list contradicts itself, or its signature's frame is broken.
    """
    found: dict[str, Checksum] = {}
    for name, digits in _READERS[form](text, algorithm):
        checksum = Checksum(algorithm, digits.lower())
        key = name.removeprefix("./") or image_file
        if found.setdefault(key, checksum) != checksum:
            raise UnusableChecksums(f"it has two checksums for `{key}`")
    return found


def _gnu(text: str, algorithm: str) -> Iterator[tuple[str, str]]:
    # A line that begins with a backslash has an escaped name: no publisher has such names.
    line = re.compile(rf"([0-9A-Fa-f]{{{DIGITS[algorithm]}}}) [ *](\S.*)")
    for found in _matches(line, text.splitlines()):
        yield found[2], found[1]


def _bsd(text: str, algorithm: str) -> Iterator[tuple[str, str]]:
    return _bsd_lines(text.splitlines(), algorithm)


def _bsd_lines(lines: Iterable[str], algorithm: str) -> Iterator[tuple[str, str]]:
    line = re.compile(rf"{algorithm.upper()} \((.+)\) = ([0-9A-Fa-f]{{{DIGITS[algorithm]}}})")
    for found in _matches(line, lines):
        yield found[1], found[2]


def _bsd_clearsigned(text: str, algorithm: str) -> Iterator[tuple[str, str]]:
    return _bsd_lines(_signed_lines(text.splitlines()), algorithm)


def _bare(text: str, algorithm: str) -> Iterator[tuple[str, str]]:
    words = text.split(maxsplit=1)
    if words and _is_digest(words[0], algorithm):
        yield "", words[0]


_READERS: Final[Mapping[ChecksumForm, Callable[[str, str], Iterator[tuple[str, str]]]]] = {
    ChecksumForm.GNU: _gnu,
    ChecksumForm.BSD: _bsd,
    ChecksumForm.BSD_CLEARSIGNED: _bsd_clearsigned,
    ChecksumForm.BARE: _bare,
}


def _signed_lines(lines: list[str]) -> Iterator[str]:
    """Return the lines that a cleartext signature covers: what stands before and after them is anybody's.

    Source: RFC 9580, section 7: headers up to an empty line; a line that begins with a dash has `- ` before it.
    """
    stripped = [line.rstrip() for line in lines]
    try:
        begin = stripped.index(_BEGIN_SIGNED)
        text = stripped.index("", begin) + 1
        end = stripped.index(_BEGIN_SIGNATURE, text)
    except ValueError as err:
        raise UnusableChecksums("it is no whole OpenPGP signed message") from err
    return (line.removeprefix("- ") for line in stripped[text:end])


def _matches(pattern: re.Pattern[str], lines: Iterable[str]) -> Iterator[re.Match[str]]:
    return (found for line in lines if (found := pattern.fullmatch(line.rstrip())))


def _is_digest(digits: str, algorithm: str) -> bool:
    return len(digits) == DIGITS[algorithm] and re.fullmatch("[0-9A-Fa-f]+", digits) is not None
