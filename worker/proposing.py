"""From a model to questions in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from annealing.pool import Keys, pair_keys
from annealing.proposals import NO_CLUSTER, Proposals
from annealing.reasons import explain
from annealing.strategies import propose as choose
from domain.answers import Kind
from domain.clock import utc_now
from domain.config import Strategy
from domain.errors import JobError
from domain.jobs import Progress, silent
from domain.pairs import Pair, pair
from domain.rounds import Proposal, Round, RoundState, Run
from labeling_store import by_hand, queue, responses, rounds, runs
from worker.candidates import Candidates, candidates_of, without_knowledge
from worker.group_questions import archive_of, group_questions, random_checks
from worker.mixing import mixed
from worker.repeats import doubted, hidden, with_figures, with_overlap
from workflow.project import Project
from workflow.run_files import has_embeddings
from workflow.succession import kept_back

NOTHING_LEFT = "Every pair of training images is answered or implied; there is nothing to ask."
_REPEATED_SHARE = 0.1  # of a round's target: pairs in contradictions, asked again
# To each the round's number is added.
_OWN_SEED, _CHECK_SEED, _SPARE_SEED, _OVERLAP_SEED, _REPEAT_SEED = 1000, 2000, 3000, 4000, 5000


@dataclass(frozen=True)
class Proposed:
    """What came of choosing questions.

    Attributes:
        target: how many answers make the round.
        spare: how many more are asked.
        notes: what a lead should know about them.
    """

    round_number: int
    target: int
    spare: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Where a round's questions come from, as the store keeps it."""

    strategy: str
    model: str
    target: int
    made_by: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Asking:
    """A strategy at work for a round."""

    project: Project
    candidates: Candidates
    strategy: str
    number: int
    device: torch.device
    progress: Progress = silent

    def choose(self, count: int, seed: int, *, but: Keys | None = None) -> Proposals:
        """So many questions, none of them among `but`; each `seed` draws another random stream."""
        candidates = self.candidates
        closed = candidates.closed if but is None else np.union1d(candidates.closed, but)
        return choose(
            self.strategy,
            candidates.vectors,
            candidates.known_pairs,
            candidates.known_similar,
            count,
            rng=_rng(self.project, seed, self.number),
            settings=self.project.config.selection,
            excluded=closed,
            settles=candidates.settles,
            classifier=candidates.classifier,
            last_answers=candidates.last_answers,
            device=str(self.device),
            progress=self.progress,
        )


def propose_next(
    project: Project,
    *,
    strategy: str,
    pairs: int,
    device: torch.device,
    made_by: str,
    notes: tuple[str, ...] = (),
    progress: Progress = silent,
) -> Proposed:
    """Put the next questions into the queue: a new round, or the current one if none is answered.

    They come from the model that the job has trained, in use or not, as it knows all answers; where
    it trained none, from the newest that waits to be used, or else the active one. The round's own
    questions are the strategy's and the random checks; spare ones, which the strategy would ask
    after them, stand behind. The round is marked as made by the job with the key `made_by`; `notes`
    stand before those of the strategy.

    Raises:
        JobError: there is no model yet.
    """
    db = project.store.reader()
    run = runs.run_made_by(db, made_by) or _newest_model(project)
    if run is None:
        raise JobError("There is no model yet.", 'Run "python cli.py embed" first.')
    current = rounds.current_round(project.store.reader())
    number = 1 if current is None else current.number
    if current is not None and _was_answered(project, current):
        number += 1
    if strategy == Strategy.COMPONENTS.value:
        return _propose_groups(project, run, number, pairs, made_by=made_by)
    asking = _Asking(project, candidates_of(project, run), strategy, number, device, progress)
    chosen = asking.choose(pairs, _OWN_SEED)
    asking = replace(asking, progress=silent)  # what follows takes far less
    wanted = _as_questions(chosen, asking.candidates)
    wanted += _checks(asking, pairs, pair_keys(chosen.pairs, len(asking.candidates.image_ids)))
    notes = (*notes, *chosen.notes)
    if not wanted:
        return Proposed(number, 0, 0, (*notes, NOTHING_LEFT))
    spare = _spare(asking, project.config.selection.spare_pairs(pairs), wanted)
    source = _Source(strategy, run.name, len(wanted), made_by, notes)
    again = hidden(project, len(wanted), _rng(project, _REPEAT_SEED, number))
    found = asking.candidates
    rows = {int(image_id): row for row, image_id in enumerate(found.image_ids)}
    bound = None if chosen.threshold is None else chosen.threshold.alpha
    wanted += with_figures(again, rows, found.vectors, threshold=bound)
    _put(project, number, source, [*mixed(wanted, number), *spare])
    return Proposed(number, len(wanted), len(spare), notes)


def _newest_model(project: Project) -> Run | None:
    waiting = kept_back(project)
    if waiting is not None and has_embeddings(project.runs / waiting.run.name):
        return waiting.run
    return runs.active_run(project.store.reader())


def _propose_groups(
    project: Project, run: Run, number: int, pairs: int, *, made_by: str
) -> Proposed:
    """Chains of questions; the round is reached after few answers, the rest is to spare."""
    settings = project.config.selection
    strategy = Strategy.COMPONENTS.value
    target = min(pairs, settings.learn_every or pairs)
    archive = archive_of(project, run)
    again = doubted(project, run, round(target * _REPEATED_SHARE))
    chains = [*again, *group_questions(project, archive, pairs + settings.spare_pairs(pairs))]
    if not chains:
        return Proposed(number, 0, 0, (NOTHING_LEFT,))
    checks = random_checks(
        project,
        archive,
        round(target * settings.check_share),
        but=[each.pair for each in chains],
        rng=_rng(project, _CHECK_SEED, number),
    )
    source = _Source(strategy, run.name, target, made_by, ())
    repeats = hidden(project, target, _rng(project, _REPEAT_SEED, number))
    extra = [*checks, *with_figures(repeats, archive.images.row, archive.space.unit)]
    _put(project, number, source, mixed([*extra, *chains], number, target=target))
    answers = len({each.chain for each in chains if each.chain is not None})
    answers += sum(each.chain is None for each in chains) + len(checks)
    return Proposed(number, min(target, answers), max(0, answers - target), ())


def replace_first_questions(project: Project, *, device: torch.device) -> int:
    """Cold-start questions instead of the random ones nobody has answered or holds.

    Returns:
        How many were put; 0 if people are past the first round or have answered all of it.
    """
    current = rounds.current_round(project.store.reader())
    run = runs.active_run(project.store.reader())
    if current is None or run is None or current.number > 1 or current.model is not None:
        return 0
    status = queue.queue_status(project.store, current.round_id, utc_now())
    settings = project.config.selection
    target, waiting = status.target, status.open
    if not status.total:  # there was no pair to ask; images may have come since
        target = settings.pairs_per_round
        waiting = target + settings.spare_pairs(target)
    missing = min(max(target - status.answered - status.leased, 0), waiting)
    strategy, proposals = Strategy.MGUE.value, []
    if settings.strategy is Strategy.COMPONENTS:
        strategy = settings.strategy.value
        proposals = group_questions(project, archive_of(project, run), waiting)
        target = min(target, settings.learn_every or target)
    else:
        candidates = without_knowledge(candidates_of(project, run))
        asking = _Asking(project, candidates, strategy, 1, device)
        wanted = _as_questions(asking.choose(missing, _OWN_SEED), candidates)
        proposals = [*wanted, *_spare(asking, waiting - missing, wanted)]
    if not proposals:
        return 0
    rng = _rng(project, _OVERLAP_SEED, 1)
    proposals = with_overlap(proposals, project.config.annotators, rng)
    with project.store.transaction() as db:
        queue.withdraw_open(db, current.round_id)
        rounds.set_round_source(
            db, current.round_id, strategy=strategy, model=run.name, target=target
        )
        queue.add_proposals(db, current.round_id, proposals)
    return len(proposals)


def _put(project: Project, number: int, source: _Source, proposals: Sequence[Proposal]) -> None:
    """The questions into a new round after the current, or into that one, emptied.

    What a lead chose by hand goes before them. What people took out of the queue while the
    questions were chosen is not asked again. A share of them is asked of several members.
    """
    rng = _rng(project, _OVERLAP_SEED, number)
    proposals = with_overlap(proposals, project.config.annotators, rng)
    taken: set[Pair] = set()
    with project.store.transaction() as db:
        current = rounds.current_round(db)
        if current is not None:
            taken = {*queue.leased_pairs(db, current.round_id, utc_now())}
            answered = responses.answered_proposals(db, current.round_id)
            taken |= {each.pair for each in answered if each.kind is not Kind.SKIP}
            queue.withdraw_open(db, current.round_id)
        if current is not None and number == current.number:
            rounds.set_round_source(db, current.round_id, **vars(source))
        else:
            earlier = current
            current = rounds.create_round(db, number=number, **vars(source))
            if earlier is not None:
                rounds.set_round_state(db, earlier.round_id, RoundState.DONE)
                by_hand.take_over(db, earlier.round_id, current.round_id, now=utc_now())
        queue.add_proposals(db, current.round_id, _still_open(proposals, taken))


def _still_open(proposals: Sequence[Proposal], taken: set[Pair]) -> list[Proposal]:
    """Without single questions about what was taken; hidden repeats are about that."""
    return [
        each
        for each in proposals
        # The store knows how far a chain is; with gaps it would ask what is answered already.
        if each.chain is not None or each.asked_of is not None or each.pair not in taken
    ]


def _rng(project: Project, seed: int, number: int) -> np.random.Generator:
    """Another random stream for each purpose and round."""
    return np.random.default_rng([project.config.seed, seed + number])


def _was_answered(project: Project, current: Round) -> bool:
    return queue.queue_status(project.store, current.round_id, utc_now()).answered > 0


def _checks(asking: _Asking, pairs: int, taken: Keys) -> list[Proposal]:
    """Random pairs on top of the chosen ones: their answers measure the model without bias."""
    count = round(pairs * asking.project.config.selection.check_share)
    at_random = replace(asking, strategy=Strategy.RANDOM.value)
    drawn = at_random.choose(count, _CHECK_SEED, but=taken)
    return _as_questions(drawn, asking.candidates, check=True)


def _spare(asking: _Asking, count: int, wanted: Sequence[Proposal]) -> list[Proposal]:
    """What the strategy would ask next; the round's own questions stay its first choice."""
    if not count:
        return []
    row = {int(image_id): row for row, image_id in enumerate(asking.candidates.image_ids)}
    taken = np.array([(row[each.pair.a], row[each.pair.b]) for each in wanted], dtype=np.int64)
    keys = pair_keys(taken.reshape(-1, 2), len(row))
    return _as_questions(asking.choose(count, _SPARE_SEED, but=keys), asking.candidates)


def _as_questions(
    chosen: Proposals, candidates: Candidates, *, check: bool = False
) -> list[Proposal]:
    reasons = explain(chosen)
    threshold = None if chosen.threshold is None else chosen.threshold.alpha
    ids = candidates.image_ids
    return [
        Proposal(
            pair=pair(int(ids[a]), int(ids[b])),
            score=float(chosen.score[place]),
            reason=reasons[place],
            similarity=float(chosen.similarity[place]),
            threshold=threshold,
            cluster=None if chosen.cluster[place] == NO_CLUSTER else int(chosen.cluster[place]),
            check=check,
        )
        for place, (a, b) in enumerate(chosen.pairs)
    ]
