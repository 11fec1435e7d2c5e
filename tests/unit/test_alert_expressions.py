"""The piece of Prometheus that judges docs/alerts.md finds what the real one would, and guesses nothing."""

from __future__ import annotations

import pytest

from tests.integration.alerts import Prometheus, Scrape, alerts

ONE = frozenset({("job", "a")})


def holds(expression: str, *values: tuple[float, float | None], now_s: float = 1000.0) -> bool:
    """Whether an expression of `m` holds for a series of (time, value); None: it was not there."""
    prometheus = Prometheus({}, "Captures")
    for at_s, value in values:
        samples = {} if value is None else {"m": {ONE: value}}
        prometheus._history.append(Scrape(at_s, samples))
    return prometheus._holds(expression, now_s)


@pytest.mark.parametrize(
    ("expression", "values", "expected"),
    [
        ("m > 5", [(990.0, 9.0), (1000.0, 5.0)], False),
        ("m > 5", [(1000.0, 5.5)], True),
        ("m == 0", [(1000.0, 0.0)], True),
        ("m > 5", [(990.0, 9.0), (1000.0, None)], False),
        ('m{job="a"} > 5', [(1000.0, 9.0)], True),
        ('m{job="b"} > 5', [(1000.0, 9.0)], False),
        ('m{job=~"a|x"} > 5', [(1000.0, 9.0)], True),
        ('m{job=~"aa.*"} > 5', [(1000.0, 9.0)], False),
        ("absent(m)", [(1000.0, None)], True),
        ("absent(m)", [(1000.0, 0.0)], False),
        ("increase(m[5m]) > 2", [(600.0, 0.0), (800.0, 1.0), (1000.0, 3.0)], False),
        ("increase(m[5m]) > 2", [(800.0, 1.0), (1000.0, 4.0)], True),
        ("increase(m[5m]) > 2", [(800.0, 9.0), (900.0, 1.0), (1000.0, 2.0)], False),
        ("increase(m[5m]) > 0", [(1000.0, 4.0)], False),
        ("m > 0 unless m offset 5m", [(1000.0, 4.0)], True),
        ("m > 0 unless m offset 5m", [(690.0, 4.0), (1000.0, 4.0)], False),
        ("increase(m[5m]) > 0 or (m > 0 unless m offset 5m)", [(1000.0, 4.0)], True),
        (
            "increase(m[5m]) > 0 or (m > 0 unless m offset 5m)",
            [(600.0, 4.0), (999.0, 4.0), (1000.0, 4.0)],
            False,
        ),
        ("time() - m / 1000 > 120", [(1000.0, 880_001.0)], False),
        ("time() - m / 1000 > 120", [(1000.0, 879_999.0)], True),
        ("time() - m / 1000 > 120 and m > 0", [(1000.0, -1.0)], False),
    ],
)
def test_an_expression(expression: str, values: list[tuple[float, float | None]], expected: bool) -> None:
    assert holds(expression, *values) is expected


@pytest.mark.parametrize("expression", ["rate(m[5m]) > 0", "m < 5", "m > 5 or", "sum(m) > 1", "(m > 1"])
def test_what_is_not_known_is_not_guessed(expression: str) -> None:
    with pytest.raises(AssertionError, match="not understood"):
        holds(expression, (1000.0, 9.0))


def test_a_row_of_the_page_that_is_no_alert_is_refused() -> None:
    assert alerts("Captures")
    with pytest.raises(AssertionError):
        alerts("Nowhere")
