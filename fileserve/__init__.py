"""fileserve: a download server for folders of large files."""
