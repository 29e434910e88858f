"""What the query of an address asks for beyond the file or the folder itself."""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from fileserve.access.visit import while_it_holds
from fileserve.delivery.plan import Field
from fileserve.http.fields import merged
from fileserve.http.query import first_values
from fileserve.settings import Settings
from fileserve.site.archive_plans import ArchiveLimits
from fileserve.site.archives import send_archive
from fileserve.site.follow import send_follow
from fileserve.site.following import FollowLimits
from fileserve.site.known_sums import KnownSums
from fileserve.site.manifests import ManifestSources, send_checksum, send_manifest
from fileserve.site.qr import send_qr
from fileserve.site.view import send_view
from fileserve.site.visitors import page_fields, visitor_of
from fileserve.site.webvtt import send_webvtt
from storage.blob import Blob
from storage.local import LocalStorage
from storage.names import Name


class Extras:
    """Archives and manifests of folders; view pages, subtitles and growth of files.

    Whoever stops the service sets `stopping`: streams that would never end do then.
    """

    def __init__(self, settings: Settings, storage: LocalStorage, sums: KnownSums) -> None:
        self.stopping = asyncio.Event()
        self._settings = settings
        self._storage = storage
        self._sources = ManifestSources(storage, sums, settings.public_url)
        self._follow_limits = FollowLimits(settings.follow_idle_seconds)
        self._archive_limits = ArchiveLimits(
            settings.archive_limit_members, settings.archive_limit_bytes
        )

    async def send_of_folder(
        self, scope: Scope, receive: Receive, send: Send, name: Name, fields: Sequence[Field]
    ) -> bool:
        """Answer a query for something made of a folder; False when it asks for nothing such."""
        asked = first_values(scope["query_string"])
        if "qr" in asked:
            path = name.url_path.rstrip("/") + "/"
            await send_qr(scope, send, path, self._sources.public_url, fields)
        elif (form := asked.get("archive")) is not None:
            limits = self._archive_limits
            await send_archive(
                scope, receive, send, self._storage, name, form, limits, tuple(fields)
            )
        elif (form := asked.get("manifest")) is not None:
            await send_manifest(scope, receive, send, self._sources, name, form, fields)
        else:
            return False
        return True

    async def send_of_file(  # noqa: PLR0917 - three of them are ASGI's own
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        name: Name,
        blob: Blob,
        fields: Sequence[Field],
    ) -> bool:
        """Answer a query for something made of a file; False when it asks for nothing such.

        blob is the file, open, and stays the caller's.
        """
        asked = first_values(scope["query_string"])
        storage = self._storage
        if "qr" in asked:
            await send_qr(scope, send, name.url_path, self._sources.public_url, fields)
        elif "view" in asked:
            visitor = visitor_of(scope, name, self._settings)
            fields = merged((*fields, *page_fields(self._settings)))
            sums = self._sources.sums
            await send_view(scope, receive, send, storage, name, fields, visitor, sums.of_open)
        elif "checksum" in asked:
            await send_checksum(scope, receive, send, self._sources, name, blob, fields)
        elif "vtt" in asked:
            await send_webvtt(scope, receive, send, storage, name, fields)
        elif "follow" in asked:
            limits, stopping = self._follow_limits, self.stopping
            send = while_it_holds(scope, send)
            await send_follow(scope, receive, send, storage, name, blob, limits, stopping, fields)
        else:
            return False
        return True
