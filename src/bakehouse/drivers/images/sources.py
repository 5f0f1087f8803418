"""Where Debian's packages come from on this host, written down as an apt sources file of our own.

The host's own Debian mirrors are used when it has any, for the release that the recipes need, whichever release
the host itself runs. Foreign repositories of the host are left out: an image holds Debian's packages only.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.images.recipe import SUITE

APT_FOLDER: Final = Path("/etc/apt")

#: Of the package debian-archive-keyring, on Debian and on Ubuntu; newer releases have the second name.
KEYRINGS: Final = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)

#: Release names whose suites hold all packages of a release and its updates, not backports or experiments.
_RELEASES: Final = ("bookworm", "trixie", "forky", "stable", "testing", "sid", "unstable")
_SUITE: Final = re.compile(rf"^(?:{'|'.join(_RELEASES)})(?P<part>(?:-updates|-security|-security/updates)?)/?$")
_ONE_LINE: Final = re.compile(
    r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$"
)


class NoPackageSources(Exception):
    """This host names no Debian mirror, and none was given."""


@dataclass(frozen=True, slots=True)
class Source:
    """One apt repository: a mirror and a suite in it. `signed_by` is a keyring file, None where apt's own trust."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None = None

    def one_line(self) -> str:
        """Return it in apt's one-line format, with Debian's free packages only."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {self.suite} main"


async def choose(apt_sources: Path | None, mirror: str | None) -> str:
    """Return the text of a sources.list for the recipes' release.

    Args:
        apt_sources: A sources file to use as it is, in either of apt's formats; goes before all else.
        mirror: Address of a Debian mirror; goes before the host's own sources.

    Raises:
        NoPackageSources: The host has no Debian sources, and mmdebstrap knows no default mirror either.
        OSError: `apt_sources` cannot be read.
    """
    if apt_sources is not None:
        return _text(_read(apt_sources))
    if mirror:
        signed_by = next((str(keyring) for keyring in KEYRINGS if keyring.exists()), None)
        suites = (SUITE, f"{SUITE}-updates")
        return _text(Source(mirror, suite, ("main",), signed_by) for suite in suites)
    if own := list(for_our_release(host_sources(APT_FOLDER))):
        return _text(own)
    return _text(parse(await _default_of_mmdebstrap(), deb822=False))


def host_sources(folder: Path) -> Iterator[Source]:
    """Yield every enabled repository that the host's apt knows."""
    for file in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if file.suffix in (".list", ".sources") and file.is_file():
            yield from _read(file)


def for_our_release(sources: Iterable[Source]) -> Iterator[Source]:
    """Yield the Debian ones, each for the recipes' release.

    Known by Debian's suite names together with the component `main` and Debian's keyring: other distributions
    have other suites, and what others publish for Debian's suites is signed with their keys.
    """
    seen = set()
    for source in sources:
        suite = _SUITE.match(source.suite)
        if suite is None or "main" not in source.components:
            continue
        if source.signed_by is not None and "debian-archive" not in source.signed_by:
            continue
        ours = Source(source.uri, SUITE + suite["part"], ("main",), source.signed_by)
        if ours not in seen:
            seen.add(ours)
            yield ours


def parse(text: str, *, deb822: bool) -> list[Source]:
    """Return the enabled binary package repositories of an apt sources file, in order."""
    return list(_parse_deb822(text) if deb822 else _parse_one_line(text))


def _read(file: Path) -> list[Source]:
    return parse(file.read_text(), deb822=file.suffix == ".sources")


def _parse_one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        entry = _ONE_LINE.match(line.partition("#")[0].strip())
        if entry:
            options = dict(option.partition("=")[::2] for option in (entry["options"] or "").split())
            components = tuple(entry["components"].split())
            yield Source(entry["uri"], entry["suite"], components, options.get("signed-by"))


def _parse_deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        signed_by = fields.get("signed-by")
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, components, signed_by)


def _fields(stanza: str) -> dict[str, str]:
    """Return the fields of one deb822 stanza; a line that begins with a blank continues the one before."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


async def _default_of_mmdebstrap() -> str:
    """Ask mmdebstrap for the sources it would use: its hook shows them and stops it before it fetches anything."""
    mark = "bakehouse-sources: "
    hook = f"""sed 's/^/{mark}/' "$1/etc/apt/sources.list" >&2; exit 1"""
    command: Sequence[str] = (
        "mmdebstrap", "--mode=chrootless", "--variant=custom", "--format=null",
        f"--setup-hook={hook}", SUITE, "/dev/null",
    )  # fmt: skip
    done = await process.run(command, check=False, timeout_s=60)
    lines = done.stderr.decode(errors="replace").splitlines()
    found = "\n".join(line.removeprefix(mark) for line in lines if line.startswith(mark))
    if not found:
        raise NoPackageSources(f"`{shlex.join(command)}` names no mirror for Debian {SUITE}; give one with `--mirror`")
    return found


def _text(sources: Iterable[Source]) -> str:
    return "".join(source.one_line() + "\n" for source in sources)
