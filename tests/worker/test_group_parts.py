"""What a part of the questions about groups is worth: measured without it, on no test image."""

from pkgutil import resolve_name

import numpy as np
import pytest

from benchmarks import group_parts
from benchmarks.group_parts import PARTS, changes, quality, selection_set, without
from domain.jobs import silent
from tests.worker.simulations import bare_archive, bare_options
from worker.simulation_archive import split
from worker.simulation_components import ComponentRounds
from worker.simulation_seed import SimulationSeed


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_off_within_the_block_only(part: str) -> None:
    before = {name: resolve_name(name) for name in PARTS[part]}
    with without(part):
        for name, instead in PARTS[part].items():
            assert resolve_name(name) == instead != before[name]
    assert {name: resolve_name(name) for name in PARTS[part]} == before


def test_a_change_is_what_is_lost_without_a_part_with_the_error_of_its_mean() -> None:
    without_chains = iter([[[90.0, 80.0], [94.0, 84.0]], [[89.0, 80.0], [91.0, 84.0]]])
    found = changes(lambda: np.array(next(without_chains)), ["checks of groups"])
    assert found["whole"] == [92.0, 82.0]
    assert found["checks of groups"] == {"change": [-2.0, 0.0], "error": [1.0, 0.0]}


def test_selection_sets_hold_training_images_only() -> None:
    archive = bare_archive(images=60)
    chosen = selection_set(archive, 3)
    np.testing.assert_array_equal(chosen.features, archive.features[split(archive, 3).train])
    assert len(chosen.labels) == len(chosen.copies) == len(chosen.features) < 60


@pytest.mark.usefixtures("one_thread")
def test_rounds_of_too_few_answers_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_parts, "LEAST_BITS", 20)
    options = bare_options(initial="none", propagation="closure", rounds=2, bits_per_round=10)
    archive = selection_set(bare_archive(), 0)
    *_, last = ComponentRounds(SimulationSeed(archive, options, 0)).states(silent)
    assert last.row.bits == 20
    expected = [100 * (last.row.map_at_5_hits or 0), 100 * (last.row.map_at_5_min or 0)]
    np.testing.assert_allclose(quality([archive], options), [expected])
