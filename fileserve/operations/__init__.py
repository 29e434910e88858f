"""What the admin sees of a running server."""
