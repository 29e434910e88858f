"""Signed links: what they say, and whether they are genuine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """The terms of a signed link.

    segments: the file or folder it is for; is_folder: then everything below it, too.
    expires_at: seconds since 1970; rate: bytes per second; address: the only client's.
    """

    link_id: str
    segments: tuple[bytes, ...]
    is_folder: bool
    expires_at: int | None = None
    downloads: int | None = None
    rate: int | None = None
    address: str | None = None
    is_attachment: bool = False
