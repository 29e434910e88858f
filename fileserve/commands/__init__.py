"""The commands that need more than a page in cli.py, each a group of its own."""
