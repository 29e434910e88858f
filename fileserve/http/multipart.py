"""The framing between the spans of a multipart/byteranges body (RFC 9110 section 14.6)."""

from fileserve.http.ranges import Span, content_range


def content_type(boundary: str) -> str:
    """The Content-Type of the whole answer, which is never the file's own (section 15.3.7.2).

    boundary must be a token of at most 70 characters: then it needs no quotes, which some
    clients take for a part of it.
    """
    return f"multipart/byteranges; boundary={boundary}"


def part_head(boundary: str, span: Span, complete_length: int, media_type: str) -> bytes:
    """Everything before the bytes of one part.

    The leading CRLF belongs to the delimiter, and before the first one it is allowed (14.6:
    "additional CRLFs might precede the first boundary"), so that all parts look the same.
    """
    return (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: {media_type}\r\n"
        f"Content-Range: {content_range(span, complete_length)}\r\n"
        "\r\n"
    ).encode("latin-1")


def closing(boundary: str) -> bytes:
    """Everything after the bytes of the last part."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")
