"""Places of generated SQL in the job's file, as Flink counts lines and columns."""

from __future__ import annotations

import pytest

from streamjobs.job.plan.written import copied, joined, standing_for

FILE = "INSERT INTO r\nSELECT '😀', a,\n  d.b FROM t JOIN d ON d.a = t.a\nWHERE c"
START = FILE.index("SELECT")
JOIN = FILE.index("d ON")
REST = FILE.index("\nWHERE")
WRITTEN = joined(
    [
        copied(FILE[START:JOIN], START),
        standing_for("UNNEST(\n f(t.a)) AS d ON TRUE", JOIN),
        copied(FILE[REST:], REST),
    ]
).inside("INSERT INTO `done`\n", "\nON CONFLICT DO NOTHING")


@pytest.mark.parametrize(
    ("line", "column", "piece"),
    [
        (2, 1, "SELECT"),
        (2, 8, "'😀'"),
        (2, 14, "a,"),  # an emoji is two of Java's characters
        (3, 3, "d.b"),
        (3, 21, "d ON"),
        (4, 2, "d ON"),
        (5, 7, "c"),
        (1, 3, "SELECT"),
        (6, 4, "SELECT"),
        (99, 1, "SELECT"),
    ],
)
def test_a_place_of_flinks_is_one_in_the_file(line: int, column: int, piece: str) -> None:
    place = WRITTEN.place(line, column)
    assert FILE[place:].startswith(piece), FILE[place:]


def test_what_is_put_together_is_one_text() -> None:
    assert WRITTEN.sql == (
        "INSERT INTO `done`\nSELECT '😀', a,\n  d.b FROM t JOIN UNNEST(\n f(t.a)) AS d ON TRUE\nWHERE c"
        "\nON CONFLICT DO NOTHING"
    )
