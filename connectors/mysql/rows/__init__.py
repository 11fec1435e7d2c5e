"""Row events: which table they are of, and how their images become rows."""
