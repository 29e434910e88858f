"""How a folder becomes one archive: every byte of it laid out before the first is sent (pure)."""
