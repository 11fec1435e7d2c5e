"""A running server: sessions, what it grants, where its log stands, what it calls its tables."""
