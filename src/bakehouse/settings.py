"""Settings: where a server keeps its things and how it answers. From options and `BAKEHOUSE_*` variables.

What a home was made with (port, region) is remembered in it, so that later commands need only `--home`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

DEFAULT_PORT: Final = 8773
NetworkMode = Literal["auto", "root", "rootless"]
DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server runs. What is None is chosen by the server."""

    port: int = DEFAULT_PORT
    """TCP port on 127.0.0.1; 0 lets the system choose."""
    region: str = DEFAULT_REGION
    """The home region: that of the first account's profile."""
    accelerator: str = "auto"
    """`auto`, `kvm`, `hvf` or `tcg`."""
    network: NetworkMode = "auto"
    """`auto`, `root` or `rootless`."""
    simulate: bool = False
    """Use fakes instead of machines: the whole API, nothing boots."""
    database_url: str | None = None
    """SQLAlchemy URL of the database; None is SQLite in the home."""
    apt_sources: str | None = None
    """apt sources file for image builds; None is the host's own."""
    stop_timeout_s: float = 60
    """How long a guest may take to shut down before its machine is killed."""


class InvalidSettings(ValueError):
    """A setting has no usable value. The text names it."""


def default_home(environment: Mapping[str, str]) -> Path:
    """Return the home without `--home`: BAKEHOUSE_HOME, /var/lib/bakehouse for root, else the user's data directory."""
    if home := environment.get("BAKEHOUSE_HOME"):
        return Path(home)
    if os.geteuid() == 0:
        return Path("/var/lib/bakehouse")
    data = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "bakehouse"


def default_cache(environment: Mapping[str, str]) -> Path:
    """Return where built images and packages are kept for all homes of a user: BAKEHOUSE_CACHE, or the usual places."""
    if cache := environment.get("BAKEHOUSE_CACHE"):
        return Path(cache)
    if os.geteuid() == 0:
        return Path("/var/cache/bakehouse")
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bakehouse"


def load(home: Path, environment: Mapping[str, str], **options: Any) -> Settings:  # noqa: ANN401 - any field's value
    """Return the settings of a home: what it remembers, then the environment, then options that are not None."""
    known = {field.name for field in fields(Settings)}
    settings = Settings()
    path = home / "settings.json"
    if path.exists():
        remembered = json.loads(path.read_text())
        settings = replace(settings, **{name: value for name, value in remembered.items() if name in known})
    variables = {name: environment.get(f"BAKEHOUSE_{name.upper()}") for name in known}
    given: dict[str, Any] = {name: _read(name, text) for name, text in variables.items() if text}
    given |= {name: value for name, value in options.items() if value is not None}
    settings = replace(settings, **given)
    if settings.network not in get_args(NetworkMode):
        raise InvalidSettings(f"the network mode `{settings.network}` is none of {', '.join(get_args(NetworkMode))}")
    return settings


def remember(home: Path, settings: Settings) -> None:
    """Write the settings into the home."""
    text = json.dumps(asdict(settings), indent=2) + "\n"
    path = home / "settings.json"
    if not path.exists() or path.read_text() != text:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)


def _read(name: str, text: str) -> Any:  # noqa: ANN401 - any field's value
    try:
        if name == "port":
            return int(text)
        if name == "stop_timeout_s":
            return float(text)
    except ValueError as err:
        raise InvalidSettings(f"BAKEHOUSE_{name.upper()}={text} is not a number") from err
    if name == "simulate":
        return text.lower() in ("1", "true", "yes", "on")
    return text
