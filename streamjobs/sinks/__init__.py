"""What a sink must do and may rely on."""
