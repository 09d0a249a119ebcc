"""What a simulated round about groups asks, and what it costs."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from domain.jobs import silent
from tests.worker.simulations import bare_archive, bare_options
from worker.simulation_archive import split
from worker.simulation_components import ComponentRounds
from worker.simulation_curve import Row
from worker.simulation_seed import SimulationSeed

PLAIN = bare_archive(images=200, classes=8)
_BLUR = np.random.default_rng(0).normal(scale=1.5, size=PLAIN.features.shape)
ARCHIVE = replace(PLAIN, features=(PLAIN.features + _BLUR).astype(np.float32))
TRAIN_LABELS = ARCHIVE.labels[split(ARCHIVE, 0).train]
BITS = 20


class Played(ComponentRounds):
    """Rounds of seed 0 that were played to their end."""

    def __init__(self, **changes: object) -> None:
        options = bare_options(initial="none", rounds=6, bits_per_round=BITS, **changes)
        super().__init__(SimulationSeed(ARCHIVE, options, 0))
        self.all_rows: list[Row] = [state.row for state in self.states(silent)]

    @property
    def wrong(self) -> int:
        """How many of the answers that count are wrong."""
        return sum(
            (TRAIN_LABELS[a] == TRAIN_LABELS[b]) != said for a, b, said in self._said.answers
        )


@pytest.fixture(scope="module")
def one_by_one() -> Played:
    return Played()


@pytest.fixture(scope="module")
def in_grids() -> Played:
    return Played(grids=9)


@pytest.mark.parametrize("changes", [{}, {"grids": 9}, {"strict": True}, {"repeat_share": 0.1}])
def test_a_round_costs_exactly_its_bits(changes: dict[str, object]) -> None:
    rows = Played(**changes).all_rows
    assert [row.bits for row in rows] == [number * BITS for number in range(7)]


def test_pairs_asked_one_by_one_are_a_screen_each(one_by_one: Played) -> None:
    assert [row.screens for row in one_by_one.all_rows[1:]] == [
        row.bits for row in one_by_one.all_rows[1:]
    ]


def test_grids_need_fewer_screens_for_as_many_answers(in_grids: Played) -> None:
    last = in_grids.all_rows[-1]
    assert last.screens is not None
    assert last.tiles is not None
    assert last.screens < last.bits <= last.tiles


def test_smaller_grids_show_less_on_more_screens(one_by_one: Played, in_grids: Played) -> None:
    last = [played.all_rows[-1] for played in (one_by_one, Played(grids=2), in_grids)]
    screens = [row.screens or 0 for row in last]
    assert screens[0] > screens[1] > screens[2]
    tiles = [row.tiles or 0 for row in last]
    assert tiles[0] < tiles[1] < tiles[2]


def test_a_grid_tells_all_groups_that_are_like_its_image(
    one_by_one: Played, in_grids: Played
) -> None:
    assert in_grids.all_rows[1:] != one_by_one.all_rows[1:]
    assert in_grids.wrong == one_by_one.wrong == 0


def test_repeats_cost_bits_and_tell_how_often_answers_are_wrong() -> None:
    careful = Played(repeat_share=0.2)
    careless = Played(repeat_share=0.2, noise=0.3)
    assert len(careful._said.pairs) == 6 * BITS - 5 * 4  # nothing to repeat in the first round
    assert careful._error < 0.05 < careless._error


def test_the_later_answer_of_a_repeated_pair_counts() -> None:
    played = Played(repeat_share=0.2)
    said = played._said
    place = int(np.setdiff1d(np.arange(len(said.pairs)), list(said.repeated))[0])
    before = said.similar[place]
    said.answer_again(place, not before)
    assert said.answers.similar[place] != before
    assert said.changed == 1


def test_a_round_ends_where_no_question_is_left() -> None:
    archive = bare_archive(images=20, classes=2)
    options = bare_options(initial="none", rounds=2, bits_per_round=500)
    states = ComponentRounds(SimulationSeed(archive, options, 0)).states(silent)
    rows = [state.row for state in states]
    assert rows[1].bits < 500
    assert rows[1].note.startswith("No question is left.")


def test_each_round_knows_no_less_than_the_one_before(one_by_one: Played) -> None:
    known = [row.known_pairs for row in one_by_one.all_rows]
    assert all(before <= after for before, after in pairwise(known))
    assert known[0] == 0
