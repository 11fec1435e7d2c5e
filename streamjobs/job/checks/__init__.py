"""Checks of a job's plan: what would lose rows, or leave some behind, is refused."""
