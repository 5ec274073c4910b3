"""The proxy and its peers, each in front of the same real OpenBao on raft storage.

Every peer gets a fresh OpenBao. The peers are OpenBao alone, Envoy with its adaptive
concurrency at the defaults, HAProxy with four settings of maxconn, and plimsoll.
`--only` picks parts, `--peers` peers; a mark that was missed is printed as such.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from bench.harness import BINARY, Stolen, bao, bao_server, end, free_port, load, rate, row, worst

PEERS = ["direct", "envoy", "haproxy-16", "haproxy-48", "haproxy-128", "haproxy-256", "plimsoll"]
WIDTHS = (22, 13, 13, 13, 13, 13, 13, 16)

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {{cluster: bao, timeout: 30s}}}}]}}
          http_filters:
          - name: envoy.filters.http.adaptive_concurrency
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency
              gradient_controller_config:
                sample_aggregate_percentile: {{value: 50}}
                concurrency_limit_params: {{concurrency_update_interval: 0.1s}}
                min_rtt_calc_params: {{interval: 60s, request_count: 50}}
              enabled: {{default_value: true, runtime_key: adaptive_concurrency.enabled}}
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: bao
    connect_timeout: 5s
    load_assignment:
      cluster_name: bao
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""

HAPROXY = """
global
  maxconn 9900
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout queue 100ms
frontend front
  bind 127.0.0.1:{port}
  default_backend bao
backend bao
  server bao 127.0.0.1:{upstream} {options}
"""


@contextlib.contextmanager
def process(command, port, log):
    """A proxy, from when it accepts until the block ends; yields its process."""
    with open(log, "wb") as file:
        running = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 20
        while True:
            if running.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {open(log).read()[-500:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not listen")
            time.sleep(0.05)
        yield running
    finally:
        end(running, signal.SIGTERM, 10)


@contextlib.contextmanager
def peer(name, upstream):
    """A peer in front of the port `upstream`; yields its own port and process."""
    if name == "direct":
        yield upstream, None
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as directory:
        config, log = os.path.join(directory, "config"), os.path.join(directory, "log")
        if name.startswith("plimsoll"):
            _, _, protection = name.partition("-")
            command = [str(BINARY), "proxy", "--upstream", f"http://127.0.0.1:{upstream}",
                       "--listen", f"127.0.0.1:{port}", "--protection", protection or "enforce"]
        elif name == "envoy":
            text = ENVOY.format(port=port, upstream=upstream)
            command = ["envoy", "-c", config, "--log-level", "error", "--disable-hot-restart"]
        else:
            _, _, maxconn = name.partition("-")
            options = f"maxconn {maxconn}" if maxconn else ""
            text = HAPROXY.format(port=port, upstream=upstream, options=options)
            command = ["haproxy", "-db", "-f", config]
        if not name.startswith("plimsoll"):
            with open(config, "w") as file:
                file.write(text)
            if name == "envoy":
                os.rename(config, config + ".yaml")
                command[2] = config + ".yaml"
        with process(command, port, log) as running:
            if name.startswith("plimsoll"):
                time.sleep(1)  # until it has asked what is behind
            yield port, running


def mark(good):
    return "ok" if good else "MISSED"


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Memory(threading.Thread):
    """The largest resident memory of a process while it runs."""

    def __init__(self, running):
        super().__init__(daemon=True)
        self.pid, self.most, self.stopped = running.pid, 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(0.2):
            with contextlib.suppress(OSError, StopIteration):
                self.most = max(self.most, rss_mib(self.pid))


def storm(options):
    """300 -> 2,000 -> 300 approle logins a second, 5 s timeout."""
    calm, seconds = options.calm, options.storm
    phases = f"{calm}s:300,{seconds}s:2000,{calm}s:300"
    row("storm", "ok/s before", "ok/s in it", "p99 ms", "timeouts", "refused calm", "ok/s after",
        "p99 after 1 s", widths=WIDTHS)
    found = {}
    for name in options.peers:
        with bao_server() as (upstream, token), peer(name, upstream) as (port, _):
            report = load(port, "approle-login", "--phases", phases, "--timeout", "5s",
                          "--in-flight-max", "12000", token=token)
        by_second = report["seconds"]
        before, during = by_second[:calm], by_second[calm:calm + seconds]
        after = by_second[calm + seconds:calm + seconds + calm]
        refused = sum(s["outcomes"]["refused"] for s in before + after[1:])
        timeouts = sum(s["outcomes"]["timeout"] for s in during)
        # The seconds' quantiles, weighted by their answers: the p99 of the storm.
        answers = sum(s["accepted"]["count"] for s in during) or 1
        p99 = sum(s["accepted"]["p99_ms"] * s["accepted"]["count"] for s in during) / answers
        found[name] = (rate(during), p99, timeouts, refused, worst(after[1:]))
        row(name, f"{rate(before):.0f}", f"{rate(during):.0f}", f"{p99:.0f}", timeouts, refused,
            f"{rate(after):.0f}", f"{worst(after[1:]):.0f} ({worst(before):.0f} before)",
            widths=WIDTHS)
    if "plimsoll" not in found:
        return
    goodput, p99, timeouts, refused, after = found["plimsoll"]
    quick = [f[0] for name, f in found.items() if name.startswith("haproxy") and f[1] <= 300]
    if quick:
        row("  best HAProxy <= 300 ms", f"{goodput / max(quick):.2f}x", ">= 0.95",
            mark(goodput >= 0.95 * max(quick)))
    if "envoy" in found:
        row("  Envoy", f"{goodput / max(found['envoy'][0], 1):.2f}x", ">= 1.3",
            mark(goodput >= 1.3 * found["envoy"][0]))
    row("  p99 in the storm", f"{p99:.0f} ms", "<= 300", mark(p99 <= 300))
    row("  timeouts in it", timeouts, "0", mark(timeouts == 0))
    row("  refused in the calm", refused, "0", mark(refused == 0))


# What `prepare_reads` has written; nothing is prepared for it.
READ = "GET:/v1/load-kv1/key-{n}"


def prepare_reads(port, token):
    """What the load generator reads, written once: kv 1 under load-kv1/."""
    load(port, "kv1-get", "--phases", "1s:50", token=token)


def beside_storm(port, reads_port, token, seconds):
    """Reads at 500/s through `reads_port` beside 2,000 logins/s through `port`: both reports, and
    what was stolen meanwhile."""
    logins = {}
    storming = threading.Thread(target=lambda: logins.update(load(
        port, "approle-login", "--phases", f"{seconds + 6}s:2000", "--timeout", "5s",
        "--in-flight-max", "12000", token=token)))
    storming.start()
    # Until their role is there, and the storm has begun.
    time.sleep(4)
    stolen = Stolen()
    report = load(reads_port, READ, "--phases", f"{seconds}s:500", "--timeout", "5s", token=token)
    stolen = stolen.part()
    storming.join()
    return logins, report, stolen


def reads(options):
    """kv reads at 500/s beside the storm."""
    row("reads beside the storm", "usual p99", "ok %", "p99 ms", "logins ok/s", "stolen %")
    for name in [name for name in options.peers if name in ("direct", "envoy", "plimsoll")]:
        with bao_server() as (upstream, token), peer(name, upstream) as (port, _):
            prepare_reads(upstream, token)
            usual = load(port, READ, "--phases", "5s:500", token=token)
            logins, report, stolen = beside_storm(port, port, token, options.storm)
        share = report["outcomes"]["ok"] / sum(report["outcomes"].values())
        p99, bound = report["accepted"]["p99_ms"], 3 * max(usual["accepted"]["p99_ms"], 10)
        row(name, f"{usual['accepted']['p99_ms']:.1f}", f"{100 * share:.1f}", f"{p99:.0f}",
            f"{rate(logins['seconds']):.0f}", f"{100 * stolen:.0f}")
        if name == "plimsoll":
            row("  answered", f"{share:.3f}", ">= 0.99", mark(share >= 0.99))
            row("  p99", f"{p99:.0f} ms", f"<= {bound:.0f}", mark(p99 <= bound))


def places(options):
    """What so many logins in OpenBao cost the reads there: those go past the proxy."""
    row("logins through", "logins ok/s", "reads' median", "p90 ms", "p99 ms", "stolen %")
    for name in [*(f"haproxy-{count}" for count in (4, 8, 12, 16, 24, 48)), "plimsoll"]:
        with bao_server() as (upstream, token), peer(name, upstream) as (port, _):
            prepare_reads(upstream, token)
            logins, report, stolen = beside_storm(port, upstream, token, options.beside)
        accepted = report["accepted"]
        row(name, f"{rate(logins['seconds'][4:4 + options.beside]):.0f}",
            *(f"{accepted[quantile]:.0f}" for quantile in ("p50_ms", "p90_ms", "p99_ms")),
            f"{100 * stolen:.0f}")


def hog(options):
    """One identity at 1,800 logins/s beside 50 quiet ones at 4/s each."""
    seconds = options.storm
    row("a hog beside 50", "quiet ok %", "quiet p99", "hog ok/s", "all ok/s")
    for name in [name for name in options.peers if name in ("direct", "envoy", "plimsoll")]:
        with bao_server() as (upstream, token), peer(name, upstream) as (port, _):
            report = load(port, "approle-login", "--flow", f"quiet@127.0.1.1*50={seconds}s:4",
                          "--flow", f"hog@127.0.2.1={seconds}s:1800", "--timeout", "5s",
                          "--in-flight-max", "12000", token=token)
        quiet = [flow for flow in report["flows"] if flow["name"].startswith("quiet")]
        ok = sum(flow["outcomes"]["ok"] for flow in quiet)
        share = ok / sum(sum(flow["outcomes"].values()) for flow in quiet)
        hogged = next(flow for flow in report["flows"] if flow["name"] == "hog")["outcomes"]["ok"]
        row(name, f"{100 * share:.1f}", f"{max(f['accepted']['p99_ms'] for f in quiet):.0f}",
            f"{hogged / seconds:.0f}", f"{(ok + hogged) / seconds:.0f}")
        if name == "plimsoll":
            row("  quiet answered", f"{share:.3f}", ">= 0.98", mark(share >= 0.98))


def fivefold(options):
    """5,000 logins a second: goodput kept, memory bounded.

    What OpenBao can do drifts with what it has stored, so 2,000/s come before and after.
    """
    seconds = options.fivefold
    with bao_server() as (upstream, token), peer("plimsoll", upstream) as (port, running):
        memory = Memory(running)
        report = load(port, "approle-login", "--phases", f"10s:2000,{seconds}s:5000,10s:2000",
                      "--timeout", "5s", "--in-flight-max", "12000", token=token)
        memory.stopped.set()
    answered = report["seconds"]
    before, after = rate(answered[2:10]), rate(answered[12 + seconds:20 + seconds])
    five, twice = rate(answered[10:10 + seconds]), (before + after) / 2
    row(f"5x for {seconds} s", "2x before", "ok/s at 5x", "2x after", "RSS MiB", "timeouts")
    row("plimsoll", f"{before:.0f}", f"{five:.0f}", f"{after:.0f}",
        f"{memory.most:.0f}", report["outcomes"]["timeout"])
    kept = five / max(twice, 1)
    row("  kept", f"{kept:.2f}", ">= 0.8", mark(kept >= 0.8))
    row("  memory", f"{memory.most:.0f} MiB", "<= 256", mark(memory.most <= 256))


def overhead(options):
    """1,000 kv reads a second, then 64 connections as fast as they can; the peers in turn.

    HAProxy has no limit here and refuses nobody, so what a request costs is compared with the
    protection off. With it on, 64 connections are as many as may all wait: none is refused.
    """
    row("overhead", "median ms", "p99 ms", "reads/s at 64", "refused/s", "stolen %")
    names = ["direct", "haproxy", "plimsoll", "plimsoll-off"]
    paced, answered, refused, stolen = ({name: [] for name in names} for _ in range(4))
    with contextlib.ExitStack() as peers:
        upstream, token = peers.enter_context(bao_server())
        prepare_reads(upstream, token)
        ports = {name: peers.enter_context(peer(name, upstream))[0] for name in names}
        for port in ports.values():
            # The first seconds open connections.
            load(port, READ, "--phases", "2s:1000", token=token)
        for turn in range(options.turns):
            # Who comes next finds OpenBao as the one before has left it.
            for name in names[::-1 if turn % 2 else 1]:
                meanwhile = Stolen()
                report = load(ports[name], READ, "--phases", "3s:1000", token=token)
                paced[name].append(report["accepted"])
                stolen[name].append(meanwhile.part())
                report = load(ports[name], READ, "--closed-loop", "64", "--duration", "2s",
                              token=token)
                for outcome, found in [("ok", answered), ("refused", refused)]:
                    found[name].append(report["outcomes"][outcome] / report["duration_s"])
    quiet = {name: undisturbed(paced[name], stolen[name]) for name in names}
    middle = {name: [statistics.median(one[quantile] for one in quiet[name])
                     for quantile in ("p50_ms", "p99_ms")] for name in names}
    for name in names:
        row(name, *(f"{ms:.2f}" for ms in middle[name]), f"{statistics.median(answered[name]):.0f}",
            f"{statistics.median(refused[name]):.0f}",
            " ".join(f"{100 * part:.0f}" for part in stolen[name]))
    ours, alone, theirs = middle["plimsoll"], middle["direct"], middle["haproxy"]
    row("  median over direct", f"{ours[0] - alone[0]:+.2f} ms", "<= +0.3",
        mark(ours[0] <= alone[0] + 0.3))
    row("  p99 over HAProxy's", f"{ours[1] - theirs[1]:+.2f} ms", "<= +0.5",
        mark(ours[1] <= theirs[1] + 0.5))
    for name, what in [("plimsoll-off", "protection off"), ("plimsoll", "on")]:
        ratio = statistics.median(a / b for a, b in zip(answered[name], answered["haproxy"]))
        row(f"  throughput, {what}", f"{ratio:.2f}x", ">= 0.7", mark(ratio >= 0.7))


# A part of the processors that is missed: without a tenth of them a p99 of 5 ms is one of 15.
STOLEN_MAX = 0.02


def undisturbed(figures, stolen):
    """Those that were measured with the processors there; all of them if none was."""
    return [one for one, part in zip(figures, stolen) if part <= STOLEN_MAX] or figures


class Broken:
    """An upstream that is broken in one way, until told otherwise."""

    def __init__(self):
        self.port, self.listener = free_port(), None
        self.become("fine")

    def become(self, mode):
        self.mode = mode
        if mode == "gone":
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        elif self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
            threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, contextlib.suppress(OSError):
            # One request a connection is all that a broken server serves.
            if not client.recv(65536):
                return
            if self.mode == "hangs":
                client.recv(1)
            elif self.mode == "garbage":
                client.sendall(b"\x16\x03\x01 what is this?\r\n\r\n")
            elif self.mode == "half a body":
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            elif self.mode == "fine":
                client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")


def ask(port, count, threads):
    """What `count` requests were answered with: a status, or that the body ended early."""
    answers, lock, left = {}, threading.Lock(), [count]

    def client():
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
            try:
                with socket.create_connection(("127.0.0.1", port), 20) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                    text = b"".join(iter(lambda: connection.recv(65536), b""))
                answer = text[9:12].decode() + (" cut" if text.endswith(b"half") else "")
            except OSError as error:
                answer = type(error).__name__
            with lock:
                answers[answer] = answers.get(answer, 0) + 1

    clients = [threading.Thread(target=client) for _ in range(threads)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return answers


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def broken(options):
    """Upstreams that are broken in every way, 1,000 rounds each."""
    row("broken upstream", "rounds", "answers", "RSS MiB", "places left")
    upstream, port, health = Broken(), free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as directory:
        config = os.path.join(directory, "proxy.hcl")
        with open(config, "w") as file:
            file.write(f'upstream {{\n  address = "http://127.0.0.1:{upstream.port}"\n'
                       '  kind = "http"\n  timeout = "500ms"\n}\n')
        command = [str(BINARY), "proxy", "--config", config, "--listen", f"127.0.0.1:{port}",
                   "--health-listen", f"127.0.0.1:{health}"]
        with process(command, port, os.path.join(directory, "log")) as running:
            rounds = [("fine", {"200"}), ("garbage", {"502"}), ("half a body", {"200 cut"}),
                      ("gone", {"502"}), ("hangs", {"503", "504"}), ("fine", {"200"})]
            ask(port, options.rounds, 16)
            first = rss_mib(running.pid)
            for mode, allowed in rounds:
                upstream.become(mode)
                answers = ask(port, options.rounds, 64 if mode == "hangs" else 16)
                if mode == "hangs":
                    # Its last requests are let go, and the two seconds pass in which
                    # it is to be used again.
                    upstream.become("fine")
                    ask(port, 200, 4)
                    time.sleep(2)
                places = metric(health, "plimsoll_gate_in_flight") + metric(
                    health, "plimsoll_proxy_at_upstream")
                row(f"  {mode}", options.rounds,
                    " ".join(f"{status}:{count}" for status, count in sorted(answers.items())),
                    f"{rss_mib(running.pid):.1f}", f"{places:.0f}",
                    mark(set(answers) <= allowed and places == 0))
            row("  memory after all", f"{rss_mib(running.pid) - first:+.1f} MiB", "<= +16",
                mark(rss_mib(running.pid) <= first + 16))


def hangs(bao):
    """It hangs for 10 s."""
    bao.process.send_signal(signal.SIGSTOP)
    time.sleep(10)
    bao.process.send_signal(signal.SIGCONT)


def is_killed(bao):
    """It is killed, started again at once, and unsealed."""
    end(bao.process, signal.SIGKILL)
    bao.start()


def is_away(bao):
    """It refuses connections for 10 s, and is sealed until it is unsealed."""
    end(bao.process, signal.SIGKILL)
    time.sleep(10)
    bao.start()


# Seconds before an OpenBao gets into trouble, and after it must be out of it.
BEFORE, AFTER = 5, 9


def trouble(options):
    """OpenBao hangs, is killed, refuses connections: at what fits, and in an overload."""
    row("OpenBao in trouble", "logins/s", "ok/s before", "away for s", "ok/s after",
        "at capacity after s", widths=WIDTHS)
    for happens in [hangs, is_killed, is_away]:
        for offered in [300, 1000]:
            with bao() as server, peer("plimsoll", server.port) as (port, _):
                report = {}
                begin = time.monotonic()
                loading = threading.Thread(target=lambda: report.update(load(
                    port, "approle-login", "--phases", f"{BEFORE + AFTER + 12}s:{offered}",
                    "--timeout", "5s", "--in-flight-max", "12000", token=server.token)))
                loading.start()
                time.sleep(BEFORE)
                happens(server)
                back = time.monotonic() - begin
                loading.join()
            ok = [second["outcomes"]["ok"] for second in report["seconds"]]
            usual = sum(ok[1:BEFORE - 1]) / (BEFORE - 2)
            # Chance makes a tenth of what is answered in a second of an overload.
            enough = usual * (0.95 if offered == 300 else 0.8)
            after = [i for i in range(int(back), len(ok) - 1) if min(ok[i:i + 2]) >= enough]
            took = max(after[0] - back, 0.0) if after else float("inf")
            late = ok[int(back) + 3:int(back) + AFTER]
            row(happens.__name__.replace("_", " "), offered, f"{usual:.0f}",
                f"{back - BEFORE:.1f}", f"{sum(late) / max(len(late), 1):.0f}", f"{took:.1f}",
                mark(took <= 2), widths=WIDTHS)


PARTS = {"storm": storm, "reads": reads, "places": places, "hog": hog, "fivefold": fivefold,
         "overhead": overhead, "broken": broken, "trouble": trouble}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--calm", type=int, default=5, help="seconds before and after a storm")
    parser.add_argument("--storm", type=int, default=20, help="seconds of a storm")
    parser.add_argument("--rounds", type=int, default=1000, help="with each broken upstream")
    parser.add_argument("--fivefold", type=int, default=60, help="seconds at 5x")
    parser.add_argument("--beside", type=int, default=6, help="seconds, each number of places")
    parser.add_argument("--turns", type=int, default=5, help="of each peer, for the overhead")
    options = parser.parse_args()
    for name in options.only:
        PARTS[name](options)
        print(flush=True)


if __name__ == "__main__":
    main()
