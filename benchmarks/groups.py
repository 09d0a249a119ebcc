"""How long a round of questions about groups takes in a large archive, and how much memory.

`python -m benchmarks.groups [--quick] [--images N]` prints one JSON object as its last line. The
rounds are jobs of the worker, on a project whose features are in the cache already; the images
themselves are never looked at. For each of three rounds, the second and third after 30 answers:

- learn_s, propose_s: until the model is in use, and until the questions are in the queue;
- cpu_s: processor time of both, which other programs do not change much;
- peak_mb: of the process that does only this; features_mb are the features alone.

The features are random: 60 kinds that overlap.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import torch

from domain.answers import Kind, NewAnswer
from domain.clock import utc_now
from domain.config import (
    ArchiveSettings,
    Backbone,
    ModelSettings,
    ProjectConfig,
    Views,
    project_toml,
)
from domain.images import Part, ScannedImage
from domain.jobs import JobState, silent
from domain.pairs import pair
from labeling_store import images, rounds
from labeling_store import jobs as queue
from labeling_store.db import Store
from training.backbones import build_backbone
from training.feature_cache import FeatureCache
from training.features import model_key
from training.weights import load_weights, save_backbone
from worker.backbone import archive_features
from worker.lane import run_job
from worker.learning import keep_frozen
from worker.stopping import Stop
from workflow import jobs
from workflow.project import CONFIG_NAME, Project, local_owner, open_project
from workflow.questions import next_questions, submit_answers
from workflow.rounds import round_params

KINDS, DIMENSIONS, WIDTH = 60, 256, 512  # WIDTH: of ResNet-18's features
SPREAD = 2.5  # of a kind's images, beside 1 between kinds: their cosines overlap a little
ANSWERS, MORE = 1000, 30
SHARD_IMAGES = 512
CPU = torch.device("cpu")
Result = TypeVar("Result")
FULL, QUICK = 100_000, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure rounds of questions about groups.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} images, same keys")
    parser.add_argument("--images", type=int, help=f"how many (default: {FULL})")
    options = parser.parse_args()
    count = options.images or (QUICK if options.quick else FULL)
    print(json.dumps(measure(count)))


def measure(count: int) -> dict[str, object]:
    """Figures of rounds in an archive of so many training images."""
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(make_project, Path(folder), count)
        found = [in_own_process(one_round, Path(folder), number) for number in range(3)]
    return {
        "images": count,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "features_mb": round(count * WIDTH * 4 / 1e6),
        **{name: [each[name] for each in found] for name in found[0]},
    }


def in_own_process(work: Callable[[Path, int], Result], folder: Path, number: int) -> Result:
    """The work's result, in a process that has never held more than that needs."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder, number))


def make_project(folder: Path, count: int) -> None:
    """A project with so many images, the features of which are in its cache, and answers."""
    rng = np.random.default_rng(0)
    kind, features = random_kinds(rng, count)
    np.save(folder / "kind.npy", kind)
    (folder / "images").mkdir()
    weights = folder / "resnet18.safetensors"
    save_backbone(build_backbone(Backbone.RESNET18.value), weights)
    config = ProjectConfig(
        name="benchmark",
        archive=ArchiveSettings(images=folder / "images"),
        model=ModelSettings(weights=weights, views=Views.SINGLE),
    )
    (folder / CONFIG_NAME).write_text(project_toml(config), encoding="utf-8")
    Store.open(folder / "labels.db", create=True).close()
    Store.open(folder / "jobs.db", create=True).close()
    with opened(folder) as project:
        add_images(project, count)
        fill_cache(project, features)
        with project.store.transaction() as db:
            rounds.create_round(db, number=1, strategy="components", model=None)
        keep_frozen(project, archive_features(project, CPU, silent))
        answer(project, first_pairs(rng, kind), kind)


def random_kinds(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The kind [N] of each image, and its features [N, WIDTH]."""
    kind = rng.integers(KINDS, size=count)
    inner = rng.normal(size=(KINDS, DIMENSIONS)).astype(np.float32)[kind]
    inner += SPREAD * rng.normal(size=inner.shape).astype(np.float32)
    mixing = rng.normal(size=(DIMENSIONS, WIDTH)).astype(np.float32) / DIMENSIONS**0.5
    return kind, inner @ mixing


def add_images(project: Project, count: int) -> None:
    """Rows of the catalogue; there are no files."""
    made = [
        ScannedImage(f"{n}.jpg", f"{n:064x}", f"{n:064x}", "0", 64, 64, None) for n in range(count)
    ]
    with project.store.transaction() as db:
        images.add_images(
            db,
            made,
            duplicate_groups=range(count),
            split_groups=range(count),
            parts=[Part.TRAIN] * count,
        )


def fill_cache(project: Project, features: np.ndarray) -> None:
    backbone = build_backbone(Backbone.RESNET18.value)
    load_weights(backbone, project.config.model.weights)
    key = model_key(backbone, size_px=project.config.model.image_size_px, device=CPU)
    cache = FeatureCache(project.cache / "features")
    for start in range(0, len(features), SHARD_IMAGES):
        shard = features[start : start + SHARD_IMAGES]
        cache.write(key, [f"{start + n:064x}" for n in range(len(shard))], shard)


def first_pairs(rng: np.random.Generator, kind: np.ndarray) -> list[tuple[int, int]]:
    """A few hundred images, each compared with examples of two other kinds and of its own."""
    example = [int(np.flatnonzero(kind == each)[0]) for each in range(KINDS)]
    pairs: list[tuple[int, int]] = []
    for image in rng.permutation(len(kind)).tolist():
        others = rng.choice(KINDS, 2, replace=False).tolist()
        asked = [example[each] for each in (*others, kind[image])]
        pairs += [(image, other) for other in asked if other != image]
        if len(pairs) >= ANSWERS:
            return pairs[:ANSWERS]
    return pairs


def answer(project: Project, rows: list[tuple[int, int]], kind: np.ndarray) -> None:
    """Store true answers; image ids are rows + 1."""
    new = [
        NewAnswer(
            key=str(uuid4()),
            kind=Kind.SIMILAR if kind[a] == kind[b] else Kind.DISSIMILAR,
            pair=pair(a + 1, b + 1),
        )
        for a, b in rows
    ]
    submit_answers(project, local_owner(project), new)


def answer_questions(project: Project, kind: np.ndarray) -> None:
    """The first questions of the round, truthfully."""
    for _ in range(MORE):
        found = next_questions(project, local_owner(project), count=1)
        if not found:
            raise RuntimeError("The round has too few questions.")
        asked = found[0]
        answer(project, [(asked.image_a - 1, asked.image_b - 1)], kind)


def one_round(folder: Path, number: int) -> dict[str, float]:
    """Seconds and the peak of memory of a round in this process."""
    with opened(folder) as project:
        if number:
            answer_questions(project, np.load(folder / "kind.npy"))
        params = {"device": "cpu", **round_params(project, strategy=None, pairs=None)}
        before_s = time.process_time()
        learn_s = timed_job(project, jobs.TRAIN, params)
        propose_s = timed_job(project, jobs.PROPOSE, params)
        cpu_s = time.process_time() - before_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "learn_s": round(learn_s, 1),
        "propose_s": round(propose_s, 1),
        "cpu_s": round(cpu_s, 1),
        "peak_mb": round(peak_mb),
    }


def timed_job(project: Project, kind: str, params: Mapping[str, Any]) -> float:
    queue.enqueue(project.jobs, kind, params)
    began = time.perf_counter()
    job = queue.claim_job(project.jobs, "benchmark", now=utc_now())
    if job is None:
        raise RuntimeError("The job is gone.")
    run_job(project, job, Stop())
    ended = jobs.get(project, job.job_id)
    if ended.state is not JobState.DONE:
        raise RuntimeError(f"The job {kind} ended as {ended.state}: {ended.error}")
    return time.perf_counter() - began


@contextmanager
def opened(folder: Path) -> Iterator[Project]:
    project = open_project(folder)
    try:
        yield project
    finally:
        project.close()


if __name__ == "__main__":
    main()
