"""Settings: where a server keeps its things and how it answers. From options and `BAKEHOUSE_*` variables.

What a home was made with (port, region) is remembered in it, so that later commands need only `--home`.
"""

import json
import os
import platform
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, Literal, get_args

from bakehouse.domain.region import DEFAULT_REGION, REGIONS

DEFAULT_PORT: Final = 8773
NetworkMode = Literal["auto", "root", "rootless"]
#: How a setting that is on or off is written in the environment.
_SWITCHES: Final = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_ACCELERATORS: Final = ("auto", "hvf", "kvm", "tcg")
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server runs. What is None is chosen by the server."""

    port: int = DEFAULT_PORT
    """TCP port on 127.0.0.1; 0 lets the system choose."""
    serial_console_port: int | None = None
    """TCP port on 127.0.0.1 for SSH to serial consoles; 0 lets the system choose; None is 8722, or the next free."""
    region: str = DEFAULT_REGION
    """The home region: that of the first account's profile."""
    accelerator: str = "auto"
    """`auto` (tried out), `kvm`, `hvf` (macOS) or `tcg`."""
    network: NetworkMode = "auto"
    """`auto`, `root` or `rootless`."""
    simulate: bool = False
    """Use fakes instead of machines: the whole API, nothing boots."""
    database_url: str | None = None
    """URL of the database, as `postgresql://USER@HOST/NAME`; None is SQLite in the home."""
    apt_sources: str | None = None
    """apt sources file for image builds; None is the host's own."""
    image_mirror: str | None = None
    """URL of a mirror from which published images are pulled; None is each publisher's own."""
    stop_timeout_s: float = 60
    """How long a guest may take to shut down before its machine is killed."""
    guest_memory_mib: int | None = None
    """Memory that all guests together may have; None is the memory of the host, and no limit with `simulate`."""
    instance_limit: int = 1000
    """Running instances that an account may have in a region."""
    vcpu_limit: int = 4096
    """Virtual processors of running instances that an account may have in a region, by kind of instance."""
    bucket_folder: str | None = None
    """Folder whose subfolders are buckets for imports, exports and stored images; None is `buckets` in the home."""
    key_folder: str | None = None
    """Folder of the keys that encrypt volumes; None is `volume-keys` in the home."""
    s3_endpoint: str | None = None
    """URL of the S3-compatible service that has all buckets which are no subfolder; None is no service."""
    s3_profile: str | None = None
    """Profile of the AWS configuration files for that service; None is what the AWS SDK finds, environment first."""
    fetch_from_this_host: bool = False
    """Whether imports may fetch from URLs of this host itself and of its link."""
    name_server: str = "127.0.0.1:8753"
    """ADDRESS:PORT of 127.0.0.0/8 where public names are answered for this host's resolver; `off` for nowhere."""

    @property
    def name_server_place(self) -> tuple[str, int] | None:
        """The name server's address and port; None where there is to be none.

        Raises:
            InvalidSettings: The setting is neither.
        """
        if self.name_server == "off":
            return None
        address, _colon, port = self.name_server.rpartition(":")
        with suppress(ValueError):
            if IPv4Address(address).is_loopback and 0 < int(port) <= _PORT_MAX:
                return address, int(port)
        raise InvalidSettings(
            f"the name server `{self.name_server}` is neither ADDRESS:PORT with an address in 127.0.0.0/8 nor `off`"
        )


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
        settings = _remembered(path)
    variables = {name: environment.get(f"BAKEHOUSE_{name.upper()}") for name in known}
    given: dict[str, Any] = {name: _read(name, text) for name, text in variables.items() if text}
    given |= {name: value for name, value in options.items() if value is not None}
    settings = replace(settings, **given)
    _check("network mode", settings.network, get_args(NetworkMode))
    _check("accelerator", settings.accelerator, _ACCELERATORS)
    if settings.accelerator == "hvf" and platform.system() != "Darwin":
        raise InvalidSettings("the accelerator `hvf` is of macOS; here it is auto, kvm or tcg")
    _check("region", settings.region, REGIONS)
    for port in (settings.port, settings.serial_console_port or 0):
        if not 0 <= port <= _PORT_MAX:
            raise InvalidSettings(f"the port {port} is none of 0 to {_PORT_MAX}")
    for what, url in (("S3 endpoint", settings.s3_endpoint), ("image mirror", settings.image_mirror)):
        if url is not None and not url.startswith(("http://", "https://")):
            raise InvalidSettings(f"the {what} `{url}` is no URL of http or https")
    _ = settings.name_server_place  # refuses what is none
    if not settings.stop_timeout_s >= 0:
        raise InvalidSettings(f"the stop timeout of {settings.stop_timeout_s} seconds is less than none")
    for what in ("guest_memory_mib", "instance_limit", "vcpu_limit"):
        limit = getattr(settings, what)
        if limit is not None and limit < 0:
            raise InvalidSettings(f"the limit {what} of {limit} is less than none")
    return settings


def remember(home: Path, settings: Settings) -> None:
    """Write the settings into the home, for the owner alone: a database's URL may hold a password."""
    text = json.dumps(asdict(settings), indent=2) + "\n"
    path = home / "settings.json"
    if not path.exists() or path.read_text() != text:
        temporary = path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(text)
        temporary.replace(path)
    path.chmod(0o600)  # earlier versions let everybody read it


def _remembered(path: Path) -> Settings:
    import msgspec  # noqa: PLC0415 - commands that need no settings start without it

    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise InvalidSettings(f"`{path}` cannot be read: {err}") from err


def _check(what: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise InvalidSettings(f"the {what} `{value}` is none of {', '.join(known)}")


def _read(name: str, text: str) -> Any:  # noqa: ANN401 - any field's value
    try:
        if name in ("guest_memory_mib", "instance_limit", "port", "serial_console_port", "vcpu_limit"):
            return int(text)
        if name == "stop_timeout_s":
            return float(text)
    except ValueError as err:
        raise InvalidSettings(f"BAKEHOUSE_{name.upper()}={text} is not a number") from err
    if name in ("fetch_from_this_host", "simulate"):
        if text.lower() not in _SWITCHES:
            raise InvalidSettings(f"BAKEHOUSE_{name.upper()}={text} is none of {', '.join(_SWITCHES)}")
        return _SWITCHES[text.lower()]
    return text
