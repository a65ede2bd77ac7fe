#!/usr/bin/env python3
"""Load clients, each in processes of its own, against the simulator's stamps: how wrong they are, and what they cost.

`install` fetches them from package registries, `run` compares them. How to read the tables is told in the book,
contributing/benchmarks.md.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median

from clients import CLIENTS, PEERS, REPOSITORY, TOKENIZER, engine
from measure import Load, Trouble, measure

# What is found: its title, its digits, and whether it is also told in times of lmrun's.
COLUMNS = {
    "answers": ("answers", 0, False),
    "rate": ("held req/s", 0, False),
    "ttft_p50_ms": ("TTFT error p50 ms", 2, True),
    "ttft_p99_ms": ("p99 ms", 2, True),
    "gap_us": ("ITL error us", 1, True),
    "cpu_s": ("CPU s / 1,000", 2, True),
    "memory_mib": ("MiB", 0, True),
    "start_s": ("start s", 2, True),
}


def table(found):
    """The medians of the rounds of each client, in Markdown, and how many times lmrun's they are."""
    medians = {name: {key: middle(rounds, key) for key in COLUMNS} for name, rounds in found.items() if rounds}
    own = medians.get("lmrun", {})
    rows = [["client", *(title for title, _, _ in COLUMNS.values())]]
    for name, values in medians.items():
        beside = own if name != "lmrun" else {}
        cells = [cell(values[key], beside.get(key) if times else None, d) for key, (_, d, times) in COLUMNS.items()]
        rows.append([f"{name} {CLIENTS[name].version}".strip(), *cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def middle(rounds, key):
    values = [found[key] for found in rounds if found[key] is not None]
    return median(values) if values else None


def cell(value, own, digits):
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return f"{text} ({value / own:.{0 if value >= 10 * own else 1}f}x)" if own else text


def install(names):
    engine("model")  # for its tokenizer
    for name in names:
        CLIENTS[name].install()
        print(f"{name}: installed in {CLIENTS[name].program}", flush=True)


def missing(programs):
    """What a run lacks, and how to get it."""
    if not programs["lmrun"].exists():
        yield f"{programs['lmrun']} is not there: cargo build --release, or --lmrun"
    peers = {name: program for name, program in programs.items() if name != "lmrun"}
    yield from (f"{name} is not there: compare.py install {name}" for name in peers if not peers[name].exists())
    if peers and not TOKENIZER.exists():
        yield f"{TOKENIZER} is not there, whose tokenizer they need: scripts/engines/install.sh model"


def run(args, names):
    """All loads; whether there is a measurement of each."""
    programs = {name: CLIENTS[name].program for name in names} | {"lmrun": args.lmrun.absolute()}
    if lacks := list(missing(programs)):
        print(*lacks, sep="\n", file=sys.stderr)
        return False
    # One after the other in each round, so that all meet the same machine.
    whole = True
    for rate in args.rates:
        found = {name: [] for name in names}
        for number, name in ((number, name) for number in range(args.repeat) for name in names):
            what = f"{name} at {rate:g}/s, round {number + 1}"
            folder = args.folder.absolute() / f"{name}-{rate:g}-{number + 1}"
            load = Load(programs["lmrun"], rate, args.requests, args.nice, folder)
            try:
                found[name].append(measure(CLIENTS[name], programs[name], load))
                print(f"{what}: {found[name][-1]}", file=sys.stderr, flush=True)
            except Trouble as trouble:
                print(f"{what}: {trouble}", file=sys.stderr, flush=True)
                whole = False
        print(f"\n{rate:g} requests a second (x: times lmrun); {machine()}\n\n{table(found)}\n", flush=True)
        for name, rounds in found.items():
            if doubts := sum(one["doubted"] for one in rounds):
                print(f"{name} said of {doubts} of its {len(rounds)} measurements that they are invalid.", flush=True)
    return whole


def machine():
    """Above one process for each core, others were in the way."""
    return f"load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (("install", "fetch them"), ("run", "compare them")):
        sub = commands.add_parser(command, help=text)
        sub.add_argument("names", nargs="*", metavar="NAME", help=f"only these of: {', '.join(CLIENTS)}")
    sub.add_argument("--rates", nargs="+", type=float, default=[100, 400], help="requests a second [100 400]")
    sub.add_argument("--requests", type=int, default=1000, help="of each client in each round [1000]")
    sub.add_argument("--repeat", type=int, default=3, help="rounds, of which the medians are told [3]")
    sub.add_argument("--nice", type=int, default=0, help="of simulator and clients; below 0 takes root [0]")
    sub.add_argument("--lmrun", type=Path, default=REPOSITORY / "target/release/lmrun", help="[target/release/lmrun]")
    sub.add_argument("--folder", type=Path, default=PEERS / "runs", help="for what they write [%(default)s]")
    args = parser.parse_args(words)
    if unknown := set(args.names) - set(CLIENTS):
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    return args


def main(words=None):
    args = parse(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order: what was started is ended
    try:
        if args.command == "install":
            return install(args.names or CLIENTS)
        return 0 if run(args, list(dict.fromkeys(["lmrun", *(args.names or CLIENTS)]))) else 1
    except subprocess.CalledProcessError as error:
        return f"this failed: {' '.join(map(str, error.cmd))}"
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
