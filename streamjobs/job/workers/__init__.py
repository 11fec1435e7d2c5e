"""What runs inside Flink's Python workers, and how it gets there."""
