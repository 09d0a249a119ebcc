"""What is asked when little is known."""

import numpy as np

from annealing.implications import implications
from annealing.pool import pair_keys
from domain.answers import Propagation
from worker.candidates import Candidates, without_knowledge


def test_a_cold_start_does_not_ask_what_is_implied() -> None:
    """Pairs (0, 1) and (1, 2) were answered, (0, 2) follows from them."""
    known, answered = np.array([[0, 1], [1, 2], [0, 2]]), np.array([[0, 1], [1, 2]])
    candidates = Candidates(
        image_ids=np.array([7, 8, 9, 10]),
        vectors=np.eye(4, dtype=np.float32),
        known_pairs=known,
        known_similar=np.ones(3, dtype=bool),
        closed=pair_keys(answered, 4),
        settles=implications({}, Propagation.OFF),
        classifier=None,
        last_answers=np.zeros(0, dtype=bool),
    )
    cold = without_knowledge(candidates)
    assert not len(cold.known_pairs)
    assert cold.closed.tolist() == pair_keys(known, 4).tolist()
