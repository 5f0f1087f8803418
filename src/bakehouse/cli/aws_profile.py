"""AWS clients' INI files: one section is written, everything else in the file is left as it is."""

import re
from collections.abc import Mapping, Sequence
from configparser import Error, RawConfigParser
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from bakehouse.cli.terminal import CommandFailed

#: As Python's parser reads them, which the AWS clients use: `[a]]` is the section `a]`.
_HEADER: Final = re.compile(r"\[(.+)\]")

_Sections = dict[str, dict[str, str]]


def write_section(path: Path, section: str, values: Mapping[str, str]) -> None:
    """Replace one section of an INI file, or add it at its end. The file gets mode 0600; a link stays a link.

    Raises:
        CommandFailed: The file cannot be read as INI or not be written. It is as it was.
    """
    path = path.resolve()
    try:
        # Bytes that are no UTF-8 come back as they were, line ends of other systems too.
        before = path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""
        after = _with_section(before, section, values)
        if _sections(path, after) != _sections(path, before) | {section: dict(values)}:
            raise CommandFailed(f"cannot write the section `{section}` into `{path}` without changing others")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("wb", dir=path.parent, prefix=f"{path.name}.", delete=False) as temporary:
            temporary.write(after.encode(errors="surrogateescape"))
        Path(temporary.name).replace(path)
    except OSError as err:
        raise CommandFailed(f"cannot write `{path}`: {err.strerror or err}") from err


def _with_section(text: str, section: str, values: Mapping[str, str]) -> str:
    lines = text.split("\n")
    block = [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
    begin = next((at for at, line in enumerate(lines) if _header(line) == section), None)
    if begin is not None:
        return "\n".join([*lines[:begin], *block, *lines[_end(lines, begin) :]])
    rest = text.removesuffix("\n")
    return (f"{rest}\n\n" if rest.strip() else "") + "\n".join(block) + "\n"


def _end(lines: Sequence[str], begin: int) -> int:
    """Return where a section ends. Blank lines and comments at its end belong to what follows."""
    end = next((at for at in range(begin + 1, len(lines)) if _header(lines[at]) is not None), len(lines))
    while end > begin + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith(("#", ";"))):
        end -= 1
    return end


def _header(line: str) -> str | None:
    found = _HEADER.match(line)
    return found[1] if found else None


def _sections(path: Path, text: str) -> _Sections:
    parser = RawConfigParser(default_section="")
    try:
        parser.read_string(text)
    except Error as err:
        raise CommandFailed(f"cannot read `{path}`: {str(err).splitlines()[0]}", "mend it by hand") from err
    return {name: dict(parser[name]) for name in parser.sections()}
