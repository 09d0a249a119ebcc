"""Small projects for tests: quick to embed, with people who answer by folder name."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.answers import Kind, NewAnswer, Receipt
from domain.config import Backbone, Layout, ModelSettings, Strategy, Views
from domain.pairs import pair
from labeling_store import images
from training.backbones import build_backbone
from training.weights import save_backbone
from workflow.creation import create_project
from workflow.project import CONFIG_NAME, Project, local_owner, open_project
from workflow.questions import Question, next_questions, submit_answers

SIZE_PX = 32  # of the images in the network: a forward pass takes a millisecond

NETWORK = Backbone.MOBILENET_V2  # made and read in a fifth of the default's time

STEPS = 20  # of training: enough to go through all of its code


def random_weights(folder: Path, network: Backbone = NETWORK) -> Path:
    """A weights file of an untrained network, so that nothing is downloaded or warmed up."""
    path = folder / "weights.safetensors"
    save_backbone(build_backbone(network.value), path)
    return path


def make_project(
    folder: Path,
    archive: Path,
    weights: Path,
    *,
    layout: Layout = Layout.AUTO,
    views: Views = Views.SINGLE,
    strategy: Strategy = Strategy.MGUE,
) -> Project:
    """A project on a small archive whose backbone is ready at once."""
    model = ModelSettings(backbone=NETWORK, weights=weights, image_size_px=SIZE_PX, views=views)
    create_project(folder, images=archive, layout=layout, model=model).project.close()
    with (folder / CONFIG_NAME).open("a") as config:
        config.write(f"\n[training]\nmost_steps = {STEPS}\n")
        config.write(f'\n[selection]\nstrategy = "{strategy.value}"\n')
    return open_project(folder)


@contextmanager
def opened_copy(folder: Path, to: Path) -> Iterator[Project]:
    """A copy of a closed project, open within the block; its images stay where they are."""
    shutil.copytree(folder, to)
    project = open_project(to)
    try:
        yield project
    finally:
        project.close()


def kind_of(project: Project, question: Question) -> Kind:
    """What a person who knows the texture's kind answers; file names start with it."""
    records = {each.image_id: each for each in images.list_images(project.store.reader())}
    names = {
        Path(records[image_id].path).stem.rstrip("0123456789")
        for image_id in (question.image_a, question.image_b)
    }
    return Kind.SIMILAR if len(names) == 1 else Kind.DISSIMILAR


def answer(project: Project, count: int = 1000) -> list[Receipt]:
    """Answer up to `count` questions of the current round."""
    member = local_owner(project)
    questions = next_questions(project, member, count=count)
    given = [
        NewAnswer(
            key=str(uuid.uuid4()),
            kind=kind_of(project, question),
            pair=pair(question.image_a, question.image_b),
            proposal_id=question.proposal_id,
            round_id=question.round_id,
            model=question.model,
            reason=question.reason,
        )
        for question in questions
    ]
    return submit_answers(project, member, given)
