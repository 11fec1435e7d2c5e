"""The SQL that jobs are written in: Flink SQL with Blink's habits."""
