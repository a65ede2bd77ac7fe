"""Compares an exported result with what `vllm bench serve` computes from the same requests.

    python vllm_result.py RESULT CSV
"""

import csv
import json
import math
import sys

from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput
from vllm.benchmarks.serve import calculate_metrics

STATISTICS = ("mean", "median", "std", "p99")


def output(row):
    """A row as the tool's client would have left it."""
    number = {name: float(text) for name, text in row.items() if name.endswith("_s") and text}
    start = number["sent_s"]
    if row["status"] != "ok":
        return RequestFuncOutput(success=False, error=row["error"], start_time=start)
    return RequestFuncOutput(
        success=True,
        start_time=start,
        ttft=number["first_chunk_s"] - start,
        latency=number["last_token_s"] - start,
        itl=[number.get("icl_mean_s", 0.0)] * (int(row["chunks"]) - 1),
        prompt_len=int(row["prompt_tokens"]),
        output_tokens=int(row["output_tokens"]),
    )


def expected(rows):
    starts, ends = ([float(row[name]) for row in rows] for name in ("sent_s", "ended_s"))
    metrics, lengths = calculate_metrics([], list(map(output, rows)), max(ends) - min(starts), None, [99], {})
    numbers = {"completed": metrics.completed, "failed": metrics.failed, "total_input_tokens": metrics.total_input}
    numbers["total_output_tokens"] = sum(lengths)
    for name in ("request_throughput", "output_throughput", "total_token_throughput", "mean_itl_ms"):
        numbers[name] = getattr(metrics, name)
    for measure in ("ttft", "tpot", "e2el"):
        ((_, p99),) = getattr(metrics, f"percentiles_{measure}_ms")
        numbers |= {f"{one}_{measure}_ms": getattr(metrics, f"{one}_{measure}_ms") for one in STATISTICS[:3]}
        numbers[f"p99_{measure}_ms"] = p99
    return numbers


def processed(result):
    """What readers of the file do: each time is a number, and what the tool was asked for is there."""
    times = [float(value) for name, value in result.items() if name.endswith("_ms")]
    asked = [result[name] for name in ("model_id", "backend", "date", "tokenizer_id", "request_rate", "max_concurrency")]
    return len(times) + len(asked)


def main(result, rows):
    with open(result) as file:
        found = json.load(file)
    with open(rows) as file:
        numbers = expected(list(csv.DictReader(file)))
    for name, number in numbers.items():
        if not math.isclose(found[name], number, rel_tol=1e-6, abs_tol=1e-9):
            sys.exit(f"{name}: vLLM has {number}, the result {found[name]}")
    print(f"{len(numbers)} numbers are vLLM's own, {processed(found)} are read")


main(*sys.argv[1:])
