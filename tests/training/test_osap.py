"""SRF-AP, OSP and their mix against the oracles' figures, and against the written-out formulas."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tests.training.test_relevance import batch
from training.losses import average_precision
from training.losses.average_precision import ExactAP, row_average_precisions
from training.losses.osap import OSAP, OSP, SRFAP, row_spreads
from training.losses.relevance import cosines, known_partners, relevance_of_classes
from training.losses.steps import HardStep, SoftsignStep, SRFVariant

ORACLES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "oracles_osap.json").read_text()
)
NAN = float("nan")


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(average_precision._BLOCK, "cpu", 30)


def circle(degrees: list[float]) -> Tensor:
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def one_query(scores: list[float], relevance: list[float | None]) -> tuple[Tensor, Tensor]:
    """A batch in which only the relations of row 0 to the others are known."""
    rows = len(scores) + 1
    all_scores = torch.zeros(rows, rows, dtype=torch.float64)
    all_scores[0, 1:] = torch.tensor(scores, dtype=torch.float64)
    known = torch.full((rows, rows), NAN)
    known[0, 1:] = torch.tensor([NAN if each is None else float(each) for each in relevance])
    return all_scores.requires_grad_(), known


def oracle_batch(*, unknown: bool) -> tuple[Tensor, Tensor, dict[str, Any]]:
    inputs = ORACLES["srf_ap"]["inputs"]
    relevance = relevance_of_classes(torch.tensor(inputs["labels"]))
    if unknown:
        for a, b in ORACLES["srf_ap_unknown"]["inputs"]["unknown_pairs"]:
            relevance[a, b] = relevance[b, a] = NAN
    expected = ORACLES["srf_ap_unknown" if unknown else "srf_ap"]["expected"]
    return circle(inputs["degrees"]), relevance, expected


def test_the_step_and_its_slope_are_the_oracles() -> None:
    oracle = ORACLES["H_minus"]
    step = SoftsignStep(oracle["inputs"]["gamma"], oracle["inputs"]["delta"])
    differences = torch.tensor(oracle["inputs"]["z"], dtype=torch.float64)
    for found, name in [
        (HardStep().height(differences), "H"),
        (step.height(differences), "H_minus"),
        (step.slope(differences), "dH_minus"),
    ]:
        expected = torch.tensor(oracle["expected"][name], dtype=torch.float64)
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("unknown", [False, True])
def test_losses_of_a_batch_are_the_oracles(unknown: bool) -> None:
    embeddings, relevance, expected = oracle_batch(unknown=unknown)
    srf, osp = SRFAP()(embeddings, relevance), OSP()(embeddings, relevance)
    exact = ExactAP()(embeddings, relevance)
    assert srf.value.item() == pytest.approx(expected["srf_loss"], abs=1e-9)
    assert exact.value.item() == pytest.approx(expected["exact_loss"], abs=1e-9)
    assert osp.value.item() == pytest.approx(expected["osp_loss"], abs=1e-9)
    assert (srf.valid_anchors, osp.valid_anchors) == (5, 5)


def test_the_mix_is_the_oracles() -> None:
    embeddings, relevance, expected = oracle_batch(unknown=False)
    found = OSAP()(embeddings, relevance).value
    assert found.item() == pytest.approx(expected["osap_total_w0.2"], abs=1e-9)


@pytest.mark.parametrize("unknown", [False, True])
def test_each_query_has_the_oracles_precision(unknown: bool) -> None:
    embeddings, relevance, expected = oracle_batch(unknown=unknown)
    partners, ending = known_partners(relevance), "" if unknown else "_per_valid_query"
    for negative, name in [(SoftsignStep(), "srf_AP"), (HardStep(), "exact_AP")]:
        found = row_average_precisions(
            cosines(embeddings), partners, positive=HardStep(), negative=negative
        )
        wanted = torch.tensor(expected[name + ending], dtype=torch.float64)
        torch.testing.assert_close(found[:5], wanted, atol=1e-9, rtol=0)
        assert found[5] == 0  # it has no similar partner
    valid = partners.with_both.nonzero()[:, 0].tolist()
    assert valid == ORACLES["srf_ap"]["expected"]["valid_queries"]


def test_the_precision_of_a_query_is_the_oracles() -> None:
    oracle = ORACLES["srf_query"]
    scores, known = one_query(oracle["inputs"]["s"], oracle["inputs"]["rel"])
    found = row_average_precisions(
        scores, known_partners(known), positive=HardStep(), negative=HardStep()
    )
    assert found[0].item() == pytest.approx(oracle["expected"]["exact_AP"], abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "precision", "slopes"),
    [("s", "srf_AP", "grad_of_1_minus_AP"), ("s_no_tie", "no_tie_srf_AP", "no_tie_grad")],
    ids=["with a tie", "without"],
)
def test_the_gradient_of_a_query_is_the_oracles(scores: str, precision: str, slopes: str) -> None:
    oracle = ORACLES["srf_query"]
    all_scores, known = one_query(oracle["inputs"][scores], oracle["inputs"]["rel"])
    found = row_average_precisions(
        all_scores, known_partners(known), positive=HardStep(), negative=SoftsignStep()
    )
    assert found[0].item() == pytest.approx(oracle["expected"][precision], abs=1e-9)
    (1 - found[0]).backward()
    assert all_scores.grad is not None
    expected = torch.tensor([0, *oracle["expected"][slopes]], dtype=torch.float64)
    torch.testing.assert_close(all_scores.grad[0], expected, rtol=1e-9, atol=1e-12)
    assert not all_scores.grad[1:].any()


def test_the_spread_of_a_query_is_the_oracles() -> None:
    inputs, expected = ORACLES["osp"]["inputs"], ORACLES["osp"]["expected"]
    scores, known = one_query(inputs["s"], inputs["rel"])
    found = row_spreads(scores, known_partners(known), behind=inputs["m"] + inputs["eps"])
    assert found[0].item() == pytest.approx(expected["x"], abs=1e-9)
    assert functional.softplus(65 * found[0]).item() == pytest.approx(expected["loss"], abs=1e-9)


@pytest.mark.parametrize(
    ("degrees", "relevance"),
    [
        ([0.0, 30.0], [[NAN, 1], [1, NAN]]),
        ([0.0, 20.0, 180.0], [[NAN, 1, 0], [1, NAN, 0], [0, 0, NAN]]),
    ],
    ids=["one similar and no dissimilar", "nothing violated"],
)
def test_osp_without_a_violation_is_the_logarithm_of_two(
    degrees: list[float], relevance: list[list[float]]
) -> None:
    found = OSP()(circle(degrees), torch.tensor(relevance))
    assert found.value.item() == pytest.approx(math.log(2))


def test_without_dissimilar_images_the_ranking_has_no_valid_anchor_but_osp_has() -> None:
    embeddings = circle([0.0, 40.0, 80.0]).requires_grad_()
    similar = torch.ones(3, 3)
    srf, osp = SRFAP()(embeddings, similar), OSP()(embeddings, similar)
    assert (srf.value.item(), srf.valid_anchors) == (0, 0)
    assert osp.valid_anchors == 3
    assert osp.value > math.log(2)


def written_out_osp(scores: Tensor, known: Tensor, behind: float, *, detach: bool) -> Tensor:
    """Eqs. 12-15 by loops over images, with automatic differentiation; [B], 0 where not valid."""
    found = []
    for query in range(len(scores)):
        similar = [j for j in range(len(scores)) if j != query and known[query, j] == 1]
        dissimilar = [j for j in range(len(scores)) if j != query and known[query, j] == 0]
        spread = scores.sum() * 0
        for i in similar:
            upper = scores[query, i].detach() if detach else scores[query, i]
            alike = [(upper - scores[query, j]).relu() for j in similar if j != i]
            near = [(scores[query, j] + behind - scores[query, i]).relu() for j in dissimilar]
            for kind in (alike, near):
                if kind:
                    violations = torch.stack(kind)
                    spread = spread + (violations.softmax(0).detach() * violations).sum()
        found.append(spread / max(len(similar), 1))
    return torch.stack(found)


@pytest.mark.parametrize("detach", [False, True])
def test_values_and_gradients_of_spreads_are_those_of_the_formula(detach: bool) -> None:
    embeddings, relevance = batch(10)
    scores = cosines(embeddings).requires_grad_()
    weights = torch.arange(1, 11, dtype=torch.float64)
    ours = row_spreads(scores, known_partners(relevance), behind=0.45, detach_upper=detach)
    theirs = written_out_osp(scores, relevance, 0.45, detach=detach)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad((each * weights).sum(), scores)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0.1


def test_epsilon_counts_in_the_ranking_when_asked_to() -> None:
    embeddings, relevance = batch(10)
    plain = OSAP(omega=0)(embeddings, relevance).value
    shifted = OSAP(omega=0, shift_in_ap=True, epsilon=0.3)(embeddings, relevance).value
    partners, scores = known_partners(relevance), cosines(embeddings)
    raised = scores + 0.3 * partners.dissimilar
    precisions = row_average_precisions(
        raised, partners, positive=HardStep(), negative=SoftsignStep()
    )
    expected = 1 - precisions[partners.with_both].mean()
    torch.testing.assert_close(shifted, expected)
    assert shifted > plain


batches = st.builds(
    batch,
    st.integers(2, 14),
    known=st.sampled_from([0.3, 0.7, 1.0]),
    seed=st.integers(0, 10_000),
)


@settings(max_examples=60, deadline=None)
@given(batches, st.sampled_from([0.5, 0.65, 1.0]), st.booleans())
def test_srf_is_never_below_the_exact_loss(
    drawn: tuple[Tensor, Tensor], delta: float, tied: bool
) -> None:
    embeddings, relevance = drawn
    if tied:
        embeddings = embeddings.round()  # few directions: many ties
    exact = ExactAP()(embeddings, relevance).value.item()
    assert SRFAP(delta=delta)(embeddings, relevance).value.item() >= exact - 1e-12


def test_it_is_below_the_exact_loss_somewhere_without_the_offset() -> None:
    losses = [
        (SRFAP(delta=0.0)(*drawn).value, ExactAP()(*drawn).value)
        for drawn in (batch(12, seed=seed) for seed in range(5))
    ]
    assert any(srf < exact for srf, exact in losses)


@pytest.mark.parametrize(
    ("variant", "heights"),
    [
        ("paper", [0.5 * 1e-3 / 0.501, 1.15, 0.5 + 0.5 * 0.5 / 0.501 + 0.65]),
        ("global", [0.5 * 1e-3 / 0.501 + 0.65, 1.15, 0.5 + 0.5 * 0.5 / 0.501 + 0.65]),
        ("shift", [0.5 + 0.5 * 0.15 / 0.151, 0.5 + 0.5 * 0.65 / 0.651, 0.5 + 0.5 * 1.15 / 1.151]),
        ("half", [0.65 - 0.5 * 0.5 / 0.501, 0.65, 0.65 + 0.5 * 0.5 / 0.501]),
    ],
)
def test_the_variants_of_the_step_are_those_of_their_names(
    variant: SRFVariant, heights: list[float]
) -> None:
    differences = torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64)
    found = SoftsignStep(variant=variant).height(differences)
    torch.testing.assert_close(found, torch.tensor(heights, dtype=torch.float64))


@pytest.mark.parametrize("variant", ["paper", "global", "shift", "half"])
def test_the_slope_is_that_of_the_height(variant: SRFVariant) -> None:
    step = SoftsignStep(gamma=0.1, variant=variant)
    differences = torch.tensor([-0.9, -0.66, -0.1, 0.02, 1.5], dtype=torch.float64)
    numeric = (step.height(differences + 1e-6) - step.height(differences - 1e-6)) / 2e-6
    torch.testing.assert_close(step.slope(differences), numeric, rtol=1e-6, atol=1e-9)


def test_steps_never_fall() -> None:
    differences = torch.linspace(-2, 2, 401, dtype=torch.float64)
    for step in (HardStep(), SoftsignStep(), SoftsignStep(variant="global")):
        heights = step.height(differences)
        assert all(before <= after for before, after in pairwise(heights))
