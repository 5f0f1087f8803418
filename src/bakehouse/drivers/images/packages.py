"""An apt of our own: its own lists, its own empty status, its own download folder.

Nothing of the host's apt is read but its sources (see `sources.py`) and how it reaches the network; nothing of it
is changed. It works as any user, because it installs nothing.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bakehouse.drivers import process
from bakehouse.drivers.images import host

#: How long a resolved list of packages is believed before the mirror is asked again.
FRESH_S: Final = 24 * 60 * 60

#: A line of `apt-get --print-uris`: 'URI' FILE SIZE ALGORITHM:DIGEST. Source: apt-get(8), --print-uris. A mirror
#: without the kind of digest that is printed leaves the blank before it.
_URI_LINE: Final = re.compile(r"^'[^']+' (?P<file>\S+\.deb) (?P<size>\d+)(?: (?:\S+:(?P<digest>[0-9a-f]+))?)?$")

#: A line on apt's status descriptor: dlstatus:NUMBER:PERCENT:MESSAGE. Source: apt, README.progress-reporting.
_STATUS_LINE: Final = re.compile(r"^dlstatus:\d+:(?P<percent>[\d.]+):")

#: The kernel's metapackage depends on the package with the version in its name.
_KERNEL_DEPENDENCY: Final = re.compile(r"Depends: (linux-image-\d\S+)")


class PackagesUnavailable(Exception):
    """The packages cannot be had: no network, a mirror without them, or a bad signature."""


class Package(msgspec.Struct, frozen=True):
    """One package file as the mirror offers it; `file` names package, version and architecture."""

    file: str
    size: int
    digest: str


class Resolved(msgspec.Struct, frozen=True):
    """The exact packages that some names meant at a time (seconds since 1970)."""

    when: float
    packages: tuple[Package, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """Debian's packages, seen through one list of sources and kept in one folder.

    Attributes:
        folder: Holds the lists, resolved names and downloaded packages; all can be fetched again.
        sources: Text of a sources.list.
        architecture: Whose packages, as Debian names it.
    """

    folder: Path
    sources: str
    architecture: str

    @property
    def sources_file(self) -> Path:
        """The sources as a file, there once `resolve` has returned."""
        return self.folder / "sources.list"

    @property
    def lists(self) -> Path:
        """The mirrors' package lists, there once `resolve` has returned."""
        return self.folder / "lists"

    def remembered(self, names: Sequence[str], *, closure: bool) -> tuple[Package, ...] | None:
        """Return what `resolve` answered less than `FRESH_S` ago; None when it must be asked."""
        if not names:
            return ()
        known = _read(self._memory(names, closure=closure))
        return known.packages if known is not None and time.time() - known.when < FRESH_S else None

    async def resolve(self, names: Sequence[str], *, closure: bool) -> tuple[Package, ...]:
        """Return the exact packages that these names mean today, sorted by file name.

        Asks the mirror; when it cannot be reached, an older answer will do.

        Args:
            names: Package names, or apt patterns such as `?essential`.
            closure: Whether everything that they depend on is meant too.

        Raises:
            PackagesUnavailable: There is no answer, old or new.
        """
        if not names:
            return ()
        memory = self._memory(names, closure=closure)
        updated = await self._update()
        try:
            packages = await self._print_uris(names, closure=closure)
        except process.ProcessFailed as err:
            known = _read(memory)
            if known is None:
                reason = updated.stderr.decode(errors="replace").strip() or err
                raise PackagesUnavailable(f"the list of Debian's packages cannot be fetched: {reason}") from err
            return known.packages
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.encode(Resolved(time.time(), packages)))
        return packages

    async def fetch(
        self, packages: Sequence[Package], on_progress: Callable[[float], None] = lambda _fraction: None
    ) -> list[Path]:
        """Return the files of packages, verified by apt, downloading those that are not there yet.

        Args:
            packages: As resolved.
            on_progress: Told the part of the download that is done, 0 to 1.

        Raises:
            PackagesUnavailable: At least one cannot be had as it was resolved.
        """
        store = self.folder / "packages"
        store.mkdir(parents=True, exist_ok=True)
        files = [store / package.file for package in packages]
        missing = [
            package
            for package, file in zip(packages, files, strict=True)
            if not file.exists() or file.stat().st_size != package.size
        ]
        if missing:
            await self._download(missing, store, on_progress)
        return files

    async def _download(self, packages: Sequence[Package], store: Path, on_progress: Callable[[float], None]) -> None:
        shown = -1

        def read_status(line: str) -> None:
            nonlocal shown
            status = _STATUS_LINE.match(line)
            if status and (percent := int(float(status["percent"]))) > shown:
                shown = percent
                on_progress(percent / 100)

        wanted = [_name_and_version(package.file) for package in packages]
        command = ["apt-get", "-qq", "-o", "APT::Status-Fd=1", "download", *wanted]
        try:
            await process.stream(command, on_line=read_status, cwd=store, env=self._environment)
        except process.ProcessFailed as err:
            raise PackagesUnavailable(f"a package cannot be fetched: {err}") from err

    def _memory(self, names: Sequence[str], *, closure: bool) -> Path:
        question = hashlib.sha256("\n".join((self.sources, str(closure), *names)).encode()).hexdigest()
        return self.folder / "resolved" / f"{question[:16]}.json"

    async def _update(self) -> process.Completed:
        """Ask the mirrors for their lists.

        A mirror in the middle of its own update makes this fail while the lists that did arrive will do; when they
        do not, the next question fails.
        """
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        self.sources_file.write_text(self.sources)
        network = await process.run(["apt-config", "dump", "--no-empty", "Acquire"])
        self._config_file.write_text(network.text + self._config())
        return await self._apt("apt-get", "update", check=False)

    async def _print_uris(self, names: Sequence[str], *, closure: bool) -> tuple[Package, ...]:
        if closure:
            command = ["apt-get", "install", "--assume-yes", "--no-install-recommends", "--print-uris", *names]
        else:
            kernels = [name for name in names if name.startswith("linux-image-")]
            real = [await self._kernel_behind(name) for name in kernels]
            others = [name for name in names if name not in kernels]
            command = ["apt-get", "download", "--print-uris", *real, *others]
        done = await self._apt(*command)
        matches = [_URI_LINE.match(line) for line in done.text.splitlines()]
        found = [Package(match["file"], int(match["size"]), match["digest"] or "") for match in matches if match]
        return tuple(sorted(found, key=lambda package: package.file))

    async def _kernel_behind(self, metapackage: str) -> str:
        done = await self._apt("apt-cache", "depends", metapackage)
        match = _KERNEL_DEPENDENCY.search(done.text)
        return match[1] if match else metapackage

    async def _apt(self, program: str, *words: str, check: bool = True) -> process.Completed:
        return await process.run([program, "-qq", *words], env=self._environment, check=check)

    @property
    def _environment(self) -> dict[str, str]:
        return host.environment(APT_CONFIG=str(self._config_file))

    @property
    def _config_file(self) -> Path:
        return self.folder / "apt.conf"

    def _config(self) -> str:
        """Everything that would lead apt to the host's own state, led here instead."""
        own = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",
            # What --print-uris prints: MD5 otherwise, which Debian's security archive has not.
            "Acquire::ForceHash": "sha256",
            "Acquire::Languages": "none",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
            "Dir::State": str(self.folder),
            "Dir::State::status": str(self.folder / "status"),
            "Dir::State::lists": str(self.lists),
            "Dir::Cache": str(self.folder / "cache"),
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::sourcelist": str(self.sources_file),
            "Dir::Etc::sourceparts": "/dev/null",
        }
        return "".join(f'{name} "{value}";\n' for name, value in own.items())


def _read(memory: Path) -> Resolved | None:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Resolved)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _name_and_version(file: str) -> str:
    """Return `name=version` of a package file; apt writes the colon of an epoch as %3a."""
    name, version, _architecture = file.removesuffix(".deb").split("_")
    return f"{name}={version.replace('%3a', ':')}"
