"""The Pareto front."""

from hypothesis import given
from hypothesis import strategies as st

from dcft.views.figures import knobs

points = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.just("")), min_size=1, max_size=20)


@given(points)
def test_the_front_is_what_nothing_beats(rows):
    front = knobs.front(rows)
    plain = {(size, score) for size, score, _ in rows}

    def beaten(point):
        return any(o != point and o[0] <= point[0] and o[1] >= point[1] for o in plain)

    assert set(front) == {point for point in plain if not beaten(point)}
