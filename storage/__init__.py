"""Bytes and names: safe opening, mounts, durable writes; no word of HTTP in here."""
