"""64 clients on one SecretID that counts its uses, beside 64 clients on SecretIDs of
their own: every login rewrites the same count, and must still reach half the rate.
"""

import argparse
import statistics

from bench.harness import dev_server, load, row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    closed = ["--closed-loop", "64", "--duration", f"{options.seconds}s"]
    uses = ["--secret-id-num-uses", "100000000"]
    rates = {"distinct SecretIDs": [], "one shared SecretID": []}
    with dev_server() as port:
        for _ in range(options.rounds):
            for name, secret_ids in zip(rates, ("64", "1")):
                report = load(port, "approle-login", *closed, *uses, "--secret-ids", secret_ids)
                rates[name].append(report["outcomes"]["ok"] / report["duration_s"])
    for name, measured in rates.items():
        row(name, f"{statistics.median(measured):.0f}/s")
    distinct, shared = rates.values()
    ratio = statistics.median(b / a for a, b in zip(distinct, shared))
    row("shared over distinct", f"{ratio:.2f}", "must reach .5")


if __name__ == "__main__":
    main()
