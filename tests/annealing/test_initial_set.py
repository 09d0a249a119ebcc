"""Pairs made from class labels, and what they cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annealing.bits import class_label_bits, images_for_bits
from annealing.initial_set import initial_set
from domain.errors import InputError
from tests.annealing.oracles import ORACLES, tuples

BITS = ORACLES["bits"]


def draw(labels, seed=0, **options):
    return initial_set(np.array(labels), rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize(("place", "name"), [(0, "ucm_round"), (1, "aid_round")])
def test_class_labels_cost_what_the_worked_example_says(place, name):
    images, classes = BITS["inputs"]["images"][place], BITS["inputs"]["C"][place]
    bits = class_label_bits(images, classes)
    assert bits == pytest.approx(BITS["expected"][name], abs=1e-9)
    assert class_label_bits(1, classes) == pytest.approx(BITS["expected"]["per_image"][place])
    assert images_for_bits(bits, classes) == images
    assert images_for_bits(bits - 0.01, classes) == images - 1


@pytest.mark.parametrize(
    ("call", "arguments"),
    [(class_label_bits, (-1, 3)), (class_label_bits, (1, 0)), (images_for_bits, (5, 1)),
     (images_for_bits, (-1.0, 3))],
)  # fmt: skip
def test_impossible_budgets_are_refused(call, arguments):
    with pytest.raises(InputError, match="bits"):
        call(*arguments)


def test_uc_merced_gets_84_images_for_369_bits_and_four_partners_of_each_kind():
    labels = np.repeat(np.arange(21), 80)
    made = draw(labels)
    assert len(made.images) == 84
    assert made.bits == pytest.approx(BITS["expected"]["ucm_round"], abs=1e-9)
    assert len(made.pairs) <= 84 * 8
    dissimilar = np.bincount(made.pairs[~made.similar].ravel(), minlength=1680)
    assert dissimilar[made.images].min() >= 4


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60).filter(lambda x: len(set(x)) > 1),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.integers(0, 1000),
)
def test_pairs_are_right_different_and_among_the_drawn_images(labels, share, seed):
    made = draw(labels, seed, share=share)
    assert len(made.images) == len(set(made.images.tolist())) == max(2, round(share * len(labels)))
    assert set(made.pairs.ravel().tolist()) <= set(made.images.tolist())
    pairs = tuples(made.pairs)
    assert pairs == sorted(set(pairs))
    assert all(a < b for a, b in pairs)
    assert made.similar.tolist() == [labels[a] == labels[b] for a, b in pairs]


def test_an_image_alone_in_its_class_gets_dissimilar_partners_only():
    made = draw([0, 1, 1, 1], share=1.0)
    assert {pair for pair in tuples(made.pairs) if 0 in pair} == {(0, 1), (0, 2), (0, 3)}
    assert made.similar.sum() == 3


def test_images_are_drawn_uniformly_and_not_class_by_class():
    """Class 1 has one image of 100: with 10 drawn it is there in about 1 of 10 sets."""
    labels = np.zeros(100, int)
    labels[0] = 1
    drawn = sum(0 in draw(labels, seed, share=0.1).images for seed in range(1000))
    assert 60 < drawn < 140


def test_the_same_seed_draws_the_same():
    labels = np.arange(100) % 5
    assert tuples(draw(labels, 7).pairs) == tuples(draw(labels, 7).pairs)
    assert tuples(draw(labels, 7).pairs) != tuples(draw(labels, 8).pairs)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        pytest.param([3, 3, 3], {}, "1 classes", id="one class"),
        pytest.param([0, 1], {"share": 0}, "share = 0", id="no share"),
        pytest.param([0, 1], {"share": 1.5}, "share = 1.5", id="more than all"),
    ],
)
def test_what_makes_no_initial_set_is_refused(labels, options, words):
    with pytest.raises(InputError, match=words):
        draw(labels, **options)
