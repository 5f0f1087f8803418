"""Clients as their makers publish them, each in a place of its own in the user's cache, made at its first use.

From PyPI and npm come exactly the files whose hashes are in `environments/` and `node/`; `script/bootstrap --clients`
installs those of the distribution, and makes all the others beforehand: `python -m tests.clients.programs`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent

#: As script/bootstrap has it: a company's proxy may be on no list but the system's.
_ENVIRONMENT: Final = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}
_INSTALL_TIMEOUT_S: Final = 600


class ProgramMissing(Exception):
    """A program is not installed on this host."""


def python_environment(name: str) -> Path:
    """Return the folder of programs of an environment that has what `environments/NAME.txt` locks."""
    locked = _HERE / "environments" / f"{name}.txt"
    place = _place(name, locked.read_bytes() + sys.version.encode())
    if not place.exists():
        uv = _uv()
        with _made(place) as made:
            _run([uv, "venv", "--quiet", "--python", sys.executable, "--relocatable", str(made)])
            python = str(made / "bin" / "python")
            _run([uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(locked)])
    return place / "bin"


def node_modules() -> Path:
    """Return the folder, to be a script's own, whose `node_modules` are what `node/package-lock.json` locks."""
    lock = _HERE / "node" / "package-lock.json"
    place = _place("node", lock.read_bytes())
    if not place.exists():
        npm = distribution_program("npm")
        with _made(place) as made:
            for file in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / "node" / file, made)
            _run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(made)])
    return place


def distribution_program(name: str, directory: str | None = None) -> str:
    """Return the path of a program of the distribution's packages.

    Raises:
        ProgramMissing: It is not there.
    """
    found = shutil.which(name, path=directory)
    if found is None:
        raise ProgramMissing(f"`{name}` is not installed: run script/bootstrap --clients")
    return found


def _uv() -> str:
    for candidate in ("uv", Path.home() / ".local" / "bin" / "uv", _cache() / "uv" / "bin" / "uv"):
        found = shutil.which(candidate)
        if found:
            return found
    raise ProgramMissing("`uv` is not installed: run script/bootstrap")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bakehouse"


def _place(name: str, locked: bytes) -> Path:
    return _cache() / "clients" / f"{name}-{hashlib.sha256(locked).hexdigest()[:12]}"


class _made:  # noqa: N801 - reads as what it does
    """A new folder that takes its place once what is in it is whole: two at once may make one."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __enter__(self) -> Path:
        self._place.parent.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self._place.name}.", dir=self._place.parent))
        return self._folder

    def __exit__(self, kind: object, *_rest: object) -> None:
        if kind is None and not self._place.exists():
            self._folder.rename(self._place)
        else:
            shutil.rmtree(self._folder, ignore_errors=True)


def _run(argv: list[str]) -> None:
    environment = {**_ENVIRONMENT, **os.environ}
    done = subprocess.run(
        argv, env=environment, check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
    )
    assert done.returncode == 0, f"{argv}:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    for path in sorted((_HERE / "environments").glob("*.txt")):
        print(python_environment(path.stem))  # noqa: T201 - what bootstrap shows
    print(node_modules())  # noqa: T201
