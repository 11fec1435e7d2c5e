"""A refused line of a SQL file is shown with its place, and without the secrets in it."""

from __future__ import annotations

import pytest

from streamjobs.errors import SqlError


def shown(text: str, at: str) -> list[str]:
    return str(SqlError("no", text, text.index(at), "job.sql")).splitlines()


@pytest.mark.parametrize(
    "given",
    [
        "password='hunter2'",
        "'password' = 'hunter2'",
        "`Password`='hunter2'",
        "pasword='hunter2'",
        "accessKey='hunter2'",
        "'api-key'='hunter2'",
        "'properties.sasl.jaas.config'='hunter2 ''hunter2'' \"hunter2\"'",
        "url='mysql://app:hunter2@db/shop'",
        "password='hunter2",
        "password='first hunter2\n hunter2 second'",
    ],
)
def test_a_secret_in_the_line_is_masked_and_the_caret_stays_under_its_word(given: str) -> None:
    text = f"CREATE TABLE t (a INT) WITH (type='rds', {given}, nonsense='1', userName='w');\nSELECT 1"
    for at in ("nonsense", "type", given[:8]):
        _, line, caret = shown(text, at)
        assert "hunter2" not in line
        if text.count("\n") == 1 and given.endswith("'"):
            assert line[caret.index("^") :].startswith(at)


def test_what_is_no_secret_is_shown_as_it_stands() -> None:
    text = (
        "CREATE TABLE t (a INT) WITH (type='rds', password='${DB_PASSWORD}', url='mysql://db:3306/shop@x');"
    )
    assert shown(text, "type") == ["job.sql:1:30: no", f"  {text}", " " * 31 + "^"]
