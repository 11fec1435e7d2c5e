"""Table definitions as the server declares them, and how statements change them."""
