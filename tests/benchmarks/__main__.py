"""`make bench`: speed and memory against Flink's own connectors, in one run and on the same rows.

    make bench                 all of it: about an hour
    make bench QUICK=1         small sizes, a smoke test: its figures mean little
    make bench ONLY=codec,binlog,capture,parse,samples,sinks,query,planner,demo

It prints a table; the raw figures go to docs/benchmarks/<date>-<commit>[-<parts>].json (not with QUICK).
Compare ratios; if other programs run, compare CPU seconds per million rows.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions
from tests.benchmarks import (
    binlog,
    capture,
    codec,
    demo,
    meter,
    parse,
    planner,
    query,
    samples,
    sink_stores,
    sinks,
)

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("codec", "binlog", "capture", "parse", "samples", "sinks", "query", "planner", "demo")


@dataclass(frozen=True)
class Sizes:
    """The sizes of all parts."""

    codec_rows: int = 200_000
    binlog_rows: int = 100_000
    capture_rows: int = 400_000
    huge_rows: int = 1_000_000
    parse_rows: int = 4_000_000
    parallelisms: tuple[int, ...] = (1, 2)
    impressions: int = 240_000
    sink_rows: int = 400_000
    query_rows: int = 400_000
    demo_impressions: int = 20_000
    rounds: int = 3
    warm: int = 1


QUICK = Sizes(
    20_000, 10_000, 20_000, 20_000, 200_000, (2,), 20_000, 20_000, 20_000, 2_000, rounds=1, warm=0
)  # fmt: skip


def main() -> int:
    """Run the chosen parts."""
    quick = bool(os.environ.get("QUICK"))
    only = [part for part in os.environ.get("ONLY", "").split(",") if part] or PARTS
    if unknown := set(only) - set(PARTS):
        print(f"ONLY={','.join(unknown)}: the parts are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    sizes = QUICK if quick else Sizes()
    figures: dict[str, Any] = {"machine": _machine(), "sizes": asdict(sizes)}
    lines: list[str] = []
    if "codec" in only:
        lines += _codec(sizes, figures)
    if "binlog" in only:
        lines += _binlog(sizes, figures)
    if "capture" in only:
        lines += _capture(sizes, figures)
    if "planner" in only:
        lines += _planner(sizes, figures)
    if "demo" in only:
        lines += _demo(sizes, figures)
    if "sinks" in only:
        lines += _sinks(sizes, figures)
    if "query" in only:
        lines += _query(sizes, figures)
    if "parse" in only or "samples" in only:
        with tempfile.TemporaryDirectory(prefix="streamjobs-bench-") as directory:
            settings = {"metrics.fetcher.update-interval": "100"}
            with Environment(Path(directory) / "services", slots=2, flink_settings=settings) as environment:
                if "parse" in only:
                    lines += _parse(environment, Path(directory), sizes, figures)
                if "samples" in only:
                    lines += _samples(environment, Path(directory), sizes, figures)
    print("\n" + "\n".join(lines))
    if not quick:
        print(f"\nraw figures: {_keep(figures, only).relative_to(ROOT)}")
    return 0


def _codec(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print("codec", flush=True)
    runs = codec.measure(sizes.codec_rows, sizes.rounds)
    figures["codec"] = [asdict(run) for run in runs]
    best = sorted(runs, key=lambda run: run.parse)[len(runs) // 2]
    return [
        "(a) codec, one core, 10 columns               rows/s",
        f"    MessageBuilder add and flush          {best.encode:>10,.0f}   {best.bytes_per_row} bytes a row",
        f"    decode_body                           {best.decode_body:>10,.0f}",
        f"    decode_body and convert (the parser)  {best.parse:>10,.0f}",
    ]


def _binlog(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print(f"binlog: writing {sizes.binlog_rows:,} rows", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="streamjobs-bench-") as directory,
        Environment(Path(directory), kafka=False, flink=False, mariadb=True) as environment,
    ):
        runs = binlog.BinlogBench(environment.mariadb, sizes.binlog_rows).alternate(sizes.rounds)
    figures["binlog"] = [asdict(run) for run in runs]
    ours, peer = (
        sorted(run.rows_per_cpu_s for run in runs if run.side == side)[sizes.rounds // 2]
        for side in (binlog.OURS, binlog.PEER)
    )
    return [
        "(e) a live binlog, 10 mixed columns           rows per CPU second",
        f"    {binlog.OURS:<38}{ours:>10,.0f}",
        f"    {binlog.PEER:<38}{peer:>10,.0f}",
        f"    ratio                                 {ours / peer:>10.1f}",
    ]


def _capture(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print(f"capture: {sizes.capture_rows:,} rows, {sizes.huge_rows:,} in one transaction", flush=True)
    server = MariaDbOptions(settings={"innodb-log-file-size": "256M"})
    with tempfile.TemporaryDirectory(prefix="streamjobs-bench-") as directory:
        home = Path(directory)
        with Environment(home / "services", flink=False, mariadb=server) as environment:
            bench = capture.CaptureBench(environment, home)
            runs = bench.alternate(sizes.capture_rows, sizes.rounds)
            huge = bench.huge(sizes.huge_rows)
    figures["capture"] = {"runs": [asdict(run) for run in runs], "huge": asdict(huge)}
    middle = sorted(runs, key=lambda run: run.rows_per_cpu_s)[len(runs) // 2]
    return [
        "(f) binlog -> Thrift -> Kafka, acknowledged   rows/s   rows per CPU second",
        f"    one process, 10 mixed columns         {middle.rows_per_s:>10,}   {middle.rows_per_cpu_s:,}",
        f"    one UPDATE of {huge.rows:,} rows, {huge.log_mb:,} MiB of log: {huge.seconds:.0f} s, "
        f"peak memory {huge.peak_mb} MiB ({huge.before_mb} before)",
    ]


def _sinks(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    lines = ["(g) sinks, 10 mixed columns, one writer        rows/s   (CPU s of the writer per 1M rows)"]
    figures["sinks"] = []
    for stores in sink_stores.STORES:
        with (
            tempfile.TemporaryDirectory(prefix="streamjobs-bench-") as directory,
            sinks.environment(Path(directory), stores) as environment,
        ):
            for store in stores:
                bench = sinks.SinkBench(store(environment, Path(directory)), sizes.sink_rows)
                print(f"sinks: {store.name}, {bench.count:,} rows a run", flush=True)
                runs = bench.alternate(sizes.rounds, sizes.warm)
                figures["sinks"] += [asdict(run) for run in runs]
                lines += _sink_lines(store.name, runs)
    return lines


def _sink_lines(store: str, runs: Sequence[sinks.SinkRun]) -> list[str]:
    """Return a line per side: its median, also as a share of the loop's, which is the first side."""
    middle = []
    for side in sinks.SIDES:
        own = sorted((run for run in runs if run.side == side), key=lambda run: run.rows_per_s)
        middle.append(own[len(own) // 2])
    return [
        f"    {f'{store}, {run.side}':<40}{run.rows_per_s:>8,}   {run.rows_per_s / middle[0].rows_per_s:.2f} "
        f"of the loop   ({run.cpu_s_per_million:.1f})"
        for run in middle
    ]


def _query(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print(f"query: writing {sizes.query_rows:,} rows", flush=True)
    with tempfile.TemporaryDirectory(prefix="streamjobs-bench-") as directory:
        runs = query.QueryBench(Path(directory), sizes.query_rows).alternate(sizes.rounds)
    figures["query"] = [asdict(run) for run in runs]
    middle = {
        side: sorted(run.rows_per_cpu_s for run in runs if run.side == side)[sizes.rounds // 2]
        for side in query.SIDES
    }
    lines = ["(i) `streamjobs query`, 10 mixed columns       rows per CPU second"]
    for side, rate in middle.items():
        lines.append(f"    {side:<38}{rate:>10,}   {rate / middle[query.BY_HAND]:.2f} of the loop by hand")
    return lines


def _parse(environment: Environment, directory: Path, sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print(f"parse: writing {sizes.parse_rows:,} rows, twice", flush=True)
    bench = parse.ParseBench(environment, directory, sizes.parse_rows)
    bench.fill()
    lines = ["(b) Kafka -> parse -> blackhole               rows/s   CPU s per 1M rows"]
    figures["parse"] = []
    for parallelism in sizes.parallelisms:
        runs = bench.alternate(parallelism, sizes.rounds, sizes.warm)
        figures["parse"] += [asdict(run) for run in runs]
        lines += _compare([(run.side, run.rate) for run in runs], f"parallelism {parallelism}")
    return lines


def _samples(environment: Environment, directory: Path, sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print(f"samples: writing {sizes.impressions:,} impressions, twice", flush=True)
    bench = samples.SampleBench(environment, directory, sizes.impressions)
    bench.fill()
    parallelism = max(sizes.parallelisms)
    runs = bench.alternate(parallelism, sizes.rounds, sizes.warm)
    figures["samples"] = [asdict(run) for run in runs]
    return [
        "(c) sample job, RocksDB state                 samples/s   CPU s per 1M samples",
        *_compare([(run.side, run.rate) for run in runs], f"parallelism {parallelism}"),
    ]


def _compare(runs: Sequence[tuple[str, meter.Rate]], label: str) -> list[str]:
    """Return a line per side and one for the ratios, all of medians; the first side is ours."""
    sides = list(dict.fromkeys(side for side, _ in runs))
    ours, peer = (meter.median([rate for side, rate in runs if side == name]) for name in sides)
    lines = []
    for side, rate in zip(sides, (ours, peer), strict=True):
        parts = " + ".join(
            f"{kind} {spent:.2f}" for kind, spent in rate.cpu_s_per_million.items() if spent >= 0.01
        )
        lines.append(f"    {label}, {side:<24} {rate.rows_per_s:>10,.0f}   {rate.cpu:.2f} ({parts})")
    lines.append(
        f"    {label}, ratio                    {ours.rows_per_s / peer.rows_per_s:>10.2f}   "
        f"{peer.cpu / ours.cpu:.2f} by CPU"
    )
    return lines


def _demo(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print("demo", flush=True)
    run = demo.measure(sizes.demo_impressions)
    figures["demo"] = asdict(run)
    parts = ", ".join(f"{name} {size:.0f}" for name, size in run.parts_mb.items())
    return [
        f"    demo, {sizes.demo_impressions:,} impressions: {run.seconds:.0f} s, exit {run.exit_status}, "
        f"peak memory {run.peak_mb:,.0f} MiB ({parts})",
    ]


def _planner(sizes: Sizes, figures: dict[str, Any]) -> list[str]:
    print("planner", flush=True)
    runs = planner.measure(sizes.rounds)
    figures["planner"] = [asdict(run) for run in runs]
    lines = ["(h) seconds that a person waits              --explain   run, until all tasks run"]
    for side in (planner.NEW, planner.WARM):
        explains, starts = (
            sorted(getattr(run, name) for run in runs if run.side == side) for name in ("explain_s", "run_s")
        )
        middle = len(explains) // 2
        lines.append(f"    {side:<38}{explains[middle]:>12.1f}   {starts[middle]:.1f}")
    return lines


def _machine() -> dict[str, Any]:
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _keep(figures: dict[str, Any], only: Sequence[str]) -> Path:
    parts = "" if set(only) == set(PARTS) else "-" + "-".join(only)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    path = ROOT / "docs" / "benchmarks" / f"{day}-{figures['machine']['commit'] or 'unknown'}{parts}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
