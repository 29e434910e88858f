"""What all answers about a file in one state say of it: its type, name, tag and digest (pure)."""

from functools import lru_cache

from fileserve.delivery.plan import Description, Field, describe
from fileserve.http.digest_fields import digest_field
from fileserve.http.disposition import Disposition, content_disposition
from fileserve.http.media_types import is_active, media_type
from fileserve.http.validators import Validators, strong_entity_tag
from storage.blob import Fingerprint

# Their texts: an Enum's own hash is a function in Python.
INLINE, ATTACHMENT = Disposition.INLINE.value, Disposition.ATTACHMENT.value
# Scripts of a served page would run as this site; in a sandbox they have no origin and do not run.
SANDBOX: Field = (b"content-security-policy", b"sandbox")
# Where folders are sites, scripts run, but still without this site's origin.
SITE_SANDBOX: Field = (
    b"content-security-policy",
    b"sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals",
)


@lru_cache(maxsize=1024)
def description_of(  # noqa: PLR0917 - the key of a cache
    file_name: bytes,
    disposition: str,
    fingerprint: Fingerprint,
    modified: int,
    control: tuple[Field, ...],
    sandbox: Field,
    sha256: bytes | None,
) -> Description:
    """What all answers about a file in one state have in common.

    A function of what fstat has just said of the open descriptor (invariants I1 and I8):
    nothing is known here of the file itself.
    """
    kind, metadata = _described(file_name, Disposition(disposition))
    if is_active(kind):
        metadata = (*metadata, sandbox)
    if sha256 is not None:
        metadata = (*metadata, (b"repr-digest", digest_field(sha256).encode("ascii")))
    etag = strong_entity_tag(
        fingerprint.size, fingerprint.modified_ns, fingerprint.changed_ns, fingerprint.inode
    )
    return describe(Validators(etag, modified), kind, metadata, control)


@lru_cache(maxsize=4096)
def _described(file_name: bytes, disposition: Disposition) -> tuple[str, tuple[Field, ...]]:
    """Return media type and metadata fields: a function of the name alone."""
    kind = media_type(file_name)
    named = content_disposition(disposition, file_name).encode("latin-1")
    return kind, ((b"content-disposition", named),)
