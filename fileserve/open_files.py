"""Open files: how many this process may have, and for how many connections that is enough."""

import contextlib
import resource

DESCRIPTORS_OF_THE_SERVER = 80
DESCRIPTORS_PER_CONNECTION = 3  # its socket, the duplicate that is written to, the file


def descriptors_for(connections: int) -> int:
    """Return the limit of open files that so many connections need."""
    return connections * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_OF_THE_SERVER


def raise_open_file_limit() -> None:
    """Allow this process as many open files as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some kernels refuse what they report as allowed; then the soft limit has to do.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit(max_connections: int) -> int | None:
    """Return how many connections are taken: what is asked for, as far as descriptors go.

    max_connections 0 asks for no limit; None means that there is none.  Without
    this, idle connections could take all descriptors, and no file could be
    opened for anybody.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return max_connections or None
    possible = max((limit - DESCRIPTORS_OF_THE_SERVER) // DESCRIPTORS_PER_CONNECTION, 1)
    return min(max_connections or possible, possible)
