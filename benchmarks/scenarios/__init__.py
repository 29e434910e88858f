"""The scenarios, in the order of the tables."""

from benchmarks.scenarios import (
    chunked,
    cold_disk,
    hashing,
    hung_mount,
    loads,
    memory,
    slow_readers,
    startup,
    uploads,
    workers,
)
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *loads.SCENARIOS,
        *chunked.SCENARIOS,
        *workers.SCENARIOS,
        slow_readers.SCENARIO,
        cold_disk.SCENARIO,
        hung_mount.SCENARIO,
        memory.SCENARIO,
        startup.SCENARIO,
        hashing.SCENARIO,
        *uploads.SCENARIOS,
    )
}
