"""RFC 9110 and its relatives as pure functions: no I/O, no clock, no framework."""
