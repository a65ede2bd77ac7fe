#!/usr/bin/env python3
"""Asks a serving engine a few questions for test.sh.  Standard library only.

    probe.py ports N                    print N free TCP ports of the loopback
    probe.py ready URL SECONDS          wait until URL answers 200
    probe.py chat PORT MODEL [TEXT]     ask MODEL something; fail unless the answer has TEXT in it
    probe.py reuse PORT MODEL [WORDS]   send a prompt of WORDS words (1000) twice, with another
                                        question at its end; print the times to first token and what was
                                        reused; fail unless the second time something was
"""
import json
import random
import socket
import sys
import time
import urllib.request

# No proxy: what is asked is on this machine.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ports(count):
    # All held at once, so that they differ.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(count))]
    print(*(s.getsockname()[1] for s in sockets))


def ready(url, seconds):
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"{url} did not answer within {seconds} s")


def stream(port, model, text, tokens):
    """(seconds to the first token, the whole answer, the usage)"""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    began, first, answer, usage = time.monotonic(), None, "", None
    with opener.open(request, timeout=100) as lines:
        for line in lines:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            usage = event.get("usage") or usage
            for choice in event.get("choices", ()):
                if content := choice["delta"].get("content"):
                    first = first or time.monotonic() - began
                    answer += content
    if first is None:
        sys.exit("no token came")
    return first, answer, usage


def chat(port, model, wanted=""):
    # A question that small models get right by a margin, whatever the quantisation: to "What is the
    # capital of France?" the Q8_0 file says something else than the float16 one.
    _, answer, _ = stream(port, model, "Name the capital of France.", 24)
    if wanted not in answer:
        sys.exit(f"{wanted!r} is not in the answer: {answer!r}")
    print(repr(answer))


def reuse(port, model, words="1000"):
    source = random.Random()  # never the same prompt: a cache may outlive the test
    things = "river stone house tree bird road lamp city rain wind boat hill door salt fire glass".split()
    text = " ".join(source.choice(things) for _ in range(int(words)))
    cold, _, _ = stream(port, model, text + ". How many words?", 4)
    warm, _, usage = stream(port, model, text + ". Which is the last?", 4)
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    print(f"first token cold {cold:.2f} s, warm {warm:.2f} s, reused {cached} of {usage['prompt_tokens']} tokens")
    if not cached:
        sys.exit("nothing was reused")


if __name__ == "__main__":
    commands = {"ports": ports, "ready": ready, "chat": chat, "reuse": reuse}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    commands[sys.argv[1]](*sys.argv[2:])
