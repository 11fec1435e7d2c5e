"""Makes the printable plan of a job from its SQL file, without a network."""
