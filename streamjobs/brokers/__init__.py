"""What a broker must do and may rely on."""
