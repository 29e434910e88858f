"""A reader of Server-Sent Events as the HTML standard (section 9.2.6) describes a browser's."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event; type is "message" where the stream names none."""

    type: str
    data: str
    last_event_id: str


@dataclass
class EventSource:
    """Bytes in, events out; comments are counted."""

    events: list[Event] = field(default_factory=list)
    comments: int = 0
    retry: int | None = None
    last_event_id: str = ""
    _unread: bytes = b""
    _type: str = ""
    _data: str = ""
    _id: str = ""

    def feed(self, stream: bytes) -> None:
        """Takes the next bytes; only LF ends a line, since our server sends nothing else."""
        assert b"\r" not in stream
        *lines, self._unread = (self._unread + stream).split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8"))

    def _take(self, line: str) -> None:
        if not line:
            self._dispatch()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "event":
                self._type = value
            case "data":
                self._data += value + "\n"
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isdecimal():
                self.retry = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        if self._data:
            data = self._data.removesuffix("\n")
            self.events.append(Event(self._type or "message", data, self.last_event_id))
        self._type = self._data = ""
