"""When the benchmark takes a row for superlinear."""

import pytest

from benchmarks import scaling


def row(ms: float) -> scaling.Row:
    return {"ms": ms, "calls": 1, "writes": 1}


@pytest.mark.parametrize(
    ("before", "after", "is_superlinear"),
    [
        (10.0, 100.0, False),  # as much as there is more
        (10.0, 160.0, True),  # by the power of 1.2
        (10.0, 11.0, False),
        (0.1, 4.0, False),  # too little to tell
        (0.0, 4.0, False),
    ],
)
def test_a_row_is_held_against_the_one_before(
    before: float, after: float, *, is_superlinear: bool
) -> None:
    rows = {"1": row(before), "10": row(after)}
    exponents = scaling.exponents(rows)
    assert exponents["1"] is None
    assert not scaling.is_superlinear(rows["1"], exponents["1"])
    assert scaling.is_superlinear(rows["10"], exponents["10"]) == is_superlinear
