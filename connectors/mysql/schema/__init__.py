"""Tables as the server declares them, and what statements do to them."""
