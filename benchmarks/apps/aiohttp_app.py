"""A folder by aiohttp's static route: `python -m benchmarks.apps.aiohttp_app ROOT PORT [CERT KEY]`.

On asyncio's own loop: with uvloop it has no sendfile.
"""

import ssl
import sys

from aiohttp import web


def main(root: str, port: str, *certificate: str) -> None:
    """Serves until it is ended."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    application = web.Application()
    application.router.add_static("/", root, show_index=True)
    web.run_app(
        application,
        host="127.0.0.1",
        port=int(port),
        ssl_context=context,
        access_log=None,
        print=None,
        keepalive_timeout=3600,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
