#!/usr/bin/env python3
"""llama.cpp's HTTP server, without compiling it: the wheel `xllamacpp` has it linked in.

Takes the flags of `llama-server` that a test needs, under their names there, so that a command
line works with either.  Python only fills in the parameters: requests never pass through it.
Ready: /health answers 200, and the last line of the log is `ready on http://HOST:PORT`.
SIGTERM and SIGINT end it at once.
"""
import os
import signal
from argparse import ArgumentParser, BooleanOptionalAction, RawDescriptionHelpFormatter
from importlib.metadata import version


def command_line():
    parser = ArgumentParser(
        prog="llama-server", description=__doc__, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )

    def option(*names, **settings):
        parser.add_argument(*names, **settings)

    def switch(name, default, text):
        parser.add_argument(f"--{name}", action=BooleanOptionalAction, default=default, help=text)

    option("--version", action="version", version=f"version: {version('xllamacpp')} (xllamacpp)")
    option("-m", "--model", required=True, metavar="FILE", help="the model, a .gguf file")
    option("-a", "--alias", metavar="NAME", help="the name that requests know it by (the file's name)")
    option("--host", default="127.0.0.1", help="%(default)s")
    option("--port", type=int, default=8080, help="%(default)s")
    cores = len(os.sched_getaffinity(0))
    option("-t", "--threads", type=int, default=cores, metavar="N", help="the cores it may use (%(default)s)")
    option("-c", "--ctx-size", type=int, default=8192, metavar="N", help="tokens of all slots together (%(default)s)")
    option("-np", "--parallel", type=int, default=2, metavar="N", help="slots: requests at one time (%(default)s)")
    option("--cache-ram", type=int, default=256, metavar="MIB", help="prompts kept beyond the slots; 0: none (%(default)s)")
    option("--slot-save-path", metavar="DIR", help="for /slots/N?action=save and restore")
    switch("kv-unified", False, "one KV cache for all slots, so that one may use the whole of it")
    switch("cache-prompt", True, "reuse the prefix that a slot holds")
    switch("metrics", True, "serve /metrics")
    switch("slots", True, "serve /slots")
    return parser.parse_args()


def parameters(xllamacpp, args):
    p = xllamacpp.CommonParams()
    p.model.path = args.model
    p.model_alias = {args.alias or os.path.basename(args.model)}
    p.hostnames, p.port = [args.host], args.port
    for cpu in (p.cpuparams, p.cpuparams_batch):
        cpu.n_threads = args.threads
    p.n_ctx, p.n_parallel, p.kv_unified = args.ctx_size, args.parallel, args.kv_unified
    p.cache_prompt, p.cache_ram_mib = args.cache_prompt, args.cache_ram
    p.endpoint_metrics, p.endpoint_slots, p.ui = args.metrics, args.slots, False
    if args.slot_save_path:
        p.slot_save_path = os.path.join(args.slot_save_path, "")  # it must end in a slash
    return p


def main():
    args = command_line()
    if not os.path.isfile(args.model):
        raise SystemExit(f"llama-server: no such file: {args.model}")
    import xllamacpp  # only now: --help and errors are quick

    # Blocked before the server starts its threads, which inherit that: the signals are left for
    # sigwait below.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    server = xllamacpp.Server(parameters(xllamacpp, args))
    print(f"ready on {server.listening_address}", flush=True)
    signal.sigwait(signals)
    os._exit(0)  # its destructors would wait for open connections


if __name__ == "__main__":
    main()
