"""fileserve: a download server for folders of large files."""

from typing import TYPE_CHECKING

__all__ = ["FileResponse"]

if TYPE_CHECKING:
    from fileserve.delivery.responses import FileResponse
else:

    def __getattr__(name: str) -> object:
        """FileResponse, imported when first asked for: `fileserve --help` needs none of it."""
        if name != "FileResponse":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from fileserve.delivery.responses import FileResponse  # noqa: PLC0415 - see above

        return FileResponse
