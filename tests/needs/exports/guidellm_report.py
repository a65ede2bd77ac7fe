"""Reads a report with guidellm's own code, and compares its metrics with those that guidellm computes from the
requests in it.

    python guidellm_report.py REPORT CSV
"""

import math
import sys

from guidellm.benchmark.schemas import GenerativeBenchmarksReport
from guidellm.benchmark.schemas.accumulator import GenerativeBenchmarkAccumulator
from guidellm.benchmark.schemas.metrics import GenerativeMetrics

# The exporter leaves these without values; from the requests guidellm counts 0 for each.
WITHOUT_VALUES = ("request_streaming_iterations_count", "time_to_last_round_trip_ms", "avg_round_trip_time_ms")
LEFT_OUT = (
    "text image video audio tool_call request_dispatch_delay request_scheduled_latency turn_predecessor_delay"
    " turn_scheduling_delay root_dispatch_delay"
).split()


def numbers(value, path=""):
    """(path, number) of each number in nested dicts."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from numbers(part, f"{path}/{name}")
    elif value is not None:
        yield path, value


def computed(benchmark):
    accumulator = GenerativeBenchmarkAccumulator(config=benchmark.config)
    accumulator.completed.requests_stats = benchmark.requests.successful
    accumulator.errored.requests_stats = benchmark.requests.errored
    accumulator.timings.request_start = benchmark.scheduler_metrics.request_start_time
    accumulator.timings.request_end = benchmark.scheduler_metrics.request_end_time
    return GenerativeMetrics.compile(accumulator).model_dump(mode="json")


def main(path, _rows):
    (benchmark,) = GenerativeBenchmarksReport.load_file(path).benchmarks
    found, expected = benchmark.metrics.model_dump(mode="json"), computed(benchmark)
    compared = 0
    for name in expected.keys() - LEFT_OUT - set(WITHOUT_VALUES):
        # What a failed request lacks, guidellm counts as 0.
        for status in () if name == "request_totals" or benchmark.requests.errored == [] else ("errored", "total"):
            if expected[name]:
                del expected[name][status], found[name][status]
        for at, number in numbers(expected[name], name):
            got = dict(numbers(found[name], name)).get(at)
            if got is None or not math.isclose(got, number, rel_tol=1e-6, abs_tol=1e-9):
                sys.exit(f"{at}: guidellm has {number}, the report {got}")
            compared += 1
    print(f"{compared} numbers are guidellm's own")


main(*sys.argv[1:])
