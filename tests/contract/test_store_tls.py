"""MySQL and Redis behind TLS: the named authority is trusted, any other refused at once; no dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from streamjobs.errors import ConfigError, SystemicError
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions
from streamjobs.local.ports import PortLease
from streamjobs.local.redis import RedisOptions
from streamjobs.metrics import MemoryMetrics
from streamjobs.sinks.contract import SinkTable
from tests.contract.delivering import Letters, delivering, delivery_to
from tests.contract.store_elasticsearch import self_signed
from tests.contract.store_mysql import MySql
from tests.contract.store_redis import PASSWORD, RedisTexts
from tests.contract.stores import ServerStore, attempt, row, upsert
from tests.patience import limit_s

pytestmark = pytest.mark.services
AT_ONCE_S = 10.0


@dataclass(frozen=True)
class Keys:
    """Certificates for 127.0.0.1, each its own authority: the server's, a client's, a stranger's."""

    server: tuple[Path, Path]
    client: tuple[Path, Path]
    stranger: tuple[Path, Path]


def keys(root: Path) -> Keys:
    made = []
    for name in ("server", "client", "stranger"):
        (root / name).mkdir()
        made.append(self_signed(root / name))
    return Keys(*made)


@dataclass(frozen=True)
class Secured:
    """A store, its certificates, and the options that lead to its encrypted port."""

    store: ServerStore
    keys: Keys
    options: Mapping[str, str]

    def table(self, **options: str) -> SinkTable:
        plain = self.store.table()
        return replace(plain, options={**plain.options, **self.options, **options})


class SecuredMySql(MySql):
    def __init__(self, root: Path, made: Keys) -> None:
        super().__init__(root)
        files = {"ssl-cert": made.server[0], "ssl-key": made.server[1], "ssl-ca": made.client[0]}
        settings = {name: str(file) for name, file in files.items()}
        self.environment = Environment(
            root / "env", kafka=False, flink=False, mariadb=MariaDbOptions(settings=settings)
        )

    def start(self) -> None:
        super().start()
        self.sql("ALTER USER writer@'127.0.0.1' REQUIRE SSL")


class SecuredRedis(RedisTexts):
    def __init__(self, root: Path, made: Keys, port: int) -> None:
        super().__init__(root)
        settings = {
            "tls-port": str(port), "tls-cert-file": str(made.server[0]), "tls-key-file": str(made.server[1]),
            "tls-ca-cert-file": str(made.client[0]), "tls-auth-clients": "optional",
        }  # fmt: skip
        self.environment = Environment(
            root / "env", kafka=False, flink=False, redis=RedisOptions(password=PASSWORD, settings=settings)
        )


@pytest.fixture(scope="module", params=["mysql", "redis"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    root, lease = tmp_path_factory.mktemp(f"tls-{request.param}"), PortLease()
    made, port = keys(root), lease.take()
    store: ServerStore = (
        SecuredMySql(root, made) if request.param == "mysql" else SecuredRedis(root, made, port)
    )
    try:
        store.start()
        yield Secured(store, made, {} if request.param == "mysql" else {"port": str(port)})
    finally:
        store.stop()
        lease.close()


def refusal(secured: Secured, table: SinkTable) -> str:
    """What a delivery that is opened says; it must say it at once, and ask no second time."""
    letters, metrics, started = Letters(), MemoryMetrics(), time.monotonic()
    delivery = delivery_to(secured.store, table, attempt(), letters, metrics)
    with pytest.raises(SystemicError) as caught:
        delivery.open()
    delivery.close()
    assert time.monotonic() - started < limit_s(AT_ONCE_S)
    assert (letters.kept, metrics.counts()) == ([], {})
    return str(caught.value)


def test_the_authority_that_is_named_is_trusted(secured: Secured) -> None:
    table = secured.table(tls="true", tlsCa=str(secured.keys.server[0]))
    with delivering(secured.store, table) as (delivery, letters):
        delivery.write([upsert(1, name="ü"), upsert(2)])
    assert letters.kept == []
    assert secured.store.rows(table) == {(1,): row(1, name="ü"), (2,): row(2)}


def test_a_client_may_show_a_certificate_of_its_own(secured: Secured) -> None:
    certificate, key = secured.keys.client
    table = secured.table(
        tls="true", tlsCa=str(secured.keys.server[0]), tlsCert=str(certificate), tlsKey=str(key)
    )
    with delivering(secured.store, table) as (delivery, _):
        delivery.write([upsert(1)])
    assert secured.store.rows(table) == {(1,): row(1)}


def test_a_server_that_no_named_authority_vouches_for_is_refused_at_once(secured: Secured) -> None:
    stranger = str(secured.keys.stranger[0])
    assert "certificate verify failed" in refusal(secured, secured.table(tls="true", tlsCa=stranger))
    assert "certificate verify failed" in refusal(secured, secured.table(tls="true"))


def test_a_certificate_for_another_name_is_refused_at_once(secured: Secured) -> None:
    named = secured.table(tls="true", tlsCa=str(secured.keys.server[0]))
    options = {
        key: text.replace("127.0.0.1", "localhost") if isinstance(text, str) else text
        for key, text in named.options.items()
    }
    told = refusal(secured, replace(named, options=options))
    assert "certificate verify failed" in told
    assert "localhost" in told


def test_a_certificate_file_that_is_not_there_is_told(secured: Secured) -> None:
    sink = secured.store.sink(secured.table(tls="true", tlsCa="/nowhere/ca.pem"))
    with pytest.raises(ConfigError, match="cannot read the certificates that 'tlsCa'"):
        sink.open(attempt())
    sink.close()


def test_verification_can_be_left_out_aloud(secured: Secured) -> None:
    table = secured.table(tlsInsecure="true")
    with delivering(secured.store, table) as (delivery, _):
        delivery.write([upsert(1)])
    assert secured.store.rows(table) == {(1,): row(1)}
