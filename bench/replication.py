"""What a secondary costs, and how far behind it is: the figures of docs/replication.md.

Both servers and the load share one machine, so everything that costs processor time is an
upper bound of what it would cost on two.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

from bench.harness import (BINARY, TOKEN, Api, cpu_seconds, end, free_port, load, rate, row, slow_disk,
                           wait_until_up)

SLOW = "sync=10ms,item=2ms"
CAPACITY = 475
STATUS = "sys/replication/performance/status"


class Node:
    """A dev server that can be a primary or a secondary."""

    def __init__(self, directory, name, *options):
        self.port, cluster = free_port(), free_port()
        self.directory = os.path.join(directory, name)
        self.log = open(os.path.join(directory, name + ".log"), "ab")
        self.process = subprocess.Popen(
            [str(BINARY), "server", "--dev", "--dev-root-token", TOKEN, "--data-dir", self.directory,
             "--listen", f"127.0.0.1:{self.port}", "--cluster-listen", f"127.0.0.1:{cluster}", *options],
            stdout=self.log, stderr=self.log)
        wait_until_up(self.port, self.process)
        self.api = Api(self.port, timeout=30)

    def status(self):
        return self.api.must("GET", STATUS)["data"]

    def commit_ms(self):
        """What a commit took: at the median and at p99."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/sys/metrics?format=prometheus",
                                       headers={"X-Vault-Token": TOKEN})
        with urllib.request.urlopen(asked) as answer:
            lines = answer.read().decode().splitlines()
        quantile = lambda which: next(float(line.split()[-1]) for line in lines
                                      if line.startswith(f'vault_wal_flushReady{{quantile="{which}"}}'))
        return quantile("0.5"), quantile("0.99")

    def pin(self, core):
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), {core})

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def join(primary, secondary):
    primary.api.must("POST", "sys/replication/performance/primary/enable", {})
    token = primary.api.must("POST", "sys/replication/performance/primary/secondary-token", {"id": "b"})
    secondary.api.must("POST", "sys/replication/performance/secondary/enable",
                       {"token": token["wrap_info"]["token"]})
    caught_up(primary, secondary)


def caught_up(primary, secondary, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        here, there = primary.status(), secondary.status()
        if there.get("state") == "stream-wals" and there["last_wal"] >= here["last_wal"]:
            return there
        time.sleep(0.02)
    raise SystemExit(f"not caught up: {primary.status()} {secondary.status()}")


@contextlib.contextmanager
def nodes(count, *options):
    with tempfile.TemporaryDirectory(prefix="plimsoll-replication-") as directory:
        made = []
        try:
            for name in "ab"[:count]:
                made.append(Node(directory, name, *options))
            if count == 2:
                join(*made)
            yield made
        finally:
            for node in made:
                end(node.process)


def lag(primary):
    secondaries = primary.status()["secondaries"]
    return secondaries[0] if secondaries else {"lag_ms_p50": float("nan"), "lag_ms_p99": float("nan")}


def storm(seconds):
    """10x C* on a slowed disk, with and without a secondary."""
    goodput = {}
    phases = f"5s:{CAPACITY * 6 // 10},{seconds}s:{10 * CAPACITY}"
    for count in (1, 2):
        with nodes(count, "--dev-slow-disk", SLOW) as made:
            report = load(made[0].port, "approle-login", "--phases", phases, "--timeout", "5s",
                          "--in-flight-max", "12000")
            goodput[count] = rate(report["seconds"][5:5 + seconds])
            found = lag(made[0]) if count == 2 else {}
            commit = made[0].commit_ms()
    row("10x C*, slowed disk", f"goodput {goodput[1]:.0f}/s alone, {goodput[2]:.0f}/s with a secondary "
        f"({goodput[2] / goodput[1]:.3f}); lag p50 {found['lag_ms_p50']:.0f} ms, p99 {found['lag_ms_p99']:.0f} ms; "
        f"a commit {commit[0]:.0f} ms, p99 {commit[1]:.0f} ms")


def real_disk(seconds, rounds=12):
    """As fast as this machine goes: closed loop, 64 clients.

    Twice: all processors shared by both servers and the load, as the scheduler likes; and the secondary
    on a processor that nobody else has, as on a host of its own, the primary and the load on another."""
    full_speed("real disk, 64 clients", seconds, rounds, pinned=False)
    if os.cpu_count() > 1:
        full_speed("the same, a processor for each", seconds, rounds, pinned=True)


def full_speed(title, seconds, rounds, pinned):
    """A server alone and one with a secondary, in turn, a few seconds each: what the machine's own host
    gives changes by a factor of two within a minute, and has to hit both alike."""
    goodput, spent, stolen = {1: [], 2: []}, {1: [], 2: []}, stolen_seconds()
    with nodes(1) as alone, nodes(2) as pair:
        for each in (alone, pair) if pinned else ():
            for core, node in enumerate(each):
                node.pin(core)
        for number in range(2 * rounds):
            # One after the other, and every second time the other way round.
            made = (alone, pair)[(number + number // 2) % 2]
            before = [cpu_seconds(node.process.pid) for node in made]
            with only_on(0) if pinned else contextlib.nullcontext():
                report = load(made[0].port, "kv1-put", "--closed-loop", "64", "--duration", f"{seconds}s",
                              *(["--no-setup"] if number > 1 else []))
            writes = report["outcomes"]["ok"]
            goodput[len(made)].append(writes / report["duration_s"])
            spent[len(made)].append([1e6 * (cpu_seconds(node.process.pid) - began) / writes
                                     for node, began in zip(made, before)])
        found, commit = lag(pair[0]), pair[0].commit_ms()
    without, with_one = (statistics.mean(goodput[count]) for count in (1, 2))
    ratios = [two / one for one, two in zip(goodput[1], goodput[2])]
    cost = lambda count, which: statistics.median(each[which] for each in spent[count])
    row(title, f"{without:.0f} writes/s alone, {with_one:.0f}/s with a secondary ({with_one / without:.3f}); {rounds} pairs "
        f"from {min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}")
    row("", f"lag p50 {found['lag_ms_p50']:.1f} ms, p99 {found['lag_ms_p99']:.1f} ms; a commit {commit[0]:.2f} ms, "
        f"p99 {commit[1]:.1f} ms")
    row("", f"processor time per write: primary {cost(1, 0):.0f} us alone, {cost(2, 0):.0f} us with a secondary, which "
        f"takes {cost(2, 1):.0f} us; {stolen_seconds() - stolen:.1f} s stolen by the host")


@contextlib.contextmanager
def only_on(core):
    """For what is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def stolen_seconds():
    """What the machine's host gave to others so far, of all processors."""
    with open("/proc/stat") as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def readers(seconds):
    """64 readers on the secondary, writes on the primary."""
    with nodes(2) as (primary, secondary):
        reading = subprocess.Popen(
            [str(BINARY), "load", "kv1-get", "--address", f"http://127.0.0.1:{secondary.port}", "--token",
             TOKEN, "--quiet", "--closed-loop", "64", "--duration", f"{seconds}s"], stdout=subprocess.DEVNULL)
        report = load(primary.port, "kv1-put", "--phases", f"{seconds}s:500")
        found, commit = lag(primary), primary.commit_ms()
        end(reading)
    row("64 readers on the secondary", f"{rate(report['seconds'][1:]):.0f} writes/s; lag p50 "
        f"{found['lag_ms_p50']:.1f} ms, p99 {found['lag_ms_p99']:.1f} ms; a commit {commit[0]:.1f} ms, p99 {commit[1]:.1f} ms")


def catch_up(writes):
    """The secondary stands still for so many writes of the primary, then goes on.

    256 clients, so that the groups are as full as they are when a primary is hit hard."""
    put = ["kv1-put", "--closed-loop", "256"]
    with nodes(2) as (primary, secondary):
        os.kill(secondary.process.pid, signal.SIGSTOP)
        try:
            base, pace, asked = primary.status()["last_wal"], 0, []
            asked.append(load(primary.port, *put, "--duration", "5s"))
            while primary.status()["last_wal"] - base < writes:
                pace = rate(asked[-1]["seconds"][1:])
                left = writes - (primary.status()["last_wal"] - base)
                asked.append(load(primary.port, *put, "--no-setup", "--duration", f"{max(left / pace, 3):.0f}s"))
            pace = sum(each["outcomes"]["ok"] for each in asked) / sum(each["duration_s"] for each in asked)
        finally:
            os.kill(secondary.process.pid, signal.SIGCONT)
        behind = primary.status()["last_wal"] - secondary.status()["last_wal"]
        writing = subprocess.Popen(
            [str(BINARY), "load", "kv1-put", "--address", f"http://127.0.0.1:{primary.port}", "--token", TOKEN,
             "--quiet", "--phases", f"60s:{pace / 2:.0f}", "--no-setup"], stdout=subprocess.DEVNULL)
        started, first, from_wal = time.monotonic(), primary.status()["last_wal"], secondary.status()["last_wal"]
        caught_up(primary, secondary)
        took = time.monotonic() - started
        applied = secondary.status()["last_wal"] - from_wal
        written = primary.status()["last_wal"] - first
        end(writing)
        with open(secondary.log.name, errors="replace") as log:
            how = "a new snapshot" if log.read().count("snapshot of the primary") > 1 else "the log"
    row("catching up at half load", f"{behind} writes behind, caught up in {took:.1f} s by {how}: {applied / took:.0f}/s "
        f"applied against {written / took:.0f}/s written meanwhile ({applied / max(written, 1):.1f}x) and {pace:.0f}/s "
        f"of the primary at its fastest ({applied / took / pace:.1f}x)")


def fill(node, keys):
    """Writes so many keys, each once; the load generator counts them from 0 in every run."""
    put = ["kv1-put", "--closed-loop", "64", "--keys", str(keys), "--value-bytes", "256"]
    pace = rate(load(node.port, *put, "--duration", "3s")["seconds"][1:])
    load(node.port, *put, "--no-setup", "--duration", f"{1.2 * keys / pace:.0f}s")


def snapshot(keys, seconds):
    """Snapshots of so many keys, one after the other, during a storm of 2x on a slowed disk."""
    with nodes(1) as (node,):
        fill(node, keys)
        slow_disk(node.port, SLOW)
        peak, p99, rates = {}, {}, []
        report = os.path.join(node.directory, "report.json")
        for what in ("before", "during"):
            node.forget_peak()
            loading = subprocess.Popen(
                [str(BINARY), "load", "approle-login", "--address", f"http://127.0.0.1:{node.port}", "--token",
                 TOKEN, "--quiet", "--json", report, "--phases", f"{seconds}s:{2 * CAPACITY}"],
                stdout=subprocess.DEVNULL)
            while what == "during" and loading.poll() is None:
                summary, took = save(node)
                rates.append(int(summary["bytes"]) / 1e6 / took)
            loading.wait()
            peak[what] = node.peak_mib()
            with open(report) as file:
                p99[what] = statistics.mean(each["accepted"]["p99_ms"] for each in json.load(file)["seconds"][2:])
    row("snapshot at 2x C*", f"{len(rates)} of {summary['keys']} keys and {int(summary['bytes']) / 1e6:.0f} MB, "
        f"{statistics.mean(rates):.0f} MB/s, verified; p99 {p99['before']:.0f} -> {p99['during']:.0f} ms "
        f"({p99['during'] / p99['before']:.2f}x); memory {peak['during'] - peak['before']:+.0f} MiB")


def save(node):
    """What `operator snapshot save` says, and how long it took, verification included."""
    began = time.monotonic()
    printed = subprocess.run(
        [str(BINARY), "operator", "snapshot", "save", os.path.join(node.directory, "snap"), "--address",
         f"http://127.0.0.1:{node.port}", "--token", TOKEN], check=True, capture_output=True, text=True)
    took = time.monotonic() - began
    return dict(line.split(" ", 1) for line in printed.stdout.splitlines()[1:]), took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["storm", "real_disk", "readers", "catch_up", "snapshot"])
    options = parser.parse_args()
    figures = {
        "storm": lambda: storm(options.seconds),
        "real_disk": lambda: real_disk(max(options.seconds // 20, 1)),
        "readers": lambda: readers(options.seconds),
        "catch_up": lambda: catch_up(options.keys),
        "snapshot": lambda: snapshot(options.keys, options.seconds),
    }
    for name, measure in figures.items():
        if options.only in (None, name):
            measure()


if __name__ == "__main__":
    main()
