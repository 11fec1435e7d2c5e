"""A cluster: jobs are submitted to it, watched, drained and cancelled."""
