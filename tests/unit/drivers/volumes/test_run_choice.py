"""Which layers are merged, and which are left alone."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.volumes.qcow2.layers import LayerFile
from bakehouse.drivers.volumes.qcow2.run_choice import LONG, Layers, Run, choose, whole

MIB = 1 << 20


def chain(*sizes_mib: int, base: str | None = None) -> dict[str, LayerFile]:
    """Make a chain of frozen layers `l1`, `l2` ... upwards."""
    files: dict[str, LayerFile] = {}
    below = base
    for number, size in enumerate(sizes_mib, start=1):
        name = f"l{number}.qcow2"
        files[name] = LayerFile(name, size * MIB, below, is_frozen=True)
        below = name
    return files


def chosen(files: Mapping[str, LayerFile], named: Iterable[str]) -> tuple[str, ...]:
    run = choose(Layers(files, set(named)))
    return () if run is None else run.names


def test_a_short_chain_of_snapshots_is_left_alone() -> None:
    files = chain(*[1] * LONG)

    assert chosen(files, files) == ()


def test_of_a_long_chain_the_lowest_of_equal_layers_are_merged() -> None:
    files = chain(*[1] * 13)

    assert chosen(files, files) == ("l6.qcow2", "l5.qcow2", "l4.qcow2", "l3.qcow2", "l2.qcow2", "l1.qcow2")


def test_of_a_long_chain_a_large_layer_is_not_copied() -> None:
    files = chain(1, 1, 1, 500, *[1] * 9)

    assert "l4.qcow2" not in chosen(files, files)


def test_layers_that_nobody_names_are_cheaper_than_those_that_stay_twice() -> None:
    files = chain(*[1] * 14)
    unnamed = {f"l{number}.qcow2" for number in range(8, 14)}

    assert set(chosen(files, set(files) - unnamed)) >= unnamed


def test_two_layers_of_which_nobody_names_the_lower_are_merged() -> None:
    assert chosen(chain(4, 3), {"l2.qcow2"}) == ("l2.qcow2", "l1.qcow2")


def test_a_layer_that_two_others_need_is_left_alone() -> None:
    files = chain(4, 3)
    files["other.qcow2"] = replace(files["l2.qcow2"], name="other.qcow2")

    assert chosen(files, {"l2.qcow2", "other.qcow2"}) == ()


def test_the_raw_disk_of_an_image_is_left_alone() -> None:
    files = chain(4, base="image.raw") | {"image.raw": LayerFile("image.raw", MIB, None, is_frozen=True)}

    assert chosen(files, {"l1.qcow2"}) == ()


def test_a_top_is_left_alone_and_what_is_below_it_is_not() -> None:
    files = chain(4, 3, 3)
    files["l3.qcow2"] = replace(files["l3.qcow2"], is_frozen=False)

    assert chosen(files, {"l3.qcow2"}) == ("l2.qcow2", "l1.qcow2")


def test_a_fixed_layer_is_left_alone() -> None:
    assert choose(Layers(chain(4, 3), {"l2.qcow2"}, fixed={"l1.qcow2"})) is None


def test_all_below_a_top_is_one_run_down_to_an_images_disk() -> None:
    files = chain(4, 3, 3, base="image.raw") | {"image.raw": LayerFile("image.raw", MIB, None, is_frozen=True)}
    files["l3.qcow2"] = replace(files["l3.qcow2"], is_frozen=False)

    run = whole(Layers(files, set(files)), "l3.qcow2")

    assert run == Run(("l2.qcow2", "l1.qcow2"), "image.raw", 7 * MIB)


def test_one_layer_below_a_top_is_no_run() -> None:
    assert whole(Layers(chain(4, 3), {"l2.qcow2"}), "l2.qcow2") is None


@given(
    backing=st.lists(st.integers(-1, 30), min_size=1, max_size=30),
    sizes=st.lists(st.integers(1, 99), min_size=30, max_size=30),
    named=st.sets(st.integers(0, 29), min_size=1),
)
def test_merging_comes_to_an_end_with_short_chains(backing: list[int], sizes: list[int], named: set[int]) -> None:
    """A model of what merging does to the chains: whatever the tree, it ends, and no chain is left that is long."""
    files = {}
    for number, below in enumerate(backing):
        name = f"l{number}.qcow2"
        under = f"l{below % number}.qcow2" if number and below >= 0 else None
        files[name] = LayerFile(name, sizes[number] * MIB, under, is_frozen=True)
    wanted = {f"l{number % len(backing)}.qcow2" for number in named}

    for _ in range(100):
        run = choose(Layers(files, wanted))
        if run is None:
            break
        files = merged(files, run, wanted)

    assert run is None
    assert max(len(Layers(files, wanted).chain(name)) for name in wanted) <= LONG


def merged(files: Mapping[str, LayerFile], run: Run, named: set[str]) -> dict[str, LayerFile]:
    """Replace the upper layer of a run, and sweep."""
    upper = replace(files[run.upper], backing=run.below, allocated_bytes=run.cost_bytes)
    new = Layers({**files, run.upper: upper}, named)
    return {layer.name: layer for name in named for layer in new.chain(name)}
