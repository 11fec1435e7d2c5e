"""Snapshots of tables inside the running stream, and deletes for orphan rows."""
