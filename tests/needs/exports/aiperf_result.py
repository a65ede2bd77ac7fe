"""Reads an exported result with aiperf's own model, and compares its statistics with those that aiperf's own code
computes from the rows.

    python aiperf_result.py RESULT CSV
"""

import csv
import math
import sys

import numpy as np
from aiperf.common.models.export_models import JsonExportData
from aiperf.metrics.metric_dicts import metric_result_from_array

# aiperf's name, the column that has it, and the factor to its unit.
MEASURES = (
    ("time_to_first_token", "TTFT", 1e3),
    ("request_latency", "latency", 1e3),
    ("inter_token_latency", "tpot_s", 1e3),
    ("output_sequence_length", "output_tokens", 1),
    ("input_sequence_length", "prompt_tokens", 1),
)


def main(result, rows):
    with open(result) as file:
        found = JsonExportData.model_validate_json(file.read())
    with open(rows) as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
    compared = 0
    for name, column, factor in MEASURES:
        values = np.array([float(row[column]) * factor for row in rows if row[column]])
        expected = metric_result_from_array(name, name, "", values, float(values.sum()))
        for statistic, got in getattr(found, name).model_dump(exclude={"unit"}, exclude_none=True).items():
            number = getattr(expected, statistic)
            if not math.isclose(got, number, rel_tol=1e-6, abs_tol=1e-9):
                sys.exit(f"{name}/{statistic}: aiperf has {number}, the result {got}")
            compared += 1
    print(f"{compared} numbers are aiperf's own")


main(*sys.argv[1:])
