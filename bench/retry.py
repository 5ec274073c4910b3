"""Clients that retry, naively and politely, at 1.5 times what the disk can do.

500 clients with an address each ask for logins, evenly by chance, on a disk of known
capacity (see bench/storm.py: C* is 475 logins/s). Each login is sent again until it
succeeds or 30 s have passed; what is given up counts as 30 s. `naive` sends three
times at once and then every second; `polite` is the crate plimsoll-retry.

Arithmetic bounds what any client can reach: after s seconds at 1.5 C* the backlog is
s/2 seconds of work, so of 60 s the last succeeds after 30 s if the disk never rests and
everybody is served in order of arrival, and not at all if not: p99 is then at its
limit for all. A shorter overload tells more.
"""

import argparse
import json
import os
import subprocess
import tempfile

from bench.harness import BINARY, dev_server, load, row
from bench.storm import CAPACITY, DISK

CLIENTS = 500
WIDTHS = (10, 10, 12, 12, 9, 9, 9, 9, 10)
RULES = ("appointment", "constant:1s", "constant:5s", "doubling", "spread:5s", "spread:10s")


def measure(client, factor, seconds, options):
    rate = factor * CAPACITY / CLIENTS
    with dev_server("--dev-slow-disk", DISK) as port:
        return load(port, "approle-login", "--client", client, "--poisson",
                    "--flow", f"client@127.1.0.1*{CLIENTS}={seconds}s:{rate:g}",
                    "--in-flight-max", "60000", *options)


def show(client, report):
    retries, offered = report["retries"], sum(report["outcomes"].values())
    waits = retries["time_to_success"]
    row(client, offered, f"{retries['attempts_per_request']:.2f}",
        f"{retries['successes_per_s']:.1f}", *(f"{waits[q] / 1000:.1f}" for q in
        ("p50_ms", "p90_ms", "p99_ms")), f"{100 * retries['gave_up'] / offered:.1f}",
        f"{report['lateness']['p99_ms']:.1f}", widths=WIDTHS)


def lab(rule):
    """A rule of Retry-After in the lab: the server itself has only the first."""
    row_of = [rule]
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as directory:
        subprocess.run(
            [str(BINARY), "lab", "run", "--all", "--alone", "--quiet", "--out-dir", directory,
             "--only", "16-manners/retry-after", "--law", f"retry-after={rule}"],
            check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(directory, "lab.json")) as report:
            cases = json.load(report)["cases"]
    for case in cases:
        score = case["rows"][0]["score"]
        row_of += [f"{score['amplification']:.2f}", f"{score['success_p99_ms'] / 1000:.1f}",
                   f"{score['success']:.4f}"]
    row(*row_of, widths=(14, 12, 9, 9, 12, 9, 9))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, nargs="*", default=[15, 60])
    parser.add_argument("--factor", type=float, default=1.5)
    parser.add_argument("--clients", nargs="*", default=["naive", "polite"])
    parser.add_argument("--attempts-max", type=int, help="of the polite client")
    parser.add_argument("--json", help="write the reports to this file")
    parser.add_argument("--lab", action=argparse.BooleanOptionalAction, default=True,
                        help="also the lab's rules of Retry-After")
    options = parser.parse_args()
    more = ["--attempts-max", str(options.attempts_max)] if options.attempts_max else []
    reports = {}
    for seconds in options.seconds:
        print(f"{options.factor:g}x C* for {seconds} s from {CLIENTS} clients")
        row("client", "requests", "attempts/rq", "successes/s", "p50 s", "p90 s", "p99 s",
            "% lost", "late ms", widths=WIDTHS)
        for client in options.clients:
            report = measure(client, options.factor, seconds, more)
            reports[f"{client}, {seconds} s"] = report
            show(client, report)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(reports, file)
    if options.lab:
        print("the lab's clients by rule of Retry-After: 1.5x for 10 s, 1.2x for 40 s")
        row("rule", *("attempts/rq", "p99 s", "success") * 2, widths=(14, 12, 9, 9, 12, 9, 9))
        for rule in RULES:
            lab(rule)


if __name__ == "__main__":
    main()
