"""Snapshots of tables inside the running stream, and the rows that they find to be gone."""
