"""item_wide.sql behind a live capture: one MariaDB that is source and store, and how all ends equal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.mysql.server.log_position import mysql_place
from streamjobs.local.environment import Environment
from streamjobs.local.flink_config import SHORT_LIVED, TaskManagerSize
from tests.acceptance.wide_arena import WideArena, password_known, services_of
from tests.acceptance.wide_database import BATCH_JOIN, TABLES, ShopSize, filling
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig
from tests.integration.capture_writers import Writers
from tests.integration.given_server import login_of_url
from tests.integration.waiting import pause, wait_for
from tests.patience import limit_s

_ROUTES = "".join(f'[[tables]]\nmatch = "shop.{name}"\n' for name in ("item", "shop", "schedule"))


class Scene:
    """One server that is source and store, its capture, and the job."""

    def __init__(self, environment: Environment, root: Path, search_url: str | None) -> None:
        self.environment = environment
        login = login_of_url(environment.mariadb.url)
        self.rig = Rig(environment.kafka.bootstrap, login, root, environment=environment)
        self.arena = WideArena(services_of(environment, search_url), root, database="report")
        self.capture: CaptureFile = self.rig.configure("shop", _ROUTES)

    def prepare(self, size: ShopSize, chance: random.Random) -> None:
        """Fill the tables, and make that of the report; a snapshot shall take some seconds."""
        slow = f"chunk_rows = {size.items // 12}\nmax_rows_per_second = {size.items // 3}\n"
        self.capture = self.rig.configure("shop", _ROUTES, snapshot=slow)
        self.arena.execute(*TABLES, *filling(size, chance))
        self.arena.prepare_report()

    def kill_capture_in_its_snapshot(self) -> None:
        """Kill it when some rows have been sent, and let it go on."""
        self.capture.start_process()
        wait_for(self._has_sent_some, f"rows of the snapshot are sent: {self.capture.log()}", 60.0)
        self.capture.kill()
        self.capture.start_process()

    def _has_sent_some(self) -> bool:
        assert not self.capture.ended(), self.capture.log()
        return int((self.capture.status() or {}).get("snapshot_rows", 0)) > 0

    def kill_streaming_capture(self, chance: random.Random) -> None:
        """Kill it at some moment within the next second, and let it go on."""
        self.capture.streaming()
        pause(chance.random())
        self.capture.kill()
        self.capture.start_process()

    def purge_the_log(self, writers: Writers) -> None:
        """Let the server drop what the capture has not read; it refuses, and reads everything again."""
        self.capture.kill()
        seen = writers.committed
        wait_for(lambda: writers.committed > seen + 50, "changes that nobody reads")
        with self.rig.session() as session:
            session.execute("FLUSH BINARY LOGS")
            newest = mysql_place(session).place.file

            def purged() -> bool:  # not before the server has missed the killed reader
                session.execute(f"PURGE BINARY LOGS TO '{newest}'")
                return len(session.named("SHOW BINARY LOGS")) == 1

            wait_for(purged, "the old logs are gone")
        assert self.capture.start_process().wait() == 1, self.capture.log()
        assert "streamjobs capture run --resnapshot" in self.capture.log()
        self.capture.start_process(resnapshot=True)

    def await_rows(self, count: int) -> None:
        """Wait until both stores have so many rows."""
        wait_for(
            lambda: len(self.arena.report()) > count and len(self.arena.search()) > count,
            f"{count} rows in both stores",
            240,
        )

    def truth(self) -> dict[int, dict[str, object]]:
        return self.arena.select(BATCH_JOIN)

    def settle(self, writers: Writers) -> dict[int, dict[str, object]]:
        """Let the writers rest and everything arrive; gives what both stores then hold: the server's join."""
        writers.stop()
        self.rig.caught_up(self.capture, 300.0)
        truth = self.truth()
        wait_for(lambda: self.holds(truth), "both stores equal the server's own join", 600)
        return truth

    def holds(self, truth: dict[int, dict[str, object]]) -> bool:
        """Whether both stores show exactly these rows."""
        return self.arena.report() == truth and self.arena.search() == truth


@contextmanager
def captured_scene(root: Path, search_url: str | None = None) -> Iterator[Scene]:
    """A scene on services of its own, but for the search node at `search_url`; its files below `root`."""
    with (
        password_known(),
        Environment(
            root / "env",
            slots=2,
            mariadb=True,
            elasticsearch=search_url is None,
            taskmanager_size=TaskManagerSize(java_options=SHORT_LIVED),
            deadline_s=limit_s(180),
        ) as environment,
    ):
        made = Scene(environment, root, search_url)
        try:
            yield made
        finally:
            made.capture.close()
