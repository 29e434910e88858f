"""What a URL means."""
