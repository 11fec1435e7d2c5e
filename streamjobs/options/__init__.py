"""Options of tables and profiles: parsed once, with their units."""
