"""The gate: the one place where each request is judged, before anything on the disk is touched."""

import time
from collections.abc import Callable, Mapping
from enum import Enum

from fileserve.access.asking import READING, STATIC_PREFIX, Asked, name_at
from fileserve.access.attempts import Attempts
from fileserve.access.credentials import SessionShown, Shown, TokenShown, shown_in
from fileserve.access.origins import Address, is_same_origin, line_of
from fileserve.access.sessions import cookie_name, token_of_session
from fileserve.access.tokens import KnownToken, find_token, visit_by
from fileserve.access.visit import ANYBODY, Visit
from fileserve.problems import Field, Problem, problem
from fileserve.settings import Settings

Tokens = Mapping[bytes, KnownToken]
OPEN_PATHS = frozenset((b"/-/health", b"/-/ready", b"/-/login", b"/-/logout"))
_OWN_PREFIX = b"/-/"
BASIC: Field = (b"www-authenticate", b'Basic realm="fileserve", charset="UTF-8"')
BEARER: Field = (b"www-authenticate", b'Bearer realm="fileserve"')
# RFC 6750 section 3.1: whoever has shown a token is told what is wrong with it.
_WRONG: Field = (BEARER[0], BEARER[1] + b', error="invalid_token"')
_TOO_LITTLE: Field = (BEARER[0], BEARER[1] + b', error="insufficient_scope"')
NOT_ALLOWED = problem(403, "Your token does not allow this here.", _TOO_LITTLE)
_NOTE_SECONDS = 60
_UPLOADS = (b"/-/uploads", b"/-/uploads/")


class Right(Enum):
    """What a request needs."""

    READ = "read"
    WRITE = "write"


class Gate:
    """Who may what; tokens are asked for anew with each request, as their owner knows them now."""

    def __init__(
        self,
        settings: Settings,
        tokens: Callable[[], Tokens],
        session_key: Callable[[], bytes],
        note_use: Callable[[str, int], object],
    ) -> None:
        """note_use takes a token's name and when it was used, in seconds since 1970."""
        self.tokens = tokens
        self.session_key = session_key
        self._note_use = note_use
        self._noted_at: dict[str, int] = {}
        self._is_private = settings.private
        self._is_writable = settings.writable
        self._public_url = settings.public_url
        self._attempts = Attempts()
        self._named: dict[str, KnownToken] = {}
        self._named_of: Tokens | None = None

    def judge(self, asked: Asked) -> Visit | Problem:
        """What this visitor may, where that is enough for what was asked; else the refusal."""
        right = right_for(asked.method, asked.raw_path)
        if asked.method == "OPTIONS":
            # The same for every name, and browsers ask it for scripts without any credentials.
            return ANYBODY
        if is_open(asked.raw_path) or (right is Right.WRITE and not self._is_writable):
            # The latter is a 405 for everybody, whatever the name: nothing is looked up.
            return ANYBODY
        shown = self._shown(asked)
        token = self._token_by(shown, time.time())
        if right is Right.READ and not self._is_private:
            return ANYBODY if token is None else self.visit_of_token(token)
        if token is None:
            return self._refuse(shown, asked.client)
        self._note(token)
        if self._is_forged(asked, shown):
            return problem(403, "This came from a page of another site.")
        visit = self.visit_of_token(token)
        return visit if _has_right(visit, right, asked.raw_path) else NOT_ALLOWED

    def may_read_at_once(self, asked: Asked) -> bool:
        """Whether a GET or HEAD of a file may be answered without judge(); counts nothing."""
        if not self._is_private:
            return True
        token = self._token_by(self._shown(asked), time.time())
        name = name_at(asked.raw_path)
        if token is None or name is None or not visit_by(token).may_read(name):
            return False
        self._note(token)
        return True

    def token_of_secret(self, secret: bytes) -> KnownToken | None:
        """The token that holds now and has this secret."""
        return find_token(self.tokens(), secret, time.time())

    def visit_of_token(self, token: KnownToken) -> Visit:
        """What its holder may here: where everybody may read, so may every holder."""
        visit = visit_by(token)
        if self._is_private:
            return visit
        return Visit(visit.who, (), visit.writes, visit.is_admin)

    def _refuse(self, shown: Shown, client: str) -> Problem:
        """Refuse what does not let in; only tokens are guesses, an old cookie is sent unasked."""
        match shown:
            case None:
                return unauthorized("This needs a token.")
            case SessionShown():
                return unauthorized("The session has ended.")
            case TokenShown():
                return self.refuse_wrong(client)

    def refuse_wrong(self, client: str) -> Problem:
        """Refuse wrong credentials: 401, and 429 where there were too many of them."""
        wait = self._attempts.note_failure(client, time.monotonic())
        if wait is None:
            detail = "This token is not known here, or does not hold any more."
            return problem(401, detail, BASIC, _WRONG)
        retry_after = (b"retry-after", str(wait).encode("ascii"))
        return problem(429, "Too many wrong credentials came from your address.", retry_after)

    def is_own(self, asked: Asked) -> bool:
        """Whether a page of this site sent the request."""
        address = Address.of(asked.scheme, asked.fields)
        return is_same_origin(asked.fields, address, self._public_url)

    def _is_forged(self, asked: Asked, shown: Shown) -> bool:
        """Whether a browser may have been made to send this: its cookie goes with everything."""
        is_change = asked.method not in READING
        return is_change and isinstance(shown, SessionShown) and not self.is_own(asked)

    def _shown(self, asked: Asked) -> Shown:
        line = line_of(Address.of(asked.scheme, asked.fields), self._public_url)
        return shown_in(asked.fields, cookie_name(line).encode("ascii"))

    def _token_by(self, shown: Shown, now: float) -> KnownToken | None:
        match shown:
            case None:
                return None
            case TokenShown(secret):
                return find_token(self.tokens(), secret, now)
            case SessionShown(value):
                return token_of_session(self.session_key(), value, self._by_name(), now)

    def _by_name(self) -> dict[str, KnownToken]:
        """The tokens by name; made anew for each new snapshot only."""
        tokens = self.tokens()
        if tokens is not self._named_of:
            self._named = {token.name: token for token in tokens.values()}
            self._named_of = tokens
        return self._named

    def _note(self, token: KnownToken) -> None:
        """Tell of its use once in a while: each time would be a write for each request."""
        now = int(time.time())
        if now - self._noted_at.get(token.name, 0) >= _NOTE_SECONDS:
            self._noted_at[token.name] = now
            self._note_use(token.name, now)


def right_for(method: str, raw_path: bytes) -> Right:
    """What a request needs; an upload under way is for writers, to look at, too."""
    if method not in READING:
        return Right.WRITE
    is_upload = raw_path == _UPLOADS[0] or raw_path.startswith(_UPLOADS[1])
    return Right.WRITE if is_upload else Right.READ


def is_open(raw_path: bytes) -> bool:
    """Whether everybody may come to a path of the service's own, private or not."""
    return raw_path in OPEN_PATHS or raw_path.startswith(STATIC_PREFIX)


def unauthorized(detail: str) -> Problem:
    """The 401 for programs, with both ways to come in."""
    return problem(401, detail, BASIC, BEARER)


def _has_right(visit: Visit, right: Right, raw_path: bytes) -> bool:
    prefix = visit.reads if right is Right.READ else visit.writes
    if prefix is None:
        return False
    if raw_path.startswith(_OWN_PREFIX):
        # Pages of the service: they ask may_read and may_write for the names they take.
        return True
    name = name_at(raw_path)
    if name is None:
        # No name, so nothing covers it; who may everything learns why.
        return prefix == ()
    return visit.may_read(name) if right is Right.READ else visit.may_write(name)
