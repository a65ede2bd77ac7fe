"""One client at one rate: what it reports, beside what the simulator stamped."""

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

from clients import TOKENIZER, TOKENS

TTFT_S, GAP_S = 0.05, 0.01
READY_S, LIMIT_S, SAMPLE_S = 30, 240, 0.25
ALL_CORES = sorted(os.sched_getaffinity(0))
# Apart, where there are two or more.
SIMULATOR_CORES, CLIENT_CORES = {ALL_CORES[-1]}, set(ALL_CORES[:-1] or ALL_CORES)


class Trouble(Exception):
    """Why there is no measurement."""


def measure(client, program, lmrun, rate, requests, nice, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stamps = folder / "stamps.jsonl"
    simulator = start_simulator(lmrun, port, rate, requests, nice, stamps)
    try:
        wait_for(port)
        values = {"url": f"http://127.0.0.1:{port}", "rate": f"{rate:g}", "requests": requests}
        values |= {"tokens": TOKENS, "tokenizer": TOKENIZER, "folder": folder}
        argv = [program, *(word.format(**values) for word in client.arguments.split())]
        began_ns = time.monotonic_ns()
        used, samples, code = run(argv, nice, folder)
    finally:
        end(simulator)
    if code not in (0, client.doubt):
        raise Trouble(f"it ended with {code}; see {folder}/client.log")
    try:
        seen = client.read(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Trouble(f"its report cannot be read: {error!r}; see {folder}/client.log") from error
    truth = read_stamps(stamps)
    found = compare(truth, seen)
    first_ns = truth[0]["arrived_ns"]
    of_start_s = between([(began_ns, 0.0), *samples], first_ns)
    found["start_s"] = (first_ns - began_ns) / 1e9
    found["cpu_s"] = 1e3 * (used.ru_utime + used.ru_stime - of_start_s) / found["answers"]
    found["doubted"] = code != 0
    found["memory_mib"] = used.ru_maxrss / 1024
    return found


def start_simulator(lmrun, port, rate, requests, nice, stamps):
    seqs = min(requests, int(4 * rate * (TTFT_S + TOKENS * GAP_S))) + 64
    argv = [lmrun, "sim", "--port", port, "--model", "demo", "--ttft-s", TTFT_S, "--itl-s", GAP_S]
    argv += ["--max-num-seqs", seqs, "--max-model-len", 1000, "--gpu-kv-tokens", 1000 * seqs, "--stamps", stamps]
    log = stamps.with_name("simulator.log").open("w")
    return subprocess.Popen(
        list(map(str, argv)), stdout=log, stderr=log, preexec_fn=lambda: settle(SIMULATOR_CORES, nice)
    )


def settle(cores, nice):
    os.sched_setaffinity(0, cores)
    os.setpriority(os.PRIO_PROCESS, 0, nice)


def wait_for(port):
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise Trouble(f"the simulator does not serve after {READY_S} s")


def run(argv, nice, folder):
    """Waits for the client. Returns what it and the children that it waited for have used, and samples of it."""
    env = os.environ | {"NO_COLOR": "1"}
    log = (folder / "client.log").open("w")
    client = subprocess.Popen(
        list(map(str, argv)), cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, preexec_fn=lambda: settle(CLIENT_CORES, nice),
    )  # fmt: skip
    timer = threading.Timer(LIMIT_S, os.killpg, (client.pid, signal.SIGKILL))
    timer.start()
    samples, ended = [], threading.Event()
    threading.Thread(target=sample, args=(client.pid, samples, ended)).start()
    try:
        _, status, used = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
    finally:
        timer.cancel()
        ended.set()
        try:
            os.killpg(client.pid, signal.SIGKILL)  # what it left running, or all of it after Ctrl-C
        except ProcessLookupError:
            pass
    return used, samples, client.returncode


def sample(session, samples, ended):
    """CPU seconds of all processes of the session, until it has ended."""
    while not ended.wait(SAMPLE_S):
        ticks = sum(map(ticks_of, session_members(session)))
        samples.append((time.monotonic_ns(), ticks / os.sysconf("SC_CLK_TCK")))


def session_members(session):
    """The fields of `/proc/PID/stat` behind the name of each."""
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
    before = max(s for s in samples if s[0] <= at_ns)
    after = min((s for s in samples if s[0] > at_ns), default=before)
    part = (at_ns - before[0]) / (after[0] - before[0]) if after != before else 0
    return before[1] + part * (after[1] - before[1])


def end(simulator):
    simulator.send_signal(signal.SIGINT)
    try:
        simulator.wait(30)
    except subprocess.TimeoutExpired:
        simulator.kill()
        simulator.wait()


def read_stamps(path):
    """What the simulator did, in the order in which requests arrived."""
    if not path.exists():
        raise Trouble(f"the simulator wrote no stamps; see {path.with_name('simulator.log')}")
    truth = [json.loads(line) for line in Path(path).open()]
    if not truth:
        raise Trouble("no request arrived")
    return sorted(truth, key=lambda answer: answer["arrived_ns"])


def compare(truth, seen):
    """How far the client's numbers are from the true ones, answer by answer."""
    by_key = dict(enumerate(truth)) | {answer["id"]: answer for answer in truth if answer["id"]}
    pairs = [(by_key[one.key], one) for one in seen if one.key in by_key]
    if len(pairs) < 2:
        raise Trouble(f"{len(pairs)} of the {len(seen)} answers that it reports are known to the simulator")
    short = sum(len(answer["written_ns"]) != TOKENS for answer, _ in pairs)
    if short:
        raise Trouble(f"{short} answers do not have {TOKENS} tokens: it asked for something else")
    errors = [abs(one.ttft_ms - (answer["written_ns"][0] - answer["arrived_ns"]) / 1e6) for answer, one in pairs]
    gaps = [abs(one.gap_ms - true_gap_ms(answer["written_ns"])) for answer, one in pairs if one.gap_ms is not None]
    arrived = sorted(answer["arrived_ns"] for answer, _ in pairs)
    return {
        "answers": len(pairs),
        "rate": (len(arrived) - 1) / (arrived[-1] - arrived[0]) * 1e9,
        "ttft_p50_ms": median(errors),
        "ttft_p99_ms": quantiles(errors, n=100, method="inclusive")[98],
        "gap_us": 1e3 * median(gaps) if gaps else None,
    }


def true_gap_ms(written_ns):
    return (written_ns[-1] - written_ns[0]) / (len(written_ns) - 1) / 1e6
