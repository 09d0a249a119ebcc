"""The steps of a round, and all of them: embed, propose, train, evaluate, round."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from commands.options import Settings, command_options
from commands.output import (
    as_dicts,
    note,
    progress_bar,
    show,
    table,
    warn,
    warn_put_aside,
)
from domain.config import Depth, Strategy
from domain.errors import InputError, JobError
from domain.loss_catalogue import LOSSES
from domain.rounds import Run
from labeling_store import runs
from workflow import curves, finetuning, jobs, rounds, speed, succession
from workflow.project import Project

_strategy = click.option(
    "--strategy",
    type=click.Choice([strategy.value for strategy in Strategy]),
    help="How the next questions are chosen (default: the project's).",
)
_LOSS_NAMES = click.Choice([loss.name for loss in LOSSES])
_depth = click.option(
    "--depth",
    type=click.Choice([depth.value for depth in Depth]),
    help="How deep: head in seconds; full: the backbone too; auto: full on a GPU.",
)
_pairs = click.option("--pairs", type=int, help="How many questions (default: the project's).")


@click.command()
@click.option("--images", "images_folder", metavar="DIR", help="Embed these foreign images.")
@click.option("--out", metavar="FILE", help="Where to write them: a .npz with paths and vectors.")
@command_options
def embed(*, images_folder: str | None, out: str | None, settings: Settings) -> None:
    """Embed the archive; or foreign images with the current model, into a file."""
    project = settings.open()
    if (images_folder is None) != (out is None):
        raise InputError(
            "--images DIR and --out FILE go together.", "Give both, or none to embed the archive."
        )
    if images_folder is None or out is None:
        _run(project, jobs.PREPARE, {}, settings)
        views = jobs.newest(project, jobs.VIEWS)
        if views is not None and not views.state.ended:
            _run(project, jobs.VIEWS, {}, settings)
        _show_run(_active(project), settings)
        return
    from worker.foreign import embed_folder

    with progress_bar("Embedding") as progress:
        done = embed_folder(
            project, Path(images_folder), Path(out), device=settings.device, progress=progress
        )
    warn_put_aside(done.quarantined)
    show(
        {"images": done.images, "out": out, "quarantined": as_dicts(done.quarantined)},
        as_json=settings.as_json,
        text=lambda: f"{done.images} images embedded into {out}.",
    )


@click.command()
@_strategy
@_pairs
@command_options
def propose(*, strategy: str | None, pairs: int | None, settings: Settings) -> None:
    """Choose the next questions with the active model."""
    project = settings.open()
    params = rounds.round_params(project, strategy=strategy, pairs=pairs)
    _run(project, jobs.PROPOSE, params, settings)
    newest = rounds.list_rounds(project)[0]
    left = max(newest.target - newest.answered, 0)
    if left == 0:
        from worker.proposing import NOTHING_LEFT

        warn(NOTHING_LEFT)
    show(
        {"round": newest.round.number, "open": left, "strategy": newest.round.strategy},
        as_json=settings.as_json,
        text=lambda: f"Round {newest.round.number} has {left} open questions.",
    )


@click.command()
@_depth
@command_options
def train(*, depth: str | None, settings: Settings) -> None:
    """Train on the answers given so far; the new model is used, unless the old may be better.

    At full depth the backbone is retrained first, from the weights it came with. It is used if it
    tells held-out answers apart better than before; interrupted, it goes on where it was.
    """
    project = settings.open()
    _require_trainable(project)
    _run(project, jobs.TRAIN, {} if depth is None else {"depth": depth}, settings)
    _fine_tune_next(project, settings)
    _show_run(_active(project), settings, trained_on=_trained_on(project, depth))


@click.command()
@click.option(
    "--loss", type=_LOSS_NAMES, required=True, help="What the model is trained further with."
)
@click.option(
    "--set",
    "values",
    metavar="NAME=VALUE",
    multiple=True,
    help="A parameter of the loss; may be given several times.",
)
@click.option("--run", "run_name", metavar="NAME", help="Start from this model (default: active).")
@click.option(
    "--depth",
    type=click.Choice([depth.value for depth in Depth]),
    default=Depth.AUTO.value,
    show_default=True,
    help="How deep: head; full: the whole network first; auto: as deep as the model learnt.",
)
@command_options
def finetune(
    *, loss: str, values: tuple[str, ...], run_name: str | None, depth: str, settings: Settings
) -> None:
    """Train a model further with another loss, on the answers it has learnt from.

    At full depth the network goes on learning from the weights that the model reads, stops where
    held-out answers are told apart best, and gets a head of the model's kind, which learns with the
    loss, too; interrupted, it goes on where it was. At head depth the features stay.

    The model that comes out is always kept, to compare losses. It takes the place of the active one
    only if it ranks images better whose answers were held out of both.
    """
    project = settings.open()
    params = finetuning.fine_tuning_params(
        project, loss, settings=values, run=run_name, depth=Depth(depth)
    )
    start = finetuning.starting_run(project, run_name)
    finetuning.tuning_depth(project, start, Depth(depth))
    _run(project, jobs.FINETUNE, params, settings)
    tuned = finetuning.newest(project)
    place = _trained_on(project, tuned.how.depth)
    _show_run(tuned.run, settings, verdict=tuned.how.verdict, trained_on=place)


@click.command()
@command_options
def evaluate(*, settings: Settings) -> None:
    """Show the quality of every model against the effort it took."""
    project = settings.open()
    points = curves.quality_curve(project)
    if not points:
        raise JobError("There is no model to evaluate yet.", 'Run "python cli.py embed" first.')
    names = sorted({name for point in points for name in point.metrics})
    rows = [
        [point.run, point.bits, *(_fraction(point.metrics.get(name)) for name in names)]
        for point in points
    ]
    show(
        {"runs": [{"run": p.run, "bits": p.bits, "metrics": dict(p.metrics)} for p in points]},
        as_json=settings.as_json,
        text=lambda: table(rows, ["run", "bits", *names]),
    )


@click.command("round")
@_strategy
@_pairs
@_depth
@click.option("--then-finetune", type=_LOSS_NAMES, help="Then train the model further.")
@command_options
def round_(
    *,
    strategy: str | None,
    pairs: int | None,
    depth: str | None,
    then_finetune: str | None,
    settings: Settings,
) -> None:
    """Train on the answers, evaluate, and propose the next questions."""
    project = settings.open()
    params = rounds.round_params(
        project,
        strategy=strategy,
        pairs=pairs,
        then_finetune=then_finetune,
        depth=None if depth is None else Depth(depth),
    )
    _require_trainable(project, strategy)
    _run(project, jobs.ROUND, params, settings)
    _fine_tune_next(project, settings)
    _show_run(_active(project), settings, trained_on=_trained_on(project, depth))


def _fine_tune_next(project: Project, settings: Settings) -> None:
    """Do the fine-tunings that a training has asked for, and say what is not in use."""
    while (tuning := jobs.newest(project, jobs.FINETUNE)) is not None and not tuning.state.ended:
        _run(project, jobs.FINETUNE, tuning.params, settings)
    waiting = succession.kept_back(project)
    if waiting is not None:
        note(f"{waiting.run.name} is kept, but not in use. {waiting.why.words}")


def _run(project: Project, kind: str, params: Mapping[str, Any], settings: Settings) -> None:
    """Do a job here, or follow it where a worker is already running."""
    from worker.foreground import run_to_end

    with progress_bar(kind.capitalize()) as progress:
        run_to_end(project, kind, {**params, "device": settings.device}, progress, tell=note)


def _require_trainable(project: Project, strategy: str | None = None) -> None:
    reason = rounds.check_answers(project, strategy=strategy)
    if reason is not None:
        raise JobError(reason)


def _active(project: Project) -> Run:
    run = runs.active_run(project.store.reader())
    if run is None:
        raise JobError("No model came out of the job.", 'See "python cli.py jobs".')
    return run


def _trained_on(project: Project, depth: str | None) -> speed.Place | None:
    """The device; None as depth: the project's."""
    return speed.trained_on(
        project, project.config.training.depth if depth is None else Depth(depth)
    )


def _show_run(
    run: Run, settings: Settings, *, verdict: str = "", trained_on: speed.Place | None = None
) -> None:
    place = "" if trained_on is None else f"Trained on {trained_on.words}."
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in sorted(run.metrics.items()))
    show(
        {
            "run": run.name,
            "bits": run.bits,
            "metrics": dict(run.metrics),
            **({"active": run.active, "verdict": verdict} if verdict else {}),
            **({} if trained_on is None else trained_on.as_dict()),
        },
        as_json=settings.as_json,
        text=lambda: "\n".join(
            filter(None, [f"{run.name} ({run.bits} bits): {metrics}", verdict, place])
        ),
    )


def _fraction(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
