"""Settings: what a home remembers, what the environment says, what an option says, in that order."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bakehouse.settings import InvalidSettings, Settings, default_cache, default_home, load, remember


def test_without_anything_the_settings_are_the_documented_ones(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Settings()


def test_an_option_wins_over_the_environment_and_that_over_the_home(tmp_path: Path) -> None:
    remember(tmp_path, Settings(port=1, region="eu-west-1", accelerator="tcg"))
    environment = {"BAKEHOUSE_PORT": "2", "BAKEHOUSE_REGION": "us-west-2"}

    settings = load(tmp_path, environment, port=3, region=None)

    assert (settings.port, settings.region, settings.accelerator) == (3, "us-west-2", "tcg")


@pytest.mark.parametrize(
    ("text", "place"), [("off", None), ("127.0.0.9:53", ("127.0.0.9", 53)), ("", ("127.0.0.1", 8753))]
)
def test_the_name_server_is_somewhere_on_loopback_or_nowhere(
    tmp_path: Path, text: str, place: tuple[str, int] | None
) -> None:
    assert load(tmp_path, {"BAKEHOUSE_NAME_SERVER": text}).name_server_place == place


def test_what_is_remembered_comes_back(tmp_path: Path) -> None:
    settings = Settings(port=0, simulate=True, stop_timeout_s=1.5, database_url="sqlite:///x")

    remember(tmp_path, settings)

    assert load(tmp_path, {}) == settings


def test_a_setting_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"port": 5, "colour": "red"}')

    assert load(tmp_path, {}).port == 5


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {"BAKEHOUSE_PORT": ""}).port == Settings().port


@pytest.mark.parametrize(
    ("text", "simulate"), [("1", True), ("true", True), ("YES", True), ("0", False), ("no", False)]
)
def test_simulate_is_a_yes_or_a_no(tmp_path: Path, text: str, *, simulate: bool) -> None:
    assert load(tmp_path, {"BAKEHOUSE_SIMULATE": text}).simulate is simulate


def test_a_switch_that_is_neither_on_nor_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="BAKEHOUSE_SIMULATE=perhaps is none of"):
        load(tmp_path, {"BAKEHOUSE_SIMULATE": "perhaps"})


@pytest.mark.parametrize(("system", "refused"), [("Linux", True), ("Darwin", False)])
def test_the_accelerator_of_macos_is_refused_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, *, refused: bool
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)

    with pytest.raises(InvalidSettings, match="macOS") if refused else nullcontext():
        load(tmp_path, {}, accelerator="hvf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65_536},
        {"port": -1},
        {"network": "wifi"},
        {"accelerator": "gpu"},
        {"region": "x"},
        {"stop_timeout_s": -1},
        {"s3_endpoint": "minio.lan"},
        {"name_server": "127.0.0.1"},
        {"name_server": "127.0.0.1:0"},
        {"name_server": "127.0.0.1:dns"},
        {"name_server": "0.0.0.0:8753"},
        {"name_server": "localhost:53"},
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ((_, value),) = wrong.items()

    with pytest.raises(InvalidSettings, match=str(value)):
        load(tmp_path, {}, **wrong)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"port": "x"}', '{"region": 1}', '{"stop_timeout_s": null}'])
def test_a_damaged_memory_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)

    with pytest.raises(InvalidSettings):
        load(tmp_path, {})


def test_home_and_cache_are_where_the_environment_says() -> None:
    assert default_home({"BAKEHOUSE_HOME": "/x"}) == Path("/x")
    assert default_cache({"BAKEHOUSE_CACHE": "/y"}) == Path("/y")


def test_what_a_home_remembers_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")

    remember(tmp_path, Settings(database_url="postgresql://baker:s3cret@db/bakehouse"))

    assert (tmp_path / "settings.json").stat().st_mode & 0o777 == 0o600
