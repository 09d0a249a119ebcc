"""compare-descriptors: poolings and sizes of images, on a network as it is."""

from pathlib import Path

import click

from commands.lists import names
from commands.options import Settings, command_options
from commands.output import progress_bar, show, table
from commands.study_options import network_options
from worker.descriptor_study import CSV_NAME, DescriptorRow, DescriptorStudy
from worker.descriptor_study import compare_descriptors as run_study

_HEADER = ("pooling", "scales", "mAP", "mAP@R", "P@10", "R@1")


@click.command("compare-descriptors")
@click.option("--images", metavar="DIR", required=True, help="Archive; its folders are classes.")
@click.option("--out", metavar="DIR", required=True, help=f"For {CSV_NAME}.")
@click.option("--poolings", default="mean,max,gem", show_default=True, help="With commas.")
@click.option("--seed", default=0, show_default=True, help="Halves each class.")
@network_options
@command_options
def compare_descriptors(
    *,
    images: str,
    out: str,
    poolings: str,
    seed: int,
    backbone: str,
    weights: str | None,
    bands: int,
    settings: Settings,
) -> None:
    """Compare poolings of a network's last map, and sizes of images.

    Needs no project. Half of each class asks, the other half answers. Rows add one size after
    another: 1, 1/√2, 1/2, 1/√8 and 1/4 of the sides, where networks can take them. Poolings that
    are done already are taken over.
    """
    study = DescriptorStudy(
        images=Path(images),
        out=Path(out),
        backbone=backbone,
        weights=None if weights is None else Path(weights),
        poolings=names(poolings),
        seed=seed,
        bands=bands,
        device=settings.device,
    )
    with progress_bar("Comparing") as progress:
        rows = run_study(study, progress)
    show(
        {"out": out, "rows": [vars(row) for row in rows]},
        as_json=settings.as_json,
        text=lambda: f"{table([_cells(row) for row in rows], _HEADER)}\n{out}/{CSV_NAME} written.",
    )


def _cells(row: DescriptorRow) -> list[str]:
    scores = (row.map, row.map_at_r, row.p_at_10, row.recall_at_1)
    return [row.pooling, str(row.scales), *(f"{100 * score:.1f}" for score in scores)]
