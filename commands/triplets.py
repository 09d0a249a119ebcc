"""compare-triplets: which triplets teach most, where images have several labels."""

from pathlib import Path

import click

from commands.lists import names, numbers
from commands.options import Settings, command_options
from commands.output import progress_bar, show, table
from commands.study_options import archive_options, depth_options, simulated_archive, tuned
from domain.config import FullDepthSettings
from domain.errors import InputError
from training.multilabel_trainer import MultilabelSettings
from worker.triplet_study import CSV_NAME, TripletRow, TripletStudy, mean_rows
from worker.triplet_study import compare_triplets as run_study

_METHODS = "das+rhdis,ras+rhdis,bas+rhdis,das+ris,das+bis,ras+ris,bas+bis"
_HEADER = (
    "method",
    "length",
    "seeds",
    "accuracy",
    "precision",
    "recall",
    "F1",
    "triplets",
    "to 90 %",
    "of the gain",
)


@click.command("compare-triplets")
@click.option("--images", metavar="DIR", required=True, help="Archive.")
@click.option("--labels", metavar="FILE", required=True, help="Table: image, then 0 or 1 a label.")
@click.option("--out", metavar="DIR", required=True, help=f"For {CSV_NAME}.")
@click.option(
    "--methods",
    default=_METHODS,
    show_default=True,
    help="Anchors das|ras|bas + images rhdis|ris|bis, or losses; with commas.",
)
@click.option("--seeds", default="0,1,2", show_default=True, help="Each redraws the split.")
@click.option(
    "--size", default="1024", show_default=True, help="Lengths of an embedding, with commas."
)
@click.option("--epochs", default=100, show_default=True, help="Over the training images.")
@click.option("--batch", default=100, show_default=True, help="Images of a batch.")
@click.option("--k", default=10, show_default=True, help="Images retrieved for a query.")
@depth_options("Train heads on frozen features, or whole networks.")
@click.option("--tune", metavar="NAME=VALUE", multiple=True, help="full: of [training.full].")
@archive_options
@command_options
def compare_triplets(
    *,
    images: str,
    labels: str,
    out: str,
    methods: str,
    seeds: str,
    size: str,
    epochs: int,
    batch: int,
    k: int,
    depth: str,
    tune: tuple[str, ...],
    settings: Settings,
    **archive: object,
) -> None:
    """Compare choices of triplets where images have several labels.

    Needs no project. Heads, or whole networks, learn from 60 % of the images; the labels of the k
    images of one fifth that are nearest to each image of the other fifth are compared with its own.
    The row frozen is the features before any training; triplets to 90 % are those until F1 had nine
    tenths of its last value, and of what it gained over the frozen features. An interrupted
    comparison goes on where it was, and further methods, seeds and lengths join it.
    """
    full = tuned(FullDepthSettings(), tune) if depth == "full" else None
    if tune and full is None:
        raise InputError("--tune is of whole networks.", "Add --depth full.")
    study = TripletStudy(
        simulated_archive(images, out, settings.device, {**archive, "depth": "head"}),
        labels=Path(labels),
        methods=names(methods),
        seeds=numbers("--seeds", seeds, int),
        settings=MultilabelSettings(epochs=epochs, batch_images=batch),
        sizes=numbers("--size", size, int),
        full=full,
        k=k,
    )
    with progress_bar("Comparing") as progress:
        rows = run_study(study, progress)
    show(
        {"out": out, "rows": [row.cells() for row in rows]},
        as_json=settings.as_json,
        text=lambda: f"{table([_cells(r) for r in mean_rows(rows)], _HEADER)}\n{out}/{CSV_NAME}",
    )


def _cells(row: TripletRow) -> list[str]:
    scores = row.scores
    shares = (scores.accuracy, scores.precision, scores.recall, scores.f1_macro)
    counts = (row.triplets, row.triplets_90, row.triplets_90_gain)
    return [
        row.method,
        str(row.out),
        str(row.seed),
        *(f"{100 * share:.1f}" for share in shares),
        *("" if count is None else f"{count:,}" for count in counts),
    ]
