"""What is measured: the name in results.json, the words and the unit in the tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.client import Report

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure; digits are those after the point in tables."""

    title: str
    unit: str
    digits: int = 1


METRICS: dict[str, Metric] = {
    "throughput": Metric("throughput", "MiB/s", 0),
    "requests_per_second": Metric("requests", "1/s", 0),
    "cpu_per_gib": Metric("CPU per GiB", "s", 3),
    "cpu_per_request": Metric("CPU per request", "us", 1),
    "server_busy": Metric("server busy", "%", 0),
    "client_busy": Metric("client busy", "%", 0),
    "others_busy": Metric("others on the server's core", "%", 0),
    "memory": Metric("memory (PSS)", "MiB"),
    "first_byte_p50": Metric("first byte p50", "ms", 2),
    "first_byte_p99": Metric("first byte p99", "ms", 2),
    "first_byte_p999": Metric("first byte p99.9", "ms", 2),
    "latency_p50": Metric("whole p50", "ms", 2),
    "latency_p99": Metric("whole p99", "ms", 2),
    "latency_p999": Metric("whole p99.9", "ms", 2),
    "errors": Metric("errors", "", 0),
    "refused": Metric("refused", "", 0),
    "bytes_ratio": Metric("most / least bytes", "", 3),
    "slowest_to_fastest": Metric("slowest / fastest", "", 3),
    "memory_over_idle": Metric("memory over idle", "MiB"),
    "newcomer_idle_p99": Metric("newcomer's first byte p99, idle", "ms", 2),
    "newcomer_p99": Metric("beside slow readers", "ms", 2),
    "newcomer_ratio": Metric("of idle", "x", 2),
    "newcomer_fast_p99": Metric("beside slow and fast ones", "ms", 2),
    "fast_throughput": Metric("fast readers beside slow ones", "MiB/s", 0),
    "alone_p99": Metric("p99 alone", "ms", 2),
    "beside_p99": Metric("p99 beside", "ms", 2),
    "p99_ratio": Metric("beside / alone", "x", 2),
    "alone_requests": Metric("requests alone", "1/s", 0),
    "beside_requests": Metric("requests beside", "1/s", 0),
    "background_rate": Metric("the other file", "MiB/s", 1),
    "background_refused": Metric("503 for the hung mount", "", 0),
    "ready_seconds": Metric("first answer after", "s", 2),
    "help_seconds": Metric("--help", "s", 2),
    "peak_memory": Metric("peak memory (PSS)", "MiB"),
    "listing_mib": Metric("size of the listing", "MiB", 2),
}


def of_report(report: Report) -> dict[str, float]:
    """The figures that a client's report gives by itself."""
    figures = {
        "throughput": report.bytes / MIB / report.seconds,
        "requests_per_second": report.requests / report.seconds,
        "errors": float(report.errors),
        "refused": float(report.refused),
    }
    for name, percentiles in (("first_byte", report.first_byte), ("latency", report.latency)):
        for suffix, seconds in zip(("p50", "p99", "p999"), percentiles, strict=False):
            figures[f"{name}_{suffix}"] = seconds * 1000
    if report.least_bytes:
        figures["bytes_ratio"] = report.most_bytes / report.least_bytes
    if report.first_finish:
        figures["slowest_to_fastest"] = report.last_finish / report.first_finish
    return figures


def of_cost(report: Report, cpu_seconds: float, resident_bytes: int) -> dict[str, float]:
    """What the server paid for what the client saw."""
    figures = {
        "memory": resident_bytes / MIB,
        "server_busy": 100 * cpu_seconds / report.seconds,
    }
    if report.bytes:
        figures["cpu_per_gib"] = cpu_seconds / (report.bytes / GIB)
    if report.requests:
        figures["cpu_per_request"] = cpu_seconds / report.requests * 1e6
    return figures


def format_value(metric: str, value: float) -> str:
    """As tables show it."""
    return f"{value:,.{METRICS[metric].digits}f}"


def of_company(alone: Mapping[str, float], beside: Mapping[str, float]) -> dict[str, float]:
    """How the same load fared alone and beside something else; no p99 where nothing came."""
    figures = {
        "alone_requests": alone["requests_per_second"],
        "beside_requests": beside["requests_per_second"],
        "errors": beside["errors"],
    }
    if "latency_p99" in alone:
        figures["alone_p99"] = alone["latency_p99"]
    if "latency_p99" in beside:
        figures["beside_p99"] = beside["latency_p99"]
    if "latency_p99" in alone and "latency_p99" in beside:
        figures["p99_ratio"] = beside["latency_p99"] / alone["latency_p99"]
    return figures
