"""Snapshots of tables, read in chunks; each chunk belongs to one exact log position."""
