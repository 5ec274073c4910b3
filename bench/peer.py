"""Throughput beside the real OpenBao on raft storage, both in one run, alternating.

Closed loop, 64 connections, every write on disk before its answer on both sides.
"""

import argparse
import statistics

from bench.harness import bao_server, dev_server, load, row

OPERATIONS = [("approle-login", 10), ("kv1-put", 10), ("kv2-put", 10), ("kv1-get", 4)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    closed = ["--closed-loop", str(options.connections), "--duration", f"{options.seconds}s"]
    with dev_server() as ours, bao_server() as (theirs, token):
        row("operation", "plimsoll/s", "openbao/s", "ratio", "must reach")
        for operation, target in OPERATIONS:
            rates = ([], [])
            for _ in range(options.rounds):
                for side, (port, secret) in enumerate([(ours, "root"), (theirs, token)]):
                    report = load(port, operation, *closed, token=secret)
                    rates[side].append(report["outcomes"]["ok"] / report["duration_s"])
            ratio = statistics.median(a / b for a, b in zip(*rates))
            row(operation, f"{statistics.median(rates[0]):.0f}", f"{statistics.median(rates[1]):.0f}",
                f"{ratio:.1f}", f">= {target}")


if __name__ == "__main__":
    main()
