"""One client with one load: what it reports, beside what the simulator stamped, and what it used."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from clients import TOKENIZER, TOKENS

TTFT_S, GAP_S = 0.05, 0.01
READY_S, LIMIT_S, SAMPLE_S = 30, 240, 0.25
ALL_CORES = sorted(os.sched_getaffinity(0))
# Apart, where there are two or more.
SIMULATOR_CORES, CLIENT_CORES = {ALL_CORES[-1]}, set(ALL_CORES[:-1] or ALL_CORES)


class Trouble(Exception):
    """Why there is no measurement."""


class Load(NamedTuple):
    lmrun: Path
    rate: float
    requests: int
    nice: int
    folder: Path


def measure(client, program, load):
    shutil.rmtree(load.folder, ignore_errors=True)
    load.folder.mkdir(parents=True)
    simulator, port = start_simulator(load)
    try:
        wait_for(port)
        values = {"url": f"http://127.0.0.1:{port}", "rate": f"{load.rate:g}", "tokens": TOKENS, "tokenizer": TOKENIZER}
        values |= {"requests": load.requests, "folder": load.folder}
        began_ns = time.monotonic_ns()
        code, used, samples = run([program, *(word.format(**values) for word in client.arguments.split())], load)
    finally:
        end(simulator)
    if code not in (0, client.doubt):
        raise Trouble(f"it ended with {code}; see {load.folder}/client.log")
    truth = read_stamps(load.folder)
    try:
        found = compare(truth, client.read(load.folder))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Trouble(f"its report cannot be read: {error!r}; see {load.folder}") from error
    first_ns = truth[0]["arrived_ns"]
    of_start_s = between([(began_ns, 0.0), *samples], first_ns)
    return found | {
        "cpu_s": 1e3 * (used.ru_utime + used.ru_stime - of_start_s) / found["answers"],
        "memory_mib": used.ru_maxrss / 1024,
        "start_s": (first_ns - began_ns) / 1e9,
        "doubted": code != 0,
    }


def start_simulator(load):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    seqs = load.requests + 64
    argv = [load.lmrun, "sim", "--port", port, "--model", "demo", "--ttft-s", TTFT_S, "--itl-s", GAP_S]
    argv += ["--max-num-seqs", seqs, "--max-model-len", 1000, "--gpu-kv-tokens", 1000 * seqs]
    return start([*argv, "--stamps", load.folder / "stamps.jsonl"], load, SIMULATOR_CORES, "simulator.log"), port


def start(argv, load, cores, log):
    def settle():
        os.sched_setaffinity(0, cores)
        os.setpriority(os.PRIO_PROCESS, 0, load.nice)

    with (load.folder / log).open("w") as out:
        return subprocess.Popen(
            list(map(str, argv)), cwd=load.folder, env=os.environ | {"NO_COLOR": "1"}, preexec_fn=settle,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )


def wait_for(port):
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise Trouble(f"the simulator does not serve after {READY_S} s")


def run(argv, load):
    """The client's exit code, what it and the children that it waited for have used, and samples of their CPU."""
    client = start(argv, load, CLIENT_CORES, "client.log")
    samples, ended = [], threading.Event()
    threading.Thread(target=sample, args=(client.pid, samples, ended)).start()
    timer = threading.Timer(LIMIT_S, kill, [client.pid])
    timer.start()
    try:
        _, status, used = os.wait4(client.pid, 0)
    finally:
        timer.cancel()
        ended.set()
        kill(client.pid)  # what it left running, or all of it after Ctrl-C
    client.returncode = os.waitstatus_to_exitcode(status)
    return client.returncode, used, samples


def kill(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end(simulator):
    """Interrupted, it writes its stamps."""
    simulator.send_signal(signal.SIGINT)
    try:
        simulator.wait(30)
    except subprocess.TimeoutExpired:
        simulator.kill()
        simulator.wait()


def sample(session, samples, ended):
    """The CPU seconds of the session's processes so far, until it has ended."""
    while not ended.wait(SAMPLE_S):
        ticks = sum(map(ticks_of, members(session)))
        samples.append((time.monotonic_ns(), ticks / os.sysconf("SC_CLK_TCK")))


def members(session):
    """For each process the fields of `/proc/PID/stat` behind its name."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[3]) == session:
            yield fields


def ticks_of(fields):
    """Its own, and those of the children that it waited for."""
    return sum(map(int, fields[11:15]))


def between(samples, at_ns):
    """The value at `at_ns`, on the line between the samples around it."""
    before = max(one for one in samples if one[0] <= at_ns)
    after = min((one for one in samples if one[0] > at_ns), default=None)
    if after is None:
        return before[1]
    return before[1] + (after[1] - before[1]) * (at_ns - before[0]) / (after[0] - before[0])


def read_stamps(folder):
    """What the simulator did, in the order in which requests arrived."""
    path = folder / "stamps.jsonl"
    truth = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if not truth:
        raise Trouble(f"no request was answered; see {folder}")
    return sorted(truth, key=lambda answer: answer["arrived_ns"])


def compare(truth, seen):
    """How far the client's numbers are from the true ones, answer by answer."""
    by_key = dict(enumerate(truth)) | {answer["id"]: answer for answer in truth}
    pairs = [(by_key[one.key], one) for one in seen if one.key in by_key]
    if len(pairs) < 2:
        raise Trouble(f"the simulator knows {len(pairs)} of the {len(seen)} answers that it reports")
    if short := sum(len(answer["written_ns"]) != TOKENS for answer, _ in pairs):
        raise Trouble(f"{short} answers have not {TOKENS} tokens: it asked for something else")
    errors = [abs(one.ttft_ms - (answer["written_ns"][0] - answer["arrived_ns"]) / 1e6) for answer, one in pairs]
    gaps = [abs(one.gap_ms - gap_ms(answer["written_ns"])) for answer, one in pairs if one.gap_ms is not None]
    arrived = sorted(answer["arrived_ns"] for answer, _ in pairs)
    return {
        "answers": len(pairs),
        "rate": (len(arrived) - 1) / (arrived[-1] - arrived[0]) * 1e9,
        "ttft_p50_ms": median(errors),
        "ttft_p99_ms": quantiles(errors, n=100, method="inclusive")[98],
        "gap_us": 1e3 * median(gaps) if gaps else None,
    }


def gap_ms(written_ns):
    """The mean between two tokens."""
    return (written_ns[-1] - written_ns[0]) / (len(written_ns) - 1) / 1e6
