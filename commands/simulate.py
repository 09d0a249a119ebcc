"""simulate: the whole loop with an oracle made from folder names."""

import click

from commands.lists import names, numbers
from commands.options import Settings, command_options
from commands.output import progress_bar, show, table, warn
from commands.study_options import archive_options, simulated_archive, tuned
from domain.config import FullDepthSettings, TrainingSettings
from worker.simulate import simulate as run_simulation

_SHOWN = ("strategy", "seed", "round", "bits", "known_pairs", "map_at_5_hits", "map_at_5_min")


@click.command()
@click.option("--images", metavar="DIR", required=True, help="Archive; its folders are classes.")
@click.option("--out", metavar="DIR", required=True, help="For curve.csv and curve.png.")
@click.option("--strategy", default="mgue", show_default=True, help="One or more, with commas.")
@click.option("--rounds", default=4, show_default=True, help="After the initial set.")
@click.option("--bits-per-round", default=369, show_default=True, help="Questions a round.")
@click.option("--seeds", default="0,1,2", show_default=True, help="Each redraws split and start.")
@click.option(
    "--depth", default="auto", show_default=True, help="auto|head|full; auto: full on a GPU."
)
@click.option("--tune", metavar="NAME=VALUE", multiple=True, help="full: of [training.full].")
@click.option("--image-size-px", default=224, show_default=True, help="Of images in the network.")
@click.option("--propagation", help="off|one_step|closure; one_step, closure for components.")
@click.option("--noise", default=0.0, show_default=True, help="Share of wrong answers, 0…1.")
@click.option("--confusion", default=0.0, show_default=True, help="Noise between look-alikes.")
@click.option(
    "--assumed-error", default=0.05, show_default=True, help="components: share of noise."
)
@click.option("--strict", is_flag=True, help="components: no look-ups within a round.")
@click.option("--grids", default=0, show_default=True, help="components: questions at one look.")
@click.option("--repeat-share", default=0.0, show_default=True, help="components: asked twice.")
@click.option("--initial", default="class", show_default=True, help="class|pairs|none.")
@click.option("--lambda", "lams", default="3", show_default=True, help="MGUE's; one or more.")
@click.option("--clip", default="none", show_default=True, help="MGUE's threshold: none|means.")
@click.option("--guard", is_flag=True, help="Leave useless thresholds, as projects do.")
@click.option("--literal-bcgue", is_flag=True, help="The paper's classifier, not symmetric.")
@click.option("--implied-gain", default=0.0, show_default=True, help="Weight of implied labels.")
@click.option("--gain", default="labels", show_default=True, help="Counted in: labels|entropy.")
@click.option("--retrieval-space", default="auto", show_default=True, help="auto|head|backbone.")
@archive_options
@click.option("--processes", default=1, show_default=True, help="Curves at the same time.")
@command_options
def simulate(
    *,
    images: str,
    out: str,
    strategy: str,
    seeds: str,
    lams: str,
    tune: tuple[str, ...],
    literal_bcgue: bool,
    settings: Settings,
    **rest: object,
) -> None:
    """Run the loop with answers from folder names; write its curve.

    Needs no project. Strategies: components, mgue, bcgue, both with _no_diversity behind, random,
    cal (class labels, least confidence) and all (the upper bound: every relation is known). A row
    is a round: -1 the frozen features, 0 after the initial set, then one for each round of
    questions; the upper bound has one round. At full depth the backbone is retrained after each
    round, from the given weights; on a CPU that takes minutes to hours. An interrupted simulation
    goes on where it was.
    """
    full = tuned(FullDepthSettings(), tune)
    training = TrainingSettings(full=full, classifier_symmetric=not literal_bcgue)
    options = simulated_archive(
        images,
        out,
        settings.device,
        {
            **rest,
            "strategies": names(strategy),
            "seeds": numbers("--seeds", seeds, int),
            "lams": numbers("--lambda", lams, float),
            "training": training,
        },
    )
    with progress_bar("Simulating") as progress:
        found = run_simulation(options, progress)
    for text in found.notes:
        warn(text)
    cells = [[_cell(getattr(row, name)) for name in _SHOWN] for row in found.rows]
    show(
        {"out": out, "notes": found.notes, "rows": [vars(row) for row in found.rows]},
        as_json=settings.as_json,
        text=lambda: f"{table(cells, _SHOWN)}\n{out}/curve.csv and curve.png written.",
    )


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
