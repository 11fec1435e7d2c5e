"""Checks of a job's plan, which refuse queries that would lose rows or leave stale ones."""
