"""Without a client installed: the readers of their reports, the sums, the tables and the command line.

`python3 -m unittest` in this folder; `cargo test --test needs peers` runs it, too.
"""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import clients
import compare
import measure

GUIDELLM = {"request_start": 10.0, "first_token_iteration": 10.051, "last_token_iteration": 10.071}
REPORTS = {
    "lmrun": ("rows.jsonl", [
        {"id": "a-0", "ok": True, "ttft_ms": 51.0, "itl_ms": [9.0, 11.0]},
        {"id": "a-1", "ok": False, "ttft_ms": None, "itl_ms": []},
    ]),
    "vllm": ("report.json", [{"ttfts": [0.051, 0.0], "itls": [[0.009, 0.011], []], "errors": ["", "refused"]}]),
    "guidellm": ("report.json", [{"benchmarks": [{"requests": {"successful": [
        {"response_id": "chatcmpl-5f-0000001f", "output_tokens": 3, "info": {"timings": GUIDELLM}},
    ]}}]}]),
    "aiperf": ("a/profile_export.jsonl", [
        {"metadata": {"x_request_id": "u"}, "metrics": {
            "time_to_first_token": {"value": 51.0}, "inter_token_latency": {"value": 10.0}}},
        {"metadata": {"x_request_id": "v"}, "metrics": {"error_isl": {"value": 20}}},
    ]),
}
KEYS = {"lmrun": "a-0", "vllm": "r-0", "guidellm": 31, "aiperf": "u"}


def answer(name, arrived_ms):
    """Its first token after 50 ms, the others 10 ms apart."""
    moments = [arrived_ms + 50 + 10 * token for token in range(clients.TOKENS)]
    return {"id": name, "arrived_ns": arrived_ms * 10**6, "written_ns": [moment * 10**6 for moment in moments]}


class Compare(unittest.TestCase):
    def test_each_report_is_read(self):
        for name, (file, lines) in REPORTS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = Path(folder, file)
                path.parent.mkdir(exist_ok=True)
                path.write_text("\n".join(map(json.dumps, lines)))
                (seen,) = clients.CLIENTS[name].read(Path(folder))
                self.assertEqual(seen.key, KEYS[name])
                self.assertAlmostEqual(seen.ttft_ms, 51.0)
                self.assertAlmostEqual(seen.gap_ms, 10.0)

    def test_errors_are_differences_from_the_stamps(self):
        truth = [answer("", 100), answer("b", 110), answer("c", 120)]
        seen = [clients.Seen(0, 50.5, 10.001), clients.Seen("b", 49.0, None), clients.Seen("d", 1.0, 1.0)]
        found = measure.compare(truth, seen)
        self.assertEqual((found["answers"], found["rate"]), (2, 100.0))
        self.assertAlmostEqual(found["ttft_p50_ms"], 0.75)
        self.assertAlmostEqual(found["gap_us"], 1.0)

    def test_what_cannot_be_compared_is_no_measurement(self):
        truth = [answer("a", 0), answer("b", 10)]
        with self.assertRaisesRegex(measure.Trouble, "knows 0 of the 1"):
            measure.compare(truth, [clients.Seen("c", 50.0, 10.0)])
        truth[0]["written_ns"].pop()
        with self.assertRaisesRegex(measure.Trouble, "1 answers have not 100 tokens"):
            measure.compare(truth, [clients.Seen("a", 50.0, 10.0), clients.Seen("b", 50.0, 10.0)])

    def test_what_the_start_used_lies_between_two_samples(self):
        self.assertEqual(measure.between([(0, 0.0), (10, 1.0), (20, 3.0)], 15), 2.0)
        self.assertEqual(measure.between([(0, 0.0), (10, 1.0)], 15), 1.0)

    def test_the_table_has_medians_and_ratios(self):
        rounds = [dict.fromkeys(compare.COLUMNS, value) for value in (1.0, 9.0, 2.0)]
        peer = [dict.fromkeys(compare.COLUMNS, 24.0) | {"gap_us": None}]
        lines = compare.table({"lmrun": rounds, "vllm-rs": peer, "aiperf": []}).splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.assertEqual(cells[2][:4], ["lmrun", "2", "2", "2.00"])
        self.assertEqual(cells[3][1:6], ["24", "24", "24.00 (12x)", "24.00 (12x)", ""])
        self.assertEqual(len(lines), 4)

    def test_the_command_line_names_the_clients(self):
        for words, code, told in ((["run", "--help"], 0, "guidellm"), (["run", "nobody"], 2, "no such client: nobody")):
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                with self.assertRaises(SystemExit) as ended:
                    compare.parse(words)
            self.assertEqual(ended.exception.code, code)
            self.assertIn(told, said.getvalue())


if __name__ == "__main__":
    unittest.main()
