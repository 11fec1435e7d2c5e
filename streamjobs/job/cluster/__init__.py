"""Submits jobs to a Flink cluster; watches, drains and cancels them."""
