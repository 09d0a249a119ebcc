"""Sets a project in a state that pages show: answered pairs, models, rounds, jobs."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from domain.answers import Kind, NewAnswer, Receipt
from domain.clock import utc_now
from domain.config import config_toml
from domain.images import ImageRecord, Part
from domain.jobs import Job
from domain.loss_catalogue import loss_choice
from domain.members import Member
from domain.pairs import Pair, pair
from domain.rounds import Proposal, RoundState, Run
from labeling_store import images, jobs, queue, rounds, runs
from workflow import labels, queries, search
from workflow.finetuning import FineTuning
from workflow.project import Project, local_owner
from workflow.queries import Request
from workflow.questions import next_questions, submit_answers
from workflow.run_files import Embeddings, RunFiles, write_run
from workflow.succession import Succession


def alike(project: Project, asked: Pair) -> bool:
    """Whether two textures are of one kind: their files are named after it."""
    path = {each.image_id: each.path for each in images.list_images(project.store.reader())}
    return _kind(path[asked.a]) == _kind(path[asked.b])


def answer_questions(project: Project, count: int, *, unsure: int = 0) -> list[Receipt]:
    """Answer so many questions of the current round truthfully, and further ones with unsure."""
    member = local_owner(project)
    asked = next_questions(project, member, count=count + unsure)
    new = []
    for number, question in enumerate(asked):
        asked_pair = Pair(question.image_a, question.image_b)
        label = Kind.SIMILAR if alike(project, asked_pair) else Kind.DISSIMILAR
        new.append(
            NewAnswer(
                key=str(uuid.uuid4()),
                kind=label if number < count else Kind.UNSURE,
                pair=asked_pair,
                answered_at=utc_now(),
                proposal_id=question.proposal_id,
                round_id=question.round_id,
            )
        )
    return submit_answers(project, member, new)


def answer_pair(project: Project, first: int, second: int, kind: Kind) -> Receipt:
    """Answer one pair, whether it is asked or not."""
    key = str(uuid.uuid4())
    new = NewAnswer(key=key, kind=kind, pair=pair(first, second), answered_at=utc_now())
    (receipt,) = submit_answers(project, local_owner(project), [new])
    return receipt


def take_back(project: Project, key: str) -> None:
    """Take an answer of the owner back."""
    labels.take_back(project, local_owner(project), key)


def answer_as(project: Project, member: Member, asked: Pair, kind: Kind) -> Receipt:
    """Answer one pair in the name of a member."""
    new = NewAnswer(key=str(uuid.uuid4()), kind=kind, pair=asked, answered_at=utc_now())
    (receipt,) = submit_answers(project, member, [new])
    return receipt


def one_kind(project: Project, count: int) -> list[int]:
    """So many training images of one kind."""
    kinds: dict[str, list[int]] = {}
    for each in training_images(project):
        kinds.setdefault(_kind(each.path), []).append(each.image_id)
    return max(kinds.values(), key=len)[:count]


def add_model(project: Project, number: int, *, metrics: dict[str, float], bits: int = 0) -> Run:
    """A run with embeddings that follow the kinds of texture; it becomes the active one."""
    run = Run(
        name=f"r{number:03d}",
        round_number=number,
        created_at=utc_now(),
        backbone="resnet18",
        depth="frozen" if number == 0 else "head",
        bits=bits,
        answers=bits,
        known_pairs=3 * bits,
        active=True,
        metrics=metrics,
    )
    write_run(project.runs, run.name, _files(project, number, metrics))
    with project.store.transaction() as db:
        runs.add_run(db, run)
    return run


def embed_upload(project: Project, content: bytes, *, like: int) -> None:
    """Let the quick lane have embedded a picture with the active model, near to an image."""
    run = runs.active_run(project.store.reader())
    if run is None:
        raise LookupError("There is no model.")
    found = search.active_embeddings(project)
    request = Request(hashlib.sha256(content).hexdigest(), run.name, project.cache / "brought")
    queries.answer(project, request, found.vectors[found.rows[like]], content)


def fine_tune(
    project: Project, parent: Run, loss: str, *, after: float, metrics: dict[str, float]
) -> Run:
    """A model fine-tuned from another, in use where it is better than 0.8."""
    how = FineTuning(
        parent=parent.name,
        loss=loss,
        parameters=loss_choice(loss).values(),
        steps=60,
        images=40,
        before=0.8,
        after=after,
        uncertainty=0.01,
        verdict=f"The verdict about {loss}.",
        device="CPU (2 threads)",
    )
    run = replace(
        parent,
        name=f"{parent.name}-{loss}",
        created_at=utc_now(),
        active=after > 0.8,
        metrics=metrics,
    )
    files = _files(project, parent.round_number, metrics)
    write_run(project.runs, run.name, replace(files, fine_tuning=how.as_toml()))
    with project.store.transaction() as db:
        runs.add_run(db, run)
    return run


def keep_back(project: Project, before: Run, words: str) -> Run:
    """A model of more answers that is not in use, because of one that may be better."""
    run = replace(
        before,
        name="r002",
        round_number=2,
        created_at=utc_now(),
        bits=before.bits + 5,
        active=False,
    )
    decided = Succession(before.name, takes_over=False, words=words)
    files = _files(project, 2, {})
    write_run(project.runs, run.name, replace(files, succession=decided.as_toml()))
    with project.store.transaction() as db:
        runs.add_run(db, run)
    return run


def next_round(
    project: Project,
    number: int,
    pairs: Sequence[Pair],
    *,
    model: str,
    notes: Sequence[str] = (),
    reason: str = "A test asks.",
) -> None:
    """Close the current round and ask further pairs, every fourth of them as a random check."""
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        if current is not None:
            rounds.set_round_state(db, current.round_id, RoundState.DONE)
        opened = rounds.create_round(db, number=number, strategy="mgue", model=model, notes=notes)
        asked = [
            Proposal(pair=each, score=0.0, reason=reason, similarity=0.4, check=at % 4 == 0)
            for at, each in enumerate(pairs)
        ]
        queue.add_proposals(db, opened.round_id, asked)


def question(asked: Pair) -> Proposal:
    """A question about a pair."""
    return Proposal(asked, 0.0, "A test asks.")


def ask_chains(project: Project, number: int, chains: Sequence[Sequence[Pair]]) -> None:
    """Close the current round and ask further pairs of chains, each unless it is implied."""
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        if current is not None:
            queue.withdraw_open(db, current.round_id)
            rounds.set_round_state(db, current.round_id, RoundState.DONE)
        opened = rounds.create_round(db, number=number, strategy="components", model="r001")
        asked = [
            Proposal(each, 0.0, "A test asks.", chain=at, chain_position=place, unless_implied=True)
            for at, chain in enumerate(chains)
            for place, each in enumerate(chain)
        ]
        queue.add_proposals(db, opened.round_id, asked)


def training_pairs(project: Project, count: int, *, skip: int = 0) -> list[Pair]:
    """Some pairs of training images, always the same ones."""
    ids = [each.image_id for each in training_images(project)]
    everything = [Pair(a, b) for a in ids for b in ids if a < b]
    order = np.random.default_rng(7).permutation(len(everything))
    return [everything[at] for at in order[skip : skip + count]]


def claim_job(project: Project) -> Job:
    """Take the next waiting job, as a worker does."""
    job = jobs.claim_job(project.jobs, "test", now=utc_now())
    if job is None:
        raise LookupError("No job waits.")
    return job


def report(project: Project, job: Job, progress: float, message: str) -> None:
    """Say how far a claimed job is."""
    jobs.heartbeat(project.jobs, job.job_id, job.attempt, progress=progress, message=message)


def finish_job(project: Project, job: Job) -> None:
    """End a claimed job well."""
    jobs.finish(project.jobs, job.job_id, job.attempt)


def finish_jobs(project: Project, *, error: str | None = None) -> None:
    """Let every waiting job end, well or with an error, as if a worker had done it."""
    while (job := jobs.claim_job(project.jobs, "test", now=utc_now())) is not None:
        if error is None:
            finish_job(project, job)
        else:
            jobs.fail(project.jobs, job.job_id, job.attempt, error)


def write_log(project: Project, text: str) -> None:
    """A line in the log of the newest job."""
    (newest, *_) = jobs.list_jobs(project.jobs)
    jobs.append_log(project.jobs, newest.job_id, text)


def _kind(path: str) -> str:
    """The kind of texture: files are named after it, with a number."""
    return Path(path).stem.rstrip("0123456789")


def training_images(project: Project) -> list[ImageRecord]:
    return images.list_images(project.store.reader(), part=Part.TRAIN)


def _files(project: Project, number: int, metrics: dict[str, float]) -> RunFiles:
    records = images.list_images(project.store.reader())
    rng = np.random.default_rng(number)
    kinds = sorted({_kind(each.path) for each in records})
    centres = dict(zip(kinds, rng.normal(size=(len(kinds), 16)), strict=True))
    points = [centres[_kind(each.path)] * (1 + number) for each in records]
    vectors = np.array(points) + rng.normal(size=(len(records), 16)) * 2.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([each.image_id for each in records], dtype=np.int64)
    return RunFiles(
        config_toml=config_toml(project.config),
        relations=[],
        embeddings=Embeddings(ids, vectors.astype(np.float32)),
        metrics=metrics,
        log=[],
        save_checkpoint=lambda path: path.write_bytes(b""),
    )
