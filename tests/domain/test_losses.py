"""Losses as people choose them: what they may type, and that the names lead to what they say."""

import pytest

from domain.errors import InputError
from domain.loss_catalogue import (
    LOSSES,
    SWEEPS,
    loss_choice,
    sweep_choice,
)
from domain.losses import AS_SET, LossChoice, LossParameter, NetworkVariant, sweeps_of

LOSS = LossChoice(
    name="example",
    title="Example",
    sentence="An example.",
    source="none",
    parameters=(
        LossParameter("margin", 0.5, "The margin.", minimum=0, maximum=1, grid=(0.1, 0.9)),
        LossParameter("count", 3, "How many.", minimum=1),
        LossParameter("balanced", True, "Whether balanced."),
        LossParameter("mining", "all", "Which.", choices=("all", "hardest")),
    ),
)


def test_what_is_not_given_has_its_default() -> None:
    assert LOSS.values({"count": 4}) == {
        "margin": 0.5,
        "count": 4,
        "balanced": True,
        "mining": "all",
    }


def test_typed_settings_have_the_parameters_types() -> None:
    typed = LOSS.read(("margin=1", " count = 7 ", "balanced=FALSE", "mining=hardest"))
    assert typed == {"margin": 1.0, "count": 7, "balanced": False, "mining": "hardest"}
    assert isinstance(typed["margin"], float)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("margin", "margin is no setting"),
        ("width=3", "has no width"),
        ("margin=wide", "must be a number from 0 to 1"),
        ("margin=1.5", "must be a number from 0 to 1"),
        ("margin=nan", "must be a number from 0 to 1"),
        ("count=2.5", "must be a whole number of at least 1"),
        ("count=0", "of at least 1"),
        ("balanced=perhaps", "must be true or false"),
        ("mining=none", "must be all or hardest"),
    ],
)
def test_what_is_not_allowed_is_told(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LOSS.read((setting,))


def test_a_value_of_another_type_is_told() -> None:
    with pytest.raises(InputError, match="not of type int"):
        LOSS.values({"count": 2.0})
    with pytest.raises(InputError, match="not of type float"):
        LOSS.values({"margin": True})


def test_a_grid_is_a_sweep() -> None:
    (sweep,) = sweeps_of(LOSS)
    assert (sweep.name, sweep.loss) == ("example-margin", "example")
    assert sweep.settings == ({"margin": 0.1}, {"margin": 0.9})


def test_names_lead_to_losses_and_sweeps() -> None:
    assert all(loss_choice(loss.name) == loss for loss in LOSSES)
    assert all(sweep_choice(sweep.name) == sweep for sweep in SWEEPS)
    assert len({loss.name for loss in LOSSES}) == len(LOSSES)
    assert len({sweep.name for sweep in SWEEPS}) == len(SWEEPS)


def test_sweeps_set_what_their_loss_has() -> None:
    for sweep in SWEEPS:
        for settings in sweep.settings:
            assert loss_choice(sweep.loss).values(settings)


def test_a_network_is_named_by_what_differs() -> None:
    assert AS_SET.words == ()
    assert NetworkVariant(out=32, buffer=8).words == ("out=32", "buffer=8")
    assert NetworkVariant(levels=(2, 4), update=False).words == ("levels=2+4", "update=False")
    assert NetworkVariant(levels=()).words == ("levels=none",)
    assert NetworkVariant(levels=(2, 3), fuse_high=True).words == ("levels=2+3", "fuse_high=True")


def test_no_two_networks_of_a_sweep_are_the_same() -> None:
    assert all(len(set(sweep.networks)) == len(sweep.networks) for sweep in SWEEPS)
    assert any(sweep.networks != (AS_SET,) for sweep in SWEEPS)


@pytest.mark.parametrize("choice", [loss_choice, sweep_choice])
def test_an_unknown_name_is_told(choice: object) -> None:
    assert callable(choice)
    with pytest.raises(InputError, match=r"no (loss|sweep) nothing"):
        choice("nothing")
