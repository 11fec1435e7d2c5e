"""The configuration of a capture: the file, the settings, the routes."""
