"""The alerts of docs/alerts.md, and as much of Prometheus as their expressions need."""

from __future__ import annotations

import itertools
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.house.checkout import ROOT
from tests.integration.waiting import wait_for
from tests.patience import limit_s

PAGE = ROOT / "docs" / "alerts.md"
Labels = frozenset[tuple[str, str]]
Vector = Mapping[Labels, float]
Matchers = Mapping[str, re.Pattern[str]]
_ROW = re.compile(
    r"^\| (?P<name>[A-Z]\w+) \| `(?P<expression>[^`]+)` \| (?P<meaning>[^|]+) \| (?P<cure>[^|]+) \|$"
)
_TERM = re.compile(
    r"(?:(?P<call>increase|absent)\(|(?P<age>time\(\) - ))?(?P<name>[a-z]\w*)(?:\{(?P<labels>[^}]*)\})?"
    r"(?:\[(?P<minutes>\d+)m\])?(?(call)\))(?: offset (?P<offset>\d+)m)?(?: / (?P<divisor>\d+))?"
    r"(?: (?P<operator>>|==) (?P<limit>\d+))?"
)
"""A comparison, or what it compares; `and`, `unless`, `or` and brackets stand between such."""
_LOOK_BACK_S = 300.0
"""For how long a sample counts, as in Prometheus."""
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_EVERY_S = 0.5


@dataclass(frozen=True)
class Alert:
    """A row of the page."""

    name: str
    expression: str


def alerts(section: str) -> dict[str, Alert]:
    """Return the alerts of a section of the page, by name."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| alert |")]
    found = [(line, _ROW.match(line)) for line in rows]
    assert found, section
    assert not [line for line, match in found if match is None]
    return {match["name"]: Alert(match["name"], match["expression"]) for _, match in found if match}


@dataclass(frozen=True)
class Scrape:
    """What all targets answered at one time; a target that does not answer has `up` 0 and nothing else."""

    at_s: float
    samples: Mapping[str, Vector]


class Prometheus:
    """Scrapes `targets` (URL to job) and evaluates alerts.

    `ahead_s` moves its clock: minutes in which nothing happens need not be waited for.
    """

    def __init__(self, targets: Mapping[str, str], section: str) -> None:
        self._targets = targets
        self._history: list[Scrape] = []
        self.alerts = alerts(section)
        self.ahead_s = 0.0
        self.fired: set[str] = set()

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        now_s = time.time() + self.ahead_s
        if not self._history or now_s - self._history[-1].at_s >= _EVERY_S:
            self._history.append(Scrape(now_s, self._scrape()))
        firing = {name for name, alert in self.alerts.items() if self._holds(alert.expression, now_s)}
        self.fired |= firing
        return firing

    def value(self, name: str) -> float:
        """Return the value of the one series of this name, as it was scraped last."""
        (value,) = self._history[-1].samples[name].values()
        return value

    def await_quiet(self, deadline_s: float = 120.0) -> None:
        """Wait until no alert fires."""
        wait_for(lambda: not self.firing(), lambda: f"no alert fires: {self.firing()}", deadline_s)

    def await_alert(self, name: str, deadline_s: float, said: Callable[[], str] = str) -> None:
        """Wait until this alert fires."""
        wait_for(
            lambda: name in self.firing(), lambda: f"{name} fires: {self.firing()}\n{said()}", deadline_s
        )

    def leap(self, seconds: float) -> None:
        """Let so much time pass in which nothing happens; it is scraped after it."""
        self.ahead_s += seconds
        self.firing()
        self.ahead_s += _EVERY_S
        self.firing()

    def _scrape(self) -> Mapping[str, Vector]:
        samples: dict[str, dict[Labels, float]] = {}
        for url, job in self._targets.items():
            target = frozenset({("job", job), ("instance", url)})
            try:
                with urllib.request.urlopen(url, timeout=limit_s(10)) as answer:  # noqa: S310 (loopback)
                    text = answer.read().decode()
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                text = ""
            samples.setdefault("up", {})[target] = float(bool(text))
            for name, labels, value in _parsed(text):
                samples.setdefault(name, {})[target | labels] = value
        return samples

    def _holds(self, expression: str, now_s: float) -> bool:
        found, rest = self._any(expression, now_s)
        assert rest == "", f"not understood: {rest}"
        return bool(found)

    def _any(self, text: str, now_s: float) -> tuple[set[Labels], str]:
        found, text = self._all(text, now_s)
        while text.startswith(" or "):
            more, text = self._all(text.removeprefix(" or "), now_s)
            found |= more
        return found, text

    def _all(self, text: str, now_s: float) -> tuple[set[Labels], str]:
        found, text = self._one(text, now_s)
        while (word := text.partition(" ")[2].partition(" ")[0]) in ("and", "unless"):
            more, text = self._one(text.removeprefix(f" {word} "), now_s)
            found = found & more if word == "and" else found - more
        return found, text

    def _one(self, text: str, now_s: float) -> tuple[set[Labels], str]:
        if text.startswith("("):
            found, rest = self._any(text[1:], now_s)
            assert rest.startswith(")"), f"not understood: {rest}"
            return found, rest[1:]
        match = _TERM.match(text)
        assert match is not None, f"not understood, teach tests/integration/alerts.py: {text}"
        return set(self._term(match, now_s)), text[match.end() :]

    def _term(self, match: re.Match[str], now_s: float) -> Vector:
        name, wanted = match["name"], _matchers(match["labels"] or "")
        if match["call"] == "increase":
            vector = self._increase(name, wanted, now_s - 60 * int(match["minutes"]))
        else:
            vector = self._selected_at(name, wanted, now_s - 60 * int(match["offset"] or 0))
        if match["call"] == "absent":
            return {} if vector else {frozenset(): 1.0}
        scale = float(match["divisor"] or 1)
        values = {labels: value / scale for labels, value in vector.items()}
        if match["age"]:
            values = {labels: now_s - value for labels, value in values.items()}
        if match["limit"] is None:
            return values
        limit, above = float(match["limit"]), match["operator"] == ">"
        return {
            labels: value for labels, value in values.items() if (value > limit if above else value == limit)
        }

    def _selected_at(self, name: str, wanted: Matchers, at_s: float) -> Vector:
        """Return the series as they were scraped last before a time; none when that is too long ago."""
        before = [scrape for scrape in self._history if at_s - _LOOK_BACK_S < scrape.at_s <= at_s]
        return _selected(before[-1], name, wanted) if before else {}

    def _increase(self, name: str, wanted: Matchers, since_s: float) -> Vector:
        window = [_selected(scrape, name, wanted) for scrape in self._history if scrape.at_s > since_s]
        series: dict[Labels, list[float]] = {}
        for vector in window:
            for labels, value in vector.items():
                series.setdefault(labels, []).append(value)
        return {labels: _growth(values) for labels, values in series.items() if len(values) > 1}


def _growth(values: Sequence[float]) -> float:
    """Add up how a counter grew; one that is lower than before has begun anew."""
    steps = itertools.pairwise(values)
    return sum(after - before if after >= before else after for before, after in steps)


def _selected(scrape: Scrape, name: str, wanted: Matchers) -> Vector:
    vector = scrape.samples.get(name, {})
    return {labels: value for labels, value in vector.items() if _fits(dict(labels), wanted)}


def _matchers(text: str) -> Matchers:
    found = _MATCHER.findall(text)
    return {name: re.compile(value if how == "=~" else re.escape(value)) for name, how, value in found}


def _fits(labels: Mapping[str, str], wanted: Matchers) -> bool:
    return all(pattern.fullmatch(labels.get(name, "")) for name, pattern in wanted.items())


def _parsed(text: str) -> Iterator[tuple[str, Labels, float]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = _SAMPLE.match(line)
            assert match is not None, line
            yield match["name"], frozenset(_LABEL.findall(match["labels"] or "")), float(match["value"])
