"""Photos on disk: checked by content, written once under a name nobody can guess, never changed."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from secrets import token_hex
from typing import Final

MAX_PHOTO_BYTES: Final = 4 * 1024 * 1024

CONTENT_TYPES: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}

#: How each format begins. Sources: PNG 5.2 and 11.2.2, JPEG (ITU T.81) B.1.1.3, WebP container specification.
SIGNATURES: Final = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n....IHDR", re.DOTALL),
    "jpg": re.compile(rb"\xff\xd8\xff[\xc0-\xfe]"),
    "webp": re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL),
}


class NotAPhoto(ValueError):
    """The file is none of the formats that the directory shows."""


class PhotoTooLarge(ValueError):
    """The file is larger than MAX_PHOTO_BYTES."""


def suffix_of(content: bytes) -> str:
    """Return "png", "jpg" or "webp" by what the file holds; its name and declared type prove nothing.

    Raises:
        PhotoTooLarge: More than MAX_PHOTO_BYTES.
        NotAPhoto: Any other format.
    """
    if len(content) > MAX_PHOTO_BYTES:
        raise PhotoTooLarge
    for suffix, signature in SIGNATURES.items():
        if signature.match(content):
            return suffix
    raise NotAPhoto


def sync_directory(directory: Path) -> None:
    """Make created, renamed and removed names durable, which syncing a file does not promise."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Photos:
    """The photos below one directory, which it makes."""

    def __init__(self, directory: Path) -> None:
        """Take the directory into use."""
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def keep(self, content: bytes) -> str:
        """Write a photo and return its new name; once this returns, a power cut does not lose it.

        Raises:
            PhotoTooLarge, NotAPhoto: As `suffix_of`; nothing was written.
        """
        name = f"{token_hex(16)}.{suffix_of(content)}"
        unfinished = self.directory / f"{name}.new"
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.directory / name)
        sync_directory(self.directory)
        return name

    def read(self, name: str) -> bytes:
        """Return a photo's content.

        Raises:
            FileNotFoundError: There is none of this name.
        """
        return (self.directory / name).read_bytes()

    def remove(self, name: str) -> None:
        """Remove a photo; one that is already gone is no error."""
        (self.directory / name).unlink(missing_ok=True)

    def remove_all_but(self, names: Collection[str]) -> None:
        """Remove what a crash between a photo and its record left behind."""
        for path in self.directory.iterdir():
            if path.name not in names:
                path.unlink()
