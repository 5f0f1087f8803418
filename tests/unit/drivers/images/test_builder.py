import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bakehouse.drivers import process
from bakehouse.drivers.images import builder, packages
from bakehouse.drivers.images.architecture import ARCHITECTURES
from bakehouse.drivers.images.builder import Ingredients
from bakehouse.drivers.images.cache import ImageCache
from bakehouse.drivers.images.packages import Archive, Package, Resolved
from bakehouse.drivers.images.recipe import DEBIAN_12, MINIMAL, RECIPES, Recipe

SOURCES = "deb http://mirror.test/debian bookworm main\n"
X86_64 = ARCHITECTURES["x86_64"]
BREAD = Package("bread_1%3a2.0-1_amd64.deb", 1000, "ab12")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    file = tmp_path / "mine.list"
    file.write_text(SOURCES)
    return file


def remember(cache: Path, recipe: Recipe, *, when: float) -> str:
    """Leave what an earlier build would have left: the resolved packages and the image."""
    store = ImageCache.at(cache)
    archive = Archive(store.apt("amd64"), SOURCES, "amd64")
    for words, closure in (("packages", recipe.with_dependencies), ("loaders", False)):
        memory = archive._memory(recipe.words(words, X86_64), closure=closure)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.encode(Resolved(when, (BREAD,))))
    key = builder.content_key(recipe, X86_64, Ingredients((BREAD,), (BREAD,)))
    store.path_of(recipe, key).parent.mkdir(parents=True)
    store.path_of(recipe, key).write_bytes(b"crust")
    return key


async def unreachable(_archive: Archive, *words: str, check: bool = True) -> process.Completed:
    """Answer as apt does without a network: the update says why, the question after it only that nothing is known."""
    if check:
        raise process.ProcessFailed(words, 100, "unable to locate package")
    return process.Completed(words, 100, b"", b"no route to host")


async def test_an_unknown_recipe_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(builder.UnknownRecipe, match="`minimal`, `debian-12`"):
        await builder.build("sourdough", cache=tmp_path)


async def test_an_unknown_architecture_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(builder.UnknownRecipe, match="no architecture `vax`; known are `x86_64`"):
        await builder.build("minimal", cache=tmp_path, architecture="vax")


async def test_a_baked_image_is_found_without_starting_a_program(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(process, "run", None)
    key = remember(tmp_path / "cache", MINIMAL, when=999.0)

    image = await builder.build("minimal", cache=tmp_path / "cache", apt_sources=sources)

    assert (image.content_key, image.path.read_bytes(), image.size_bytes) == (key, b"crust", 5)


async def test_without_a_network_an_old_image_will_do(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Archive, "_apt", unreachable)
    key = remember(tmp_path / "cache", MINIMAL, when=0.0)

    image = await builder.build("minimal", cache=tmp_path / "cache", apt_sources=sources)

    assert image.content_key == key


async def test_without_a_network_and_an_image_the_mirror_is_named_as_the_reason(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Archive, "_apt", unreachable)

    with pytest.raises(packages.PackagesUnavailable, match="no route to host"):
        await builder.build("minimal", cache=tmp_path / "cache", apt_sources=sources)


async def test_progress_ends_at_one(tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    remember(tmp_path / "cache", MINIMAL, when=999.0)
    seen: list[float] = []

    await builder.build(
        "minimal",
        cache=tmp_path / "cache",
        apt_sources=sources,
        progress=lambda progress: seen.append(progress.fraction),
    )

    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_the_content_key_depends_on_recipe_and_on_each_package() -> None:
    bread = Ingredients((BREAD,), ())
    keys = {
        builder.content_key(MINIMAL, X86_64, bread),
        builder.content_key(DEBIAN_12, X86_64, bread),
        builder.content_key(replace(MINIMAL, disk_mib=64), X86_64, bread),
        builder.content_key(MINIMAL, X86_64, Ingredients((), ())),
        builder.content_key(MINIMAL, X86_64, Ingredients((Package(BREAD.file, BREAD.size, "cd34"),), ())),
        builder.content_key(MINIMAL, X86_64, Ingredients((BREAD,), (BREAD,))),
        builder.content_key(MINIMAL, ARCHITECTURES["i386"], bread),
    }

    assert len(keys) == 7


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=str)
async def test_the_scripts_of_a_recipe_have_no_syntax_error(recipe: Recipe) -> None:
    files = [path for path in recipe.folder.rglob("*") if path.is_file()]
    scripts = [file for file in files if file.suffix == ".sh" or file.read_bytes()[:9] == b"#!/bin/sh"]

    for script in scripts:
        await process.run(["sh", "-n", script])

    assert scripts


def test_a_list_of_a_recipe_has_no_comments_in_it() -> None:
    assert all(word.startswith("/") for word in MINIMAL.words("files", X86_64))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=str)
def test_a_recipe_names_a_kernel_for_each_of_its_architectures(recipe: Recipe) -> None:
    kernels = [
        [word for word in recipe.words("packages", architecture) if word.startswith("linux-image-")]
        for architecture in ARCHITECTURES.values()
    ]

    assert all(len(named) == 1 for named in kernels)


def test_a_package_file_gives_the_name_and_version_that_apt_takes() -> None:
    assert packages._name_and_version(BREAD.file) == "bread=1:2.0-1"


def test_what_apt_would_download_is_read_from_its_lines() -> None:
    line = "'http://mirror.test/b/bread_1.0-1_amd64.deb' bread_1.0-1_amd64.deb 7048 SHA256:00ff"

    match = packages._URI_LINE.match(line)

    assert match
    assert match.group("file", "size", "digest") == ("bread_1.0-1_amd64.deb", "7048", "00ff")


def test_a_package_whose_mirror_has_not_that_digest_is_not_passed_over() -> None:
    line = "'http://mirror.test/b/bread_1.0-1_amd64.deb' bread_1.0-1_amd64.deb 7048 "

    match = packages._URI_LINE.match(line)

    assert match
    assert match.group("file", "size", "digest") == ("bread_1.0-1_amd64.deb", "7048", None)


async def test_the_workspace_of_a_killed_build_is_removed_by_the_next(tmp_path: Path) -> None:
    store = ImageCache.at(tmp_path)
    for left in (tmp_path / "baking", store.scratch):
        (left / "half").mkdir(parents=True)

    async with store.workspace() as workspace:
        assert [*workspace.iterdir(), *store.scratch.iterdir()] == []

    assert not workspace.exists()
    assert not store.scratch.exists()
