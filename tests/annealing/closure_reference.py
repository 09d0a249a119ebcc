"""What answers imply, by the two rules alone."""

from itertools import combinations

from domain.pairs import pair


def fixed_point(labels):
    """Every relation that follows, by applying the two rules until nothing is new."""
    known = dict(labels)
    while True:
        new = {}
        for (left, y_left), (right, y_right) in combinations(known.items(), 2):
            ends = set(left) ^ set(right)
            if len(ends) == 2 and (y_left or y_right):
                new[pair(*ends)] = y_left and y_right
        if new.items() <= known.items():
            return known
        assert all(known.get(q, y) == y for q, y in new.items()), "contradiction accepted"
        known.update(new)
