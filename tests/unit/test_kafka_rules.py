"""Properties of Kafka clients in a job's file: only those that are known, and no login module in disguise."""

from __future__ import annotations

import pytest

from tests.unit.test_rules import HOLE, IMP, WRITE, _check, _found


@pytest.mark.parametrize(
    "option",
    [
        "'properties.bootstrap.servers'='evil:9092'",
        "'properties.interceptor.classes'='x.Y'",
        "'properties.sasl.oauthbearer.token.endpoint.url'='file:///etc/passwd'",
        "'properties.sasl.jaas.config'='com.sun.security.auth.module.JndiLoginModule required;'",
        "'properties.sasl.jaas.config'='org.apache.kafka.common.security.plain.PlainLoginModule required; "
        "com.sun.security.auth.module.JndiLoginModule required;'",
    ],
)
@pytest.mark.parametrize("kind", ["type='kafka', topic='x', format='json'", "'connector'='kafka'"])
def test_kafka_properties_are_a_list(option: str, kind: str) -> None:
    text = f"{IMP}CREATE TABLE hole (id BIGINT) WITH ({kind}, {option});\n{WRITE}"
    own = "connector" in kind and "bootstrap" in option
    assert [code for code, _ in _found(text)] == ([] if own else ["kafka-property"])


def test_a_secret_property_is_never_shown() -> None:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    jaas = f'{module} required username="u" password="${{PASSWORD}}";'
    table = f"WITH (type='kafka', topic='x', format='json', 'properties.sasl.jaas.config'='{jaas}')"
    checked = _check(f"{IMP}CREATE TABLE hole (id BIGINT) {table};\n{WRITE}")
    assert checked.findings == ()
    assert "hidden" not in repr(checked)


@pytest.mark.parametrize(
    ("login", "told"),
    [
        ('username="u" password="a\\"b\\\\"', []),
        ('username="u" password="a;b"', []),
        # what Java reads on after a quote behind a backslash: another login module
        ('username="\\" password="; com.evil.Module required x="\\"', ["kafka-property"]),
        ('username="\\" x=";com.evil.Module required y="', ["kafka-property"]),
    ],
)
def test_a_password_may_have_quotes_and_a_second_module_hides_behind_none(
    login: str, told: list[str]
) -> None:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    options = f"'connector'='kafka', 'properties.sasl.jaas.config'='{module} required {login};'"
    found = _found(f"CREATE TABLE k (a BIGINT) WITH ({options});{HOLE}INSERT INTO hole SELECT a FROM k;")
    assert [code for code, _ in found] == told
