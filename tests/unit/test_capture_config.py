"""Capture's configuration: read whole, every mistake named, secrets never shown."""

from __future__ import annotations

import pytest

from streamjobs.capture.config.file import parse_config
from streamjobs.capture.config.routes import Route, Routes, take
from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError

MINIMAL = """
[source]
name = "shop"
url = "mysql://capture@db1:3307"
password = "${DB_PASSWORD}"
[broker]
bootstrap = "127.0.0.1:9092"
[[tables]]
match = "shop.*"
"""
ENV = {"DB_PASSWORD": "hunter2"}


def refusal(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.toml", ENV)
    return str(caught.value).splitlines()


def test_a_short_file_has_sensible_defaults() -> None:
    config = parse_config(MINIMAL, "c.toml", ENV)
    assert (config.server.host, config.server.port, config.server.user) == ("db1", 3307, "capture")
    assert config.server.password.reveal() == "hunter2"
    assert "hunter2" not in repr(config)
    assert config.server.tls
    assert config.snapshot_first
    assert config.routes[0].topic_of(TableId("shop", "item")) == "shop.item"
    assert config.ddl["add_column"] == "evolve"
    assert config.ddl["unknown"] == "fail"


def test_every_mistake_is_named_in_one_go() -> None:
    text = MINIMAL.replace('name = "shop"', 'nam = "shop"').replace("match", "mach") + "[sourse]\n"
    assert [line.partition("; the")[0] for line in refusal(text)] == [
        "c.toml: unknown section 'sourse', did you mean 'source'?",
        "c.toml: [source]: unknown option 'nam', did you mean 'name'?",
        "c.toml: [source]: option 'name' is missing: name of this source in messages, offsets and metrics",
        "c.toml: [[tables]] 1: unknown option 'mach', did you mean 'match'?",
        "c.toml: [[tables]] 1: option 'match' is missing: database.table; * matches any characters",
    ]


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="the environment variable DB_PASSWORD is not set"):
        parse_config(MINIMAL, "c.toml", {})


@pytest.mark.parametrize(
    ("section", "key"),
    [("source", "password"), ("source", "Password"), ("source", "PASSWORD"), ("broker", "password")],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(section: str, key: str) -> None:
    text = MINIMAL.replace('password = "${DB_PASSWORD}"\n', "").replace(
        f"[{section}]", f'[{section}]\n{key} = "hunter2"'
    )
    assert refusal(text) == [
        f'c.toml: [{section}]: option {key!r}: a file is no place for a secret: write "${{NAME}}", and set '
        "NAME"
    ]


def test_an_empty_password_is_no_secret() -> None:
    text = MINIMAL.replace('password = "${DB_PASSWORD}"', 'password = ""')
    assert parse_config(text, "c.toml", {}).server.password.reveal() == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mysql://capture@db1:3307", "mysql://capture:pw@db1", "no password in the url"),
        ("mysql://capture@db1:3307", "postgres://capture@db1", "url is mysql://user@host:port"),
        ('match = "shop.*"', 'match = "shop"', "'shop' is not a pattern of tables"),
        ('match = "shop.*"', 'match = "shop.*"\ntopic = "a b"', "a topic is made of"),
        ('name = "shop"', 'name = "shop/1"', "name 'shop/1' is made of"),
        ('name = "shop"', 'name = "shop"\ntls = "verify_ca"', "verify_ca needs tls_ca_file"),
    ],
)
def test_illegal_values_are_refused(old: str, new: str, message: str) -> None:
    assert any(message in line for line in refusal(MINIMAL.replace(old, new)))


@pytest.mark.parametrize(
    ("lines", "tls", "check_host"),
    [
        ("", True, True),
        ('tls = "verify_ca"\ntls_ca_file = "/ca.pem"', True, False),
        ('tls = "off"', False, False),
    ],
)
def test_certificates_are_checked_as_told(lines: str, tls: bool, check_host: bool) -> None:
    server = parse_config(MINIMAL.replace("[source]", f"[source]\n{lines}"), "c.toml", ENV).server
    assert (server.tls, server.check_host) == (tls, check_host)


def test_the_first_route_that_takes_a_table_is_its_route() -> None:
    routes = Routes(
        [
            Route.made("shop.order*", exclude=("shop.order_tmp*",), topic="orders"),
            Route.made("*.*", topic="{database}-{table}"),
        ]
    )

    def topic(database: str, table: str) -> str | None:
        found = routes.of(TableId(database, table))
        return found.topic_of(TableId(database, table)) if found else None

    assert topic("shop", "order_line") == "orders"
    assert topic("shop", "order_tmp1") == "shop-order_tmp1"
    assert topic("a", "b$c d") == "a-b_c_d"
    assert topic("mysql", "user") is None


def test_a_database_with_a_dot_is_refused_until_it_is_excluded() -> None:
    table = TableId("my.db", "t")
    routes = Routes([Route.made("*.*")])
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"my\.db\.t may mean two tables.*exclude = \"my\?db\.\*\""):
            routes(table)
    assert not Routes([Route.made("*.*", exclude=("my?db.*",))])(table)


def test_what_routes_took_can_be_asked_later() -> None:
    given = (Route.made("shop.order*", exclude=("shop.order_tmp*", "shop.order_x")), Route.made("other.One"))
    routes = Routes(given)
    assert routes.patterns == (("shop.order*", "shop.order_tmp*", "shop.order_x"), ("other.One",))
    names = ("shop.orders", "shop.order_tmp1", "shop.order_x", "other.One", "other.one")
    tables = [TableId(*name.split(".")) for name in names]
    assert [take(routes.patterns, table) for table in tables] == [True, False, False, True, False]
    assert routes.named == [TableId("other", "One")]
