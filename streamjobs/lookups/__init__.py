"""What a lookup must do and may rely on."""
