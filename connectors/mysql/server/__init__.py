"""A running server: sessions, grants, log position, table names."""
