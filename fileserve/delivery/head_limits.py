"""How long a head may be, and what is wrong with one before it is parsed or even whole (pure)."""

import re
from dataclasses import dataclass

from fileserve.http.request_head import Refusal
from fileserve.http.request_line import may_become_a_request, prepare_request_line

_BARE_LF = re.compile(rb"(?<!\r)\n")
# Method, version and spaces of a request line; no known method has more than 17 characters.
_REQUEST_LINE_OVERHEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """The limits of one head: of all its field lines, and of its target."""

    max_header_bytes: int
    max_target_bytes: int

    def judge_beginning(self, beginning: bytes, known: int) -> Refusal | None:
        """Say why no good head can come of its beginning, of which ``known`` bytes were judged."""
        line_end = beginning.find(b"\n") + 1
        if not line_end:
            return self._judge_line_beginning(beginning)
        if line_end > known:
            prepared = prepare_request_line(beginning[:line_end])
            if isinstance(prepared, Refusal):
                return prepared
        if len(beginning) - line_end > self.max_header_bytes:
            return self.fields_refusal()
        if _BARE_LF.search(beginning, max(known - 1, 0)) is not None:
            return malformed("a line does not end in CR and LF")
        return None

    def _judge_line_beginning(self, beginning: bytes) -> Refusal | None:
        if len(beginning) > self.max_target_bytes + _REQUEST_LINE_OVERHEAD_BYTES:
            return self.target_refusal()
        if beginning not in (b"", b"\r") and not may_become_a_request(beginning):
            return malformed("it does not begin with a method")
        return None

    def prepare(self, head: bytes) -> bytes | Refusal:
        """Return a whole head in the form that strict parsers read, or a refusal."""
        line_end = head.find(b"\n") + 1
        line = head[:line_end]
        prepared = prepare_request_line(line)
        if isinstance(prepared, Refusal):
            return prepared
        if len(line) > self.max_target_bytes + _REQUEST_LINE_OVERHEAD_BYTES:
            return self.target_refusal()
        if len(head) - line_end > self.max_header_bytes:
            return self.fields_refusal()
        return head if prepared is line else prepared + head[line_end:]

    def target_refusal(self) -> Refusal:
        """What a target that is too long is answered."""
        return Refusal(414, "URI Too Long", f"At most {self.max_target_bytes} bytes.")

    def fields_refusal(self) -> Refusal:
        """What field lines or trailers that are too long are answered."""
        detail = f"At most {self.max_header_bytes} bytes of header fields."
        return Refusal(431, "Request Header Fields Too Large", detail)


def malformed(reason: str) -> Refusal:
    """What a request is answered that is not HTTP."""
    return Refusal(400, "Bad Request", f"The request is malformed: {reason}.")
