"""Which changes need not wait for the end of their turn."""

from bakehouse.store.turns import Turns


def turn(turns: Turns, changes: int) -> list[bool]:
    """Make changes in one turn, and return which of them might go ahead."""
    ahead = []
    for _ in range(changes):
        ahead.append(turns.may_go_ahead())
        turns.count()
    turns.end()
    return ahead


def test_the_first_change_of_all_waits() -> None:
    assert turn(Turns(), 1) == [False]


def test_a_change_after_one_that_was_alone_goes_ahead() -> None:
    turns = Turns()
    turn(turns, 1)

    assert turn(turns, 1) == [True]
    assert turn(turns, 1) == [True]


def test_only_the_first_of_a_turn_goes_ahead() -> None:
    turns = Turns()
    turn(turns, 1)

    assert turn(turns, 3) == [True, False, False]


def test_after_a_turn_with_several_changes_all_wait() -> None:
    turns = Turns()
    turn(turns, 2)

    assert turn(turns, 2) == [False, False]
    assert turn(turns, 2) == [False, False]
