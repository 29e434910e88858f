"""fileserve as its users start it: everything on, the access log into a file."""

from collections.abc import Sequence

from benchmarks.peers.offer import Ability, Offer, Peer, python_module


def _command(offer: Offer) -> Sequence[str]:
    command = python_module("cli", "serve", f"{offer.root}", "--port", f"{offer.port}")
    # A bench that stops a server waits for no transfer.
    command += ["--workers", f"{offer.workers}", "--drain-seconds", "0", "--access-log"]
    if offer.certificate:
        command += ["--tls-certificate", f"{offer.certificate.chain}"]
        command += ["--tls-key", f"{offer.certificate.key}"]
    return command


def _missing() -> str | None:
    return None


FILESERVE = Peer(
    "fileserve",
    "fileserve",
    _command,
    _missing,
    frozenset({Ability.LISTING, Ability.TLS, Ability.WORKERS}),
)
