from hypothesis import given
from hypothesis import strategies as st

from annealing.cuts import cut_off

NUMBERS = range(12)


@st.composite
def cut_graphs(draw):
    """The edges of a connected graph, and those of them that are taken away."""
    edges = {(draw(st.integers(0, n - 1)), n) for n in NUMBERS if n}
    edges |= draw(
        st.sets(st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)), max_size=9)
    )
    edges = sorted({(min(e), max(e)) for e in edges if e[0] != e[1]})
    return edges, draw(st.lists(st.sampled_from(edges), min_size=1, max_size=5, unique=True))


def components(edges):
    """Numbers that edges connect, by joining sets until nothing changes."""
    parts = [{number} for number in NUMBERS]
    for edge in edges:
        joined = set().union(*(part for part in parts if part & set(edge)))
        parts = [part for part in parts if not part & set(edge)] + [joined]
    return parts


@given(cut_graphs())
def test_all_parts_but_one_are_found(cut_graph):
    edges, taken = cut_graph
    left = [edge for edge in edges if edge not in taken]
    beside = {n: [sum(e) - n for e in left if n in e] for n in NUMBERS}
    found = cut_off([end for edge in taken for end in edge], beside.__getitem__)
    parts = components(left)
    assert len(found) == len(parts) - 1
    assert all(len(set(part)) == len(part) and set(part) in parts for part in found)
    assert len({frozenset(part) for part in found}) == len(found)


def test_little_of_a_large_graph_is_looked_at():
    looked_at = []

    def along_a_line(number):
        looked_at.append(number)
        return [n for n in (number - 1, number + 1) if n >= 0 and {n, number} != {4, 5}]

    assert [sorted(part) for part in cut_off([4, 5], along_a_line)] == [[0, 1, 2, 3, 4]]
    assert max(looked_at) < 12
