import pytest

from disputes.report.figures import odds, share


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.001, "1 in 1,000"),
        (0.03, "about 1 in 33"),
        (1 / 3628800, "1 in 3,628,800"),
        (1.1e-36, "about 1 in 9.09 × 10³⁵"),
        (1e-300, "about 1 in 1 × 10³⁰⁰"),
    ],
)
def test_odds_stay_readable_however_small(value, said):
    assert odds(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(None, "–"), (0.05, "0.05"), (0.0, "0"), (2.756e-7, "2.76 × 10⁻⁷")]
)
def test_small_probabilities_are_written_as_powers(value, said):
    assert share(value) == said
