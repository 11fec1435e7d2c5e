"""The code that runs in Flink's Python workers, and the zip that brings it there."""
