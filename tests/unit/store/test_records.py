"""Records and their indexes against the plainest way to look things up."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.store.records import Each, Records


@dataclass(frozen=True)
class Thing:
    id: str
    colour: str | None


IDS = st.sampled_from("abcde")
COLOURS = st.none() | st.sampled_from(["red", "green"])
CHANGES = st.lists(st.tuples(IDS, st.booleans(), COLOURS), max_size=40)


@given(CHANGES)
def test_an_index_finds_what_a_search_finds(changes: list[tuple[str, bool, str | None]]) -> None:
    records: Records[Thing] = Records(colour=lambda thing: thing.colour)
    plain: dict[str, Thing] = {}
    for thing_id, kept, colour in changes:
        if kept:
            records.replace(thing_id, Thing(thing_id, colour))
            plain[thing_id] = Thing(thing_id, colour)
        else:
            records.replace(thing_id, None)
            plain.pop(thing_id, None)

    assert list(records) == list(plain.values())
    for colour in ("red", "green"):
        searched = {thing.id: thing for thing in plain.values() if thing.colour == colour}
        assert records.by("colour")[colour] == searched
    assert records.by("colour")[None] == {}


@given(CHANGES)
def test_every_change_makes_the_version_grow(changes: list[tuple[str, bool, str | None]]) -> None:
    records: Records[Thing] = Records()
    for thing_id, kept, colour in changes:
        before = records.version
        records.replace(thing_id, Thing(thing_id, colour) if kept else None)
        assert records.version > before


def test_an_empty_look_up_cannot_be_written_into() -> None:
    records: Records[Thing] = Records(colour=lambda thing: thing.colour)

    found = records.by("colour")["red"]
    records.replace("a", Thing("a", "red"))

    assert found == {}
    assert list(records.by("colour")["red"]) == ["a"]


def test_clearing_empties_the_indexes_too() -> None:
    records: Records[Thing] = Records(colour=lambda thing: thing.colour)
    records.replace("a", Thing("a", "red"))

    records.clear()

    assert len(records) == 0
    assert records.by("colour")["red"] == {}


@given(st.lists(st.tuples(IDS, st.booleans(), st.lists(st.sampled_from(["red", "green", "blue"]))), max_size=40))
def test_an_index_of_several_keys_finds_what_a_search_finds(changes: list[tuple[str, bool, list[str]]]) -> None:
    records: Records[Thing] = Records(colour=lambda thing: Each((thing.colour or "").split()))
    plain: dict[str, Thing] = {}
    for thing_id, kept, colours in changes:
        thing = Thing(thing_id, " ".join(colours)) if kept else None
        records.replace(thing_id, thing)
        plain.pop(thing_id, None)
        if thing is not None:
            plain[thing_id] = thing

    for colour in ("red", "green", "blue"):
        searched = {thing.id: thing for thing in plain.values() if colour in (thing.colour or "").split()}
        assert records.by("colour")[colour] == searched
