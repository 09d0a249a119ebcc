"""Worked examples made by slow, obvious float64 code, and brute force to compare with."""

import json
from pathlib import Path

import numpy as np

_FILE = Path(__file__).parents[1] / "fixtures" / "oracles_selection.json"
ORACLES = json.loads(_FILE.read_text())


def all_pairs_by_uncertainty(embeddings, alpha, excluded=()):
    """Every pair not excluded, by |cosine - alpha| rounded to 1e-9, then by pair."""
    lengths = np.linalg.norm(embeddings.astype(float), axis=1, keepdims=True)
    unit = embeddings.astype(float) / np.maximum(lengths, 1e-12)
    closed = {tuple(pair) for pair in excluded}
    ranked = []
    for a in range(len(unit)):
        for b in range(a + 1, len(unit)):
            if (a, b) not in closed:
                cosine = min(1.0, max(-1.0, float(unit[a] @ unit[b])))
                ranked.append((round(abs(cosine - alpha), 9), a, b))
    return [(a, b) for _, a, b in sorted(ranked)]


def tuples(pairs):
    return [tuple(pair) for pair in np.asarray(pairs).tolist()]


def all_pairs(rows):
    """[P, 2] every pair of rows."""
    return np.stack(np.triu_indices(rows, 1), axis=1)
