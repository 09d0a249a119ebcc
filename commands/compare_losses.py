"""compare-losses: what each loss makes of the same checkpoint, over seeds."""

from pathlib import Path

import click

from commands.lists import names, numbers
from commands.options import Settings, command_options
from commands.output import progress_bar, show, table
from commands.study_options import archive_options, depth_options, simulated_archive, tuned
from domain.answers import Propagation
from domain.config import FineTuningSettings, FullDepthSettings
from domain.errors import InputError
from domain.jobs import Progress
from domain.loss_catalogue import LOSSES, RELEVANCE_LOSSES, SWEEPS
from worker.loss_study import compare_on_answers, compare_on_classes, compare_on_project
from worker.loss_study_options import StudyOptions, trainings_of
from worker.loss_study_table import CHECKPOINT, FROZEN, Row, Summary, summaries, with_choice
from worker.simulation_options import SimulationOptions

_METRIC = "map"
_HELD_OUT = ("seeds kept", "held out")


@click.command("compare-losses")
@click.option("--out", metavar="DIR", required=True, help="For losses.csv and losses.png.")
@click.option("--losses", metavar="NAMES", help="With commas (default: all, without --sweep).")
@click.option(
    "--sweep",
    "sweeps",
    type=click.Choice([each.name for each in SWEEPS]),
    multiple=True,
    help="Settings of one loss; several may be given.",
)
@click.option(
    "--set", "values", metavar="NAME=VALUE", multiple=True, help="A parameter of the losses."
)
@click.option("--seeds", default="0,1,2,3,4", show_default=True, help="Whole numbers with commas.")
@click.option("--tune", metavar="NAME=VALUE", multiple=True, help="Of [finetuning], as steps=100.")
@click.option(
    "--from",
    "start",
    type=click.Choice([CHECKPOINT, FROZEN]),
    default=CHECKPOINT,
    show_default=True,
    help="Train its head further, or a new one on frozen features.",
)
@depth_options("Train heads, or with --images whole networks.")
@click.option("--gaps", is_flag=True, help="Measure the loss of small batches, too.")
@click.option("--run", "run_name", metavar="NAME", help="Of the project: start from this model.")
@click.option("--images", metavar="DIR", help="Instead of a project: an archive of class folders.")
@click.option("--relations", default="answers", show_default=True, help="answers|classes.")
@click.option("--train-share", default=0.5, show_default=True, help="classes: of each class.")
@click.option("--strategy", default="mgue", show_default=True, help="answers: who asks.")
@click.option("--rounds", default=4, show_default=True, help="answers: after the initial set.")
@click.option("--bits-per-round", default=369, show_default=True, help="answers: questions.")
@click.option("--initial", default="class", show_default=True, help="answers: class|pairs|none.")
@click.option("--propagation", default="closure", show_default=True, help="off|one_step|closure.")
@click.option(
    "--tuned-propagation",
    type=click.Choice([each.value for each in Propagation]),
    help="answers: of the losses (default: as of the checkpoint).",
)
@archive_options
@command_options
def compare_losses(
    *,
    out: str,
    losses: str | None,
    sweeps: tuple[str, ...],
    values: tuple[str, ...],
    seeds: str,
    tune: tuple[str, ...],
    gaps: bool,
    run_name: str | None,
    images: str | None,
    relations: str,
    train_share: float,
    settings: Settings,
    **simulation: object,
) -> None:
    """Train with each loss from the same start; write table and picture.

    From the answers of the project's model; or, with --images, from simulated answers of an
    archive whose folders are classes (as many as simulate asks), or from its class labels. An
    interrupted comparison goes on where it was. Nothing of the project changes.
    """
    full = simulation.pop("depth") == "full"
    if full and not images:
        raise InputError("--depth full compares networks on class folders only.", "Give --images.")
    project = None if images else settings.open()
    base = FineTuningSettings() if project is None else project.config.finetuning
    spread, start = simulation.pop("tuned_propagation"), simulation.pop("start")
    known = LOSSES if full else RELEVANCE_LOSSES
    usual = () if sweeps else tuple(loss.name for loss in known)
    chosen = names(losses) if losses else usual
    options = StudyOptions(
        out=Path(out),
        trainings=trainings_of(chosen, sweeps=sweeps, settings=values, full=full),
        seeds=numbers("--seeds", seeds, int),
        finetuning=base if full else tuned(base, tune),
        full=tuned(FullDepthSettings(), tune) if full else None,
        propagation=None if spread is None else Propagation(str(spread)),
        train_share=train_share,
        device=settings.device,
        gaps=gaps,
        alone=start == FROZEN,
    )
    with progress_bar("Comparing") as progress:
        if project is not None:
            rows = compare_on_project(options, project, run_name, progress)
        else:
            asks = names(str(simulation.pop("strategy")))
            given = {**simulation, "strategies": asks, "depth": "head"}
            archive = simulated_archive(str(images), out, settings.device, given)
            rows = _on_archive(options, archive, relations, progress)
    _show(rows, options, settings)


def _on_archive(
    options: StudyOptions, archive: SimulationOptions, relations: str, progress: Progress
) -> list[Row]:
    if relations == "answers":
        return compare_on_answers(options, archive, progress)
    if relations == "classes":
        return compare_on_classes(options, archive, progress)
    raise InputError(f"--relations {relations}; must be answers or classes.")


def _show(rows: list[Row], options: StudyOptions, settings: Settings) -> None:
    out, over = str(options.out), options.over
    judged = any(row.after is not None for row in rows)  # not a head alone, nor a network
    compared = with_choice(rows) if judged else rows
    found = summaries(compared, _METRIC, over=over)
    cells = [_line(each) for each in found]
    headings = ("training", "seeds", "mAP", "±", f"over {over}", "±", "seeds above", *_HELD_OUT)
    show(
        {"out": out, "rows": [vars(row) for row in rows], "means": [vars(each) for each in found]},
        as_json=settings.as_json,
        text=lambda: f"{table(cells, headings)}\n{out}/losses.csv and losses.png written.",
    )


def _line(found: Summary) -> list[object]:
    held_out = "" if found.held_out is None else f"{found.held_out:.4f}"
    return [
        found.training,
        found.seeds,
        f"{found.mean:.4f}",
        f"{found.spread:.4f}",
        f"{found.gain:+.4f}",
        f"{found.gain_spread:.4f}",
        found.wins,
        found.kept,
        held_out,
    ]
