from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.volumes.qcow2.layers import LayerFile
from bakehouse.drivers.volumes.qcow2.sweeping import garbage, reachable


def names(files: list[LayerFile]) -> list[str]:
    return [file.name for file in files]


def test_a_layer_below_a_root_is_kept() -> None:
    files = [LayerFile("top", 1, "middle"), LayerFile("middle", 1, "base"), LayerFile("base", 1, None)]

    assert garbage(files, {"top"}) == []


def test_a_layer_above_every_root_is_garbage() -> None:
    files = [LayerFile("top", 1, "base"), LayerFile("base", 1, None)]

    assert names(garbage(files, {"base"})) == ["top"]


def test_a_root_without_a_file_is_no_trouble() -> None:
    assert garbage([], {"being-made"}) == []


def test_a_chain_that_bites_its_tail_ends() -> None:
    assert reachable({"a": "b", "b": "a"}, ["a"]) == {"a", "b"}


NAMES = st.sampled_from("abcdefgh")


@given(st.dictionaries(NAMES, st.none() | NAMES), st.sets(NAMES))
def test_nothing_that_is_kept_stands_on_garbage(backing: dict[str, str | None], roots: set[str]) -> None:
    files = [LayerFile(name, 1, below) for name, below in backing.items()]

    thrown_away = set(names(garbage(files, roots)))

    assert not any(backing[name] in thrown_away for name in backing.keys() - thrown_away)
