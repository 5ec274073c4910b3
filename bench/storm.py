"""Login storms on a disk of known capacity.

`sync=10ms,item=2ms` serves b logins in 10 + 2 b ms. At f = .95 the load line is 95
logins, a batch takes 200 ms and the capacity C* is 475 logins/s: computed, not
measured through the gate.
"""

import argparse

from bench.harness import dev_server, load, rate, row, worst

DISK = "sync=10ms,item=2ms"
CAPACITY = 475


def phases(factor, seconds):
    calm = CAPACITY * 6 // 10
    return f"10s:{calm},{seconds}s:{int(CAPACITY * factor)},10s:{calm}"


def storm(port, factor, seconds):
    report = load(port, "approle-login", "--phases", phases(factor, seconds), "--timeout", "5s",
                  "--in-flight-max", "12000")
    per_second = report["seconds"]
    return per_second[:10], per_second[10:10 + seconds], per_second[10 + seconds:20 + seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--factors", type=float, nargs="*", default=[2, 10])
    options = parser.parse_args()
    row("storm", "goodput/C*", "last 10 s", "p99 ms", "timeouts", "p99 after")
    for factor in options.factors:
        with dev_server("--dev-slow-disk", DISK) as port:
            before, during, after = storm(port, factor, options.seconds)
        row(f"{factor:g}x C*, protection on", f"{rate(during) / CAPACITY:.3f}",
            f"{rate(during[-10:]) / CAPACITY:.3f}", f"{worst(during[1:]):.0f}",
            sum(s["outcomes"]["timeout"] for s in during),
            f"{worst(after[1:]):.0f} (before {worst(before[1:]):.0f})")
    with dev_server("--dev-slow-disk", DISK) as port:
        report = load(port, "approle-login", "--phases", f"{options.seconds}s:{CAPACITY * 8 // 10}")
        outcomes = report["outcomes"]
        offered = sum(outcomes.values())
        row("0.8x C*, protection on", f"{rate(report['seconds']) / CAPACITY:.3f}",
            f"{rate(report['seconds'][-10:]) / CAPACITY:.3f}", f"{worst(report['seconds'][1:]):.0f}",
            outcomes["timeout"], f"refused {100 * outcomes['refused'] / offered:.3f} %")
    with dev_server("--dev-slow-disk", DISK, "--protection", "off") as port:
        _, during, after = storm(port, 2, options.seconds)
        row("2x C*, protection off", f"{rate(during) / CAPACITY:.3f}",
            f"{rate(during[-10:]) / CAPACITY:.3f}", f"{worst(during[1:]):.0f}",
            sum(s["outcomes"]["timeout"] for s in during), f"{worst(after[1:]):.0f}")


if __name__ == "__main__":
    main()
