"""The summary that the demo prints at its end."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from streamjobs.demo.proof import Proof
from streamjobs.demo.scenario import Scenario


def show(console: Console, scenario: Scenario, proof: Proof) -> None:
    """Print the summary: counts, dead letters by reason, speed, the balance line, the comparison."""
    table = Table(title=scenario.output, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("impressions in", f"{proof.line.sent:,}")
    table.add_row("samples out", f"{proof.line.samples:,}")
    share = 100 * proof.positives / max(1, proof.line.samples)
    table.add_row("positives", f"{proof.positives:,} ({share:.1f} %)")
    for (topic, stage, reason), count in sorted(proof.reasons.items()):
        table.add_row(f"dead letters {topic} {stage}: {reason}", f"{count:,}")
    table.add_row("rows sent, all topics", f"{proof.fed.rows:,} in {proof.fed.messages:,} messages")
    table.add_row("rows/s until the last was processed", f"{proof.fed.rows / proof.run_s:,.0f}")
    table.add_row("pending when all was read, before the drain", f"{proof.open_windows.pending:,}")
    console.print(table)
    console.print(
        str(proof.line), style="green" if proof.line.difference == 0 else "bold red", soft_wrap=True
    )
    for name, comparison in (
        (f"table {scenario.output} against the truth", proof.table),
        (f"topic {scenario.output} against the truth", proof.topic),
        ("dead letters against the truth", proof.letters),
    ):
        console.print(f"{name}: {comparison}", style=None if comparison.equal else "red", markup=False)
    if proof.duplicates:
        console.print(f"{proof.duplicates} samples came twice", style="red")


def what_next(console: Console, scenario: Scenario, proof: Proof, *, running: bool) -> None:
    """Print what to type next; `running`: Kafka and Flink keep running."""
    key = next((key for key, row in proof.samples.items() if row[-2] == 1), None)
    lines = [f"streamjobs query {scenario.output} --key {key}"] if key is not None else []
    job = scenario.sql_path.relative_to(scenario.sql_path.parents[2])
    if running:
        lines += ["streamjobs dlq ls", f"streamjobs run {job} --until-idle 5s", "streamjobs dev down"]
    else:
        lines += ["streamjobs demo --keep     # leaves Kafka and Flink running, then:", "streamjobs dlq ls"]
        lines.append(f"streamjobs run {job} --until-idle 5s")
    console.print("\nNext:", style="bold")
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False)
