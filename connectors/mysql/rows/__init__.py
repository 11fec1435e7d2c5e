"""Row events: their tables, and how row images become rows."""
