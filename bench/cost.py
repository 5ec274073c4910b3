"""What protection costs below saturation, and what a refusal costs: bench/run cost.

Two servers, protected and not, take turns under the same closed loop; the figure is
the median of the pairs. A refusal is compared with an answer of a bare axum server.
"""

import argparse
import contextlib
import statistics
import subprocess

from bench.harness import ROOT, Stolen, cpu_seconds, dev_server, end, load, row

WIDTHS = (40, 14, 14, 12, 10)
CONNECTIONS = "64"
BARE = ROOT / "target" / "release" / "examples" / "bare_axum"


@contextlib.contextmanager
def bare_axum():
    process = subprocess.Popen([str(BARE)], stderr=subprocess.PIPE, text=True)
    try:
        yield int(process.stderr.readline().rsplit(":", 1)[1]), process
    finally:
        end(process)
        process.stderr.close()


def closed_loop(server, operation, seconds, *options, outcome="ok"):
    """Processor seconds a request, and requests a second."""
    port, process = server
    before = cpu_seconds(process.pid)
    report = load(port, operation, "--closed-loop", CONNECTIONS, "--duration", f"{seconds}s", *options)
    answers = report["outcomes"][outcome]
    return (cpu_seconds(process.pid) - before) / answers, answers / report["duration_s"]


def interleaved(pairs, one, other):
    """The medians of both, and of the quotient of each pair. Each goes first in every other pair:
    who goes second finds the disk and the clocks of the processors as the first left them."""
    ones, others = [], []
    for pair in range(pairs):
        for measure, figures in [(one, ones), (other, others)][::1 if pair % 2 else -1]:
            figures.append(measure())
    quotients = [a / b for a, b in zip(ones, others)]
    return statistics.median(ones), statistics.median(others), statistics.median(quotients)


def protection(pairs, seconds):
    row("processor time a request, 64 connections", "off", "on", "on / off", "mark", widths=WIDTHS)
    with dev_server("--protection", "off", process=True) as off, dev_server(process=True) as on:
        for operation in ("kv1-get", "kv1-put", "approle-login"):
            for server in (on, off):
                load(server[0], operation, "--closed-loop", CONNECTIONS, "--duration", "1s")
            # What was set up once is not set up again, unless it is used up.
            again = () if operation == "approle-login" else ("--no-setup",)
            cost = lambda server: lambda: closed_loop(server, operation, seconds, *again)[0]
            stolen = Stolen()
            with_it, without, quotient = interleaved(pairs, cost(on), cost(off))
            if stolen.part() > 0.02:
                row(f"(stolen by others: {100 * stolen.part():.0f} %)")
            row(operation, f"{1e6 * without:.1f} us", f"{1e6 * with_it:.1f} us",
                f"{100 * (quotient - 1):+.1f} %", "<= +3 %" + (" !" if quotient > 1.03 else ""),
                widths=WIDTHS)


def refusal(pairs, seconds):
    row("answers a second, 64 connections", "axum", "503", "503 / axum", "mark", widths=WIDTHS)
    forced = ("--header", "x-vault-aop-force-reject:true")
    with bare_axum() as bare, dev_server(process=True) as server:
        load(server[0], "kv1-put", "--closed-loop", CONNECTIONS, "--duration", "1s")
        for name, figure in (("rate", 1), ("processor time", 0)):
            refused = lambda: closed_loop(server, "kv1-put", seconds, *forced, "--no-setup",
                                          outcome="refused")[figure]
            answered = lambda: closed_loop(bare, "kv1-put", seconds, "--no-setup")[figure]
            no, yes, quotient = interleaved(pairs, refused, answered)
            if figure:
                row(name, f"{yes:.0f}/s", f"{no:.0f}/s", f"{quotient:.2f}",
                    ">= .8" + (" !" if quotient < 0.8 else ""), widths=WIDTHS)
            else:
                row(name, f"{1e6 * yes:.1f} us", f"{1e6 * no:.1f} us", f"{quotient:.2f}", widths=WIDTHS)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1)
    options = parser.parse_args()
    protection(options.pairs, options.seconds)
    refusal(max(options.pairs // 2, 1), options.seconds)


if __name__ == "__main__":
    main()
