"""The snippets in docs/exchange.md run as they stand, on a file that was exported."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pictures import write_archive
from tests.ui import stage
from workflow.creation import create_project
from workflow.exchange import export_file
from workflow.project import Project

DOCUMENT = Path(__file__).parents[1] / "docs" / "exchange.md"
SNIPPETS = [part.split("```", 1)[0] for part in DOCUMENT.read_text().split("```python\n")[1:]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    archive = write_archive(tmp_path / "images", each=6, classes=False)
    made = create_project(tmp_path / "project", images=archive).project
    stage.answer_questions(made, 40)
    export_file(made, tmp_path / "pairs.parquet", what="known", fmt="parquet")
    monkeypatch.chdir(tmp_path)
    made.close()
    return made


def run(snippet: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(snippet, names)
    return names


@pytest.mark.usefixtures("project")
def test_pairs_for_pytorch_metric_learning() -> None:
    found = run(SNIPPETS[0])
    known, paths = found["known"], found["paths"]
    pos_anchors, positives, neg_anchors, negatives = found["indices_tuple"]
    for indices in found["indices_tuple"]:
        assert (indices.ndim, indices.dtype) == (1, torch.int64)
    assert len(pos_anchors) == len(positives) == 2 * known["similar"].count(1) > 0
    assert len(neg_anchors) == len(negatives) == 2 * known["similar"].count(0) > 0
    triples = set(zip(known["image_a"], known["image_b"], known["similar"], strict=True))
    for anchors, others, similar in ((pos_anchors, positives, 1), (neg_anchors, negatives, 0)):
        for anchor, other in zip(anchors.tolist(), others.tolist(), strict=True):
            a, b = paths[anchor], paths[other]
            assert (a, b, similar) in triples or (b, a, similar) in triples
    if importlib.util.find_spec("pytorch_metric_learning"):
        losses = importlib.import_module("pytorch_metric_learning.losses")
        vectors = torch.randn(len(paths), 8, requires_grad=True)
        losses.ContrastiveLoss()(vectors, indices_tuple=found["indices_tuple"]).backward()


@pytest.mark.usefixtures("project")
def test_pairs_for_sentence_transformers() -> None:
    found = run(SNIPPETS[1])
    assert list(found["table"].columns) == ["sentence1", "sentence2", "label"]
    assert set(found["table"]["label"]) == {0, 1}
    assert found["table"]["label"].dtype.kind == "i"
    (texts, label), *_ = found["examples"]
    assert [type(each) for each in (*texts, label)] == [str, str, float]
