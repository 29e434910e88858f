"""From a decision to bytes on the socket."""
