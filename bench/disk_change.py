"""A disk that turns ten times slower and back, under 1,500 logins/s.

From `1ms,200us` (4,750 logins/s) to `10ms,2ms` (475/s) and back: from the second
second on at least .95 of 475/s with p99 <= 600 ms, and all of it back within 1 s.
"""

import argparse
import threading
import time

from bench.harness import dev_server, load, rate, row, slow_disk, worst

FAST, SLOW, OFFERED = "sync=1ms,item=200us", "sync=10ms,item=2ms", 1500


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each of the three parts")
    seconds = parser.parse_args().seconds
    with dev_server("--dev-slow-disk", FAST) as port:
        # Prepares the mounts, so that the timers below start with the load.
        load(port, "approle-login", "--phases", "1s:100")
        started = time.monotonic()
        changes = [threading.Timer(seconds + 0.5, slow_disk, (port, SLOW)),
                   threading.Timer(2 * seconds + 0.5, slow_disk, (port, FAST))]
        for change in changes:
            change.start()
        report = load(port, "approle-login", "--phases", f"{3 * seconds}s:{OFFERED}")
        setup = time.monotonic() - started - report["duration_s"]
        parts = report["seconds"]
        # The change falls into the second `seconds`, give or take the set-up time.
        slow = parts[seconds + 2:2 * seconds]
        back = parts[2 * seconds + 2:]
        row("part", "ok/s", "of capacity", "p99 ms", "timeouts")
        row("fast disk", f"{rate(parts[:seconds]):.0f}", f"{rate(parts[:seconds]) / OFFERED:.3f}",
            f"{worst(parts[:seconds]):.0f}", report["outcomes"]["timeout"])
        row("slow disk, from the 2nd second", f"{rate(slow):.0f}", f"{rate(slow) / 475:.3f}",
            f"{worst(slow):.0f}")
        row("fast again, from the 2nd second", f"{rate(back):.0f}", f"{rate(back) / OFFERED:.3f}",
            f"{worst(back):.0f}")
        row(f"(the generator's set-up took about {setup:.1f} s)")
        for index in (seconds, seconds + 1, seconds + 2, 2 * seconds, 2 * seconds + 1, 2 * seconds + 2):
            second = parts[index]
            row(f"  second {index}", second["outcomes"]["ok"], second["outcomes"]["refused"],
                f"{second['accepted']['p99_ms']:.0f}")


if __name__ == "__main__":
    main()
