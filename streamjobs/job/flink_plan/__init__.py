"""Reads Flink's optimized plan as plain data."""
