"""What a running capture reports, and what it can be asked for."""
