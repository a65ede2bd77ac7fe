#!/usr/bin/env python3
"""Load clients, each in a process of its own, against the simulator's stamps: what they add to TTFT, and what they cost.

Other clients come from package registries: `compare.py install`, then `compare.py run`.
How to read it is told in the book: contributing/benchmarks.md.
"""

import argparse
import sys
from pathlib import Path
from statistics import median

import measure
from clients import CLIENTS, PEERS, REPOSITORY, TOKENIZER, engine

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


def table(rate, found):
    """The medians of `found`, the measurements of each client, and how many times lmrun's they are."""
    rows = [["client", *(title for title, _, _ in COLUMNS.values())]]
    medians = {name: {key: middle(rounds, key) for key in COLUMNS} for name, rounds in found.items() if rounds}
    for name, values in medians.items():
        own = medians.get("lmrun", {})
        cells = [cell(values[key], own.get(key) if name != "lmrun" and ratio else None, digits)
                 for key, (_, digits, ratio) in COLUMNS.items()]  # fmt: skip
        rows.append([f"{name} {CLIENTS[name].version}".strip(), *cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for name, rounds in found.items():
        if doubts := sum(one["doubted"] for one in rounds):
            lines.append(f"\n{name} said of {doubts} of its {len(rounds)} measurements that it was late itself.")
    return f"\n{rate} requests a second (x: times lmrun)\n\n" + "\n".join(lines)


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
        print(f"{name}: installed", flush=True)


def run(args, names):
    """The rounds are interleaved, so that all clients meet the same machine. Returns whether all went well."""
    programs = {name: CLIENTS[name].program for name in names} | {"lmrun": args.lmrun}
    missing = [name for name in ["lmrun", *names] if not programs[name].exists()]
    missing += [] if (TOKENIZER / "tokenizer.json").exists() else ["the tokenizer"]
    for name in missing:
        print(f"{name} is not there: build lmrun with `cargo build --release`, the rest is `compare.py install`")
    if missing:
        return False
    troubles = []
    for rate in args.rates:
        found = {name: [] for name in names}
        for number in range(args.repeat):
            for name in names:
                folder = args.folder / f"{name}-{rate:g}-{number}"
                try:
                    one = measure.measure(CLIENTS[name], programs[name], args.lmrun, rate, args.requests, args.nice, folder)
                    print(f"{name}, {rate:g}/s, round {number + 1}:", one, file=sys.stderr, flush=True)
                    found[name].append(one)
                except measure.Trouble as trouble:
                    troubles.append(f"{name} at {rate:g}/s, round {number + 1}: {trouble}")
                    print(troubles[-1], file=sys.stderr, flush=True)
        print(table(f"{rate:g}", found), flush=True)
    print(*["", *troubles], sep="\n")
    return not troubles


def main(words=None):
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
    unknown = set(args.names) - set(CLIENTS)
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    names = list(dict.fromkeys(["lmrun", *args.names])) if args.names else list(CLIENTS)
    if args.command == "install":
        return install(names)
    return 0 if run(args, names) else 1


if __name__ == "__main__":
    sys.exit(main())
