"""Each gate beside that of the writes, on a real server: bench/run gates [NAME...].

The figures stand beside their marks; a figure that misses its mark is shown with `!`.
Short by default; --long runs for as long as the marks were set for.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from bench.harness import (BINARY, TOKEN, Api, Stolen, cpu_seconds, dev_server, end, free_port, load, rate,
                           row, slow_disk, wait_until_up, worst)

MISSED = []


def figure(name, value, mark="", holds=True):
    """A line: what was measured, what it was to be."""
    if not holds:
        MISSED.append(name)
    row(name, value, f"{mark} {'' if holds else '!'}", widths=(46, 22, 30))


def title(text):
    print(f"\n{text}", flush=True)


@contextlib.contextmanager
def pinned(core):
    """Whatever is started within runs on one core, if there is more than one."""
    before = os.sched_getaffinity(0)
    if len(before) > 1:
        os.sched_setaffinity(0, {sorted(before)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def server(*options, core=None, **more):
    """A dev server with a health listener, on one core if one is named; yields both
    ports and its process id."""
    health = free_port()
    place = pinned(core) if core is not None else contextlib.nullcontext()
    with contextlib.ExitStack() as stack:
        with place:
            port, process = stack.enter_context(
                dev_server("--health-listen", f"127.0.0.1:{health}", *options, process=True, **more))
        yield port, health, process.pid


def together(*jobs):
    """Runs functions at the same time; their results, in order."""
    results = [None] * len(jobs)
    failures = []

    def run(index, job):
        try:
            results[index] = job()
        except Exception as error:  # told below, by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index, job)) for index, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class Given:
    """Which seconds of a load had a core for themselves: what is refused while a part of
    it is stolen, or the second after, is not false."""

    STOLEN_MAX = 0.05

    def __init__(self, core=0):
        self.core, self.samples, self.stop = core, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def ticks(self):
        with open("/proc/stat") as stat:
            line = next(line for line in stat if line.startswith(f"cpu{self.core} "))
        return int(line.split()[8])

    def watch(self):
        while not self.stop.wait(0.05):
            self.samples.append((time.monotonic(), self.ticks()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.ended = time.monotonic()

    def seconds(self, report):
        """Those of the report, which ended with the load."""
        seconds = report["seconds"]
        begin = self.ended - len(seconds)

        def stolen(second):
            within = [ticks for at, ticks in self.samples if 0 <= at - begin - second < 1]
            return (within[-1] - within[0]) / os.sysconf("SC_CLK_TCK") if within else 0

        short = [stolen(number) > self.STOLEN_MAX for number in range(-1, len(seconds))]
        return [second for number, second in enumerate(seconds) if not any(short[number:number + 2])]


class HealthWatch:
    """Asks the health listener ten times a second, as a balancer would, and remembers."""

    def __init__(self, port):
        self.port, self.waits, self.full, self.loads = port, [], {}, {}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.stolen = Stolen()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.stolen = self.stolen.part()

    def watch(self):
        api = Api(self.port, token=None, timeout=10)
        while not self.stop.wait(0.1):
            began = time.monotonic()
            try:
                _, body = api.call("GET", "sys/health")
            except OSError:
                self.waits.append(10.0)
                continue
            self.waits.append(time.monotonic() - began)
            self.loads[body["load"]] = self.loads.get(body["load"], 0) + 1
            for gate, state in body["gates"].items():
                if state != "ok":
                    self.full[gate] = self.full.get(gate, 0) + 1
            if body["commit_stalled_ms"] is not None:
                self.full["(commit stalled)"] = self.full.get("(commit stalled)", 0) + 1

    def print(self, expected=None):
        waits = sorted(self.waits)
        p99 = 1000 * waits[int(0.99 * (len(waits) - 1))] if waits else float("nan")
        figure("health on its own listener, p99", f"{p99:.1f} ms", "<= 100 ms", p99 <= 100)
        if self.stolen > 0.02:
            figure("  stolen by other machines on the host", f"{100 * self.stolen:.0f} %")
        named = ", ".join(f"{gate} {count}" for gate, count in sorted(self.full.items())) or "none"
        figure("  gates it named, of how many answers", f"{named} of {len(waits)}",
               f"names {expected}" if expected else "",
               expected is None or expected in self.full)


def outcomes(report):
    total = report["outcomes"]
    return total, sum(total.values())


def share(report):
    total, offered = outcomes(report)
    return total["ok"] / max(offered, 1)


def puts(port, seconds, per_second=500):
    return load(port, "kv1-put", "--phases", f"{seconds}s:{per_second}")


def show_puts(report, p99_ms_max=None):
    part = share(report)
    figure("500 puts/s kept", f"{100 * part:.2f} %", ">= 95 %", part >= 0.95)
    p99 = report["accepted"]["p99_ms"]
    figure("  their p99", f"{p99:.1f} ms", f"<= {p99_ms_max} ms" if p99_ms_max else "",
           p99_ms_max is None or p99 <= p99_ms_max)


def crypto(seconds):
    title("crypto: 200 userpass logins/s beside 500 puts/s")
    with server() as (port, health, _), HealthWatch(health) as watch:
        logins, writes = together(
            lambda: load(port, "userpass-login", "--phases", f"{seconds}s:200"),
            lambda: puts(port, seconds))
    show_puts(writes, 50)
    total, offered = outcomes(logins)
    figure("logins answered", f"{total['ok'] / seconds:.1f}/s of {offered / seconds:.0f}/s")
    refused = logins["refused"]["p99_ms"]
    figure("logins refused, p99", f"{refused:.1f} ms", "<= 20 ms", refused <= 20)
    figure("timeouts and errors", total["timeout"] + total["error"], "0",
           total["timeout"] + total["error"] == 0)
    watch.print("crypto")


def reads(seconds):
    title("reads: 64 readers at full speed beside 500 puts/s")
    with server() as (port, health, _), HealthWatch(health) as watch:
        load(port, "kv1-get", "--closed-loop", "1", "--duration", "1s")
        readers, writes = together(
            lambda: load(port, "kv1-get", "--closed-loop", "64", "--duration", f"{seconds}s"),
            lambda: puts(port, seconds))
    show_puts(writes)
    figure("reads", f"{readers['outcomes']['ok'] / seconds:.0f}/s")
    watch.print()


def cpu(seconds):
    """The CPU gate, one core for the server and one for the generator."""
    title("cpu: 400 us a login besides, server on one core, generator on the other")
    login = ["approle-login"]

    def run(port, *options):
        stolen = Stolen()
        with pinned(1):
            report = load(port, *login, *options)
        if stolen.part() > 0.02:
            figure("  (stolen by other machines on the host", f"{100 * stolen.part():.0f} %)")
        return report

    with server("--dev-cpu-cost", "400us", core=0) as (port, health, pid):
        with HealthWatch(health) as watch:
            before = cpu_seconds(pid)
            closed = run(port, "--closed-loop", "16", "--duration", f"{min(seconds, 10)}s")
            spent = cpu_seconds(pid) - before
            peak = closed["outcomes"]["ok"] / closed["duration_s"]
            login_s = spent / closed["outcomes"]["ok"]
            figure("peak, closed loop of 16", f"{peak:.0f}/s, {1e6 * login_s:.0f} us each")
            refusal_s = refusal_cost(port, pid, min(seconds, 5))
            figure("a refusal costs", f"{1e6 * refusal_s:.1f} us")
            with Given() as given:
                calm = run(port, "--phases", f"{seconds}s:{int(0.7 * peak)}")
            total, offered = outcomes(calm)
            figure("0.7x: refused", f"{100 * total['refused'] / offered:.3f} %")
            whole = given.seconds(calm)
            refused = sum(second["outcomes"]["refused"] for second in whole)
            refused *= 100 / max(sum(sum(second["outcomes"].values()) for second in whole), 1)
            figure(f"  in {len(whole)} of {seconds} s with the core given", f"{refused:.3f} %", "<= 0.1 %",
                   refused <= 0.1)
            figure("  p99", f"{calm['accepted']['p99_ms']:.1f} ms")
            for factor in (2, 3, 5):
                report = run(port, "--phases", f"{seconds}s:{int(factor * peak)}")
                total, offered = outcomes(report)
                good, no = total["ok"] / seconds, total["refused"] / seconds
                left = max(1 - no * refusal_s, 0) * peak
                figure(f"{factor}x: goodput over what is left", f"{good:.0f}/s, {good / left:.3f}",
                       ">= 0.9", good >= 0.9 * left)
                p99 = report["accepted"]["p99_ms"]
                figure("  p99 of the accepted", f"{p99:.1f} ms", "<= 100 ms", p99 <= 100)
                lost = total["timeout"] + total["error"] + total["dropped"]
                figure("  timeouts, errors, dropped", lost, "0", lost == 0)
        watch.print("cpu")


def refusal_cost(port, pid, seconds):
    """Processor seconds of a refusal: of as many as a closed loop gets."""
    before = cpu_seconds(pid)
    with pinned(1):
        report = load(port, "approle-login", "--closed-loop", "16", "--duration", f"{seconds}s",
                      "--header", "x-vault-aop-force-reject:true")
    return (cpu_seconds(pid) - before) / max(report["outcomes"]["refused"], 1)


INFLATES = b'{"k":[' + b'{"":0},' * (32 * 2**20 // 7 - 16) + b"0]}"


def post(port, path, body, token=TOKEN, timeout=60):
    """The status of a large request; whatever the server does to the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        head = (f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {token}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(head.encode())
            client.sendall(body)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n" not in answer:
                part = client.recv(4096)
                if not part:
                    break
                answer += part
    return int(answer.split()[1]) if answer.startswith(b"HTTP") else 0


def memory(seconds):
    title("memory: 200 bodies of 32 MiB at once that inflate 35x and more, beside 500 puts/s")
    statuses = {}
    with server() as (port, health, pid), HealthWatch(health) as watch:
        load(port, "kv1-put", "--phases", "1s:10")

        def bomb():
            status = post(port, "load-kv1/bomb", INFLATES)
            statuses[status] = statuses.get(status, 0) + 1

        def bombs():
            threads = [threading.Thread(target=bomb) for _ in range(200)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        began = time.monotonic()
        _, writes = together(bombs, lambda: puts(port, seconds))
        took = time.monotonic() - began
        peak = resident_mib(pid)
    figure("answers", str(statuses), "413 or 503", set(statuses) <= {413, 503})
    figure("  all of them after", f"{took:.1f} s")
    figure("peak resident memory", f"{peak:.0f} MiB", "< 512 MiB", peak < 512)
    figure("500 puts/s kept meanwhile", f"{100 * share(writes):.1f} %")
    watch.print()


def connections(seconds):
    title("connections: 2,000 that send a byte a second, 200 that never read, beside 500 puts/s")
    with server() as (port, health, pid), HealthWatch(health) as watch:
        load(port, "kv1-put", "--phases", "1s:10")
        big = "x" * 900_000
        Api(port).must("PUT", "load-kv1/big", {"value": big})
        before = puts(port, seconds)
        stop = threading.Event()
        crowd = [threading.Thread(target=trickle, args=(port, 500, stop)) for _ in range(4)]
        crowd.append(threading.Thread(target=deaf, args=(port, 200, stop)))
        for thread in crowd:
            thread.start()
        time.sleep(2)
        writes = puts(port, seconds)
        stop.set()
        for thread in crowd:
            thread.join()
        peak = resident_mib(pid)
    show_puts(writes, 50)
    figure("  their p99 without the crowd", f"{before['accepted']['p99_ms']:.1f} ms")
    figure("peak resident memory", f"{peak:.0f} MiB", "< 512 MiB", peak < 512)
    watch.print()


def trickle(port, count, stop):
    """Holds requests open, a byte of the body a second each; comes back when cut off."""
    head = (b"POST /v1/load-kv1/slow HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: root\r\n"
            b"Content-Length: 100000\r\n\r\n")
    clients = [None] * count
    while not stop.wait(1):
        for index, client in enumerate(clients):
            try:
                if client is None:
                    clients[index] = client = socket.create_connection(("127.0.0.1", port))
                    client.sendall(head)
                client.send(b" ")
            except OSError:
                clients[index] = None
    for client in clients:
        if client is not None:
            client.close()


def deaf(port, count, stop):
    """Asks for a large answer again and again and reads none of it."""
    ask = (b"GET /v1/load-kv1/big HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: root\r\n\r\n")
    clients = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(ask * 10)
        clients.append(client)
    stop.wait()
    for client in clients:
        client.close()


def disk(seconds):
    title("disk: a file system of 600 MB, filled to its floor under load")
    if os.environ.get("PLIMSOLL_BENCH_NAMESPACE") is None:
        # The file system is of this test alone, and goes with its name space.
        environment = dict(os.environ, PLIMSOLL_BENCH_NAMESPACE="1")
        subprocess.run(["unshare", "--mount", "python3", "-m", "bench.gates", "disk",
                        "--seconds", str(seconds)], env=environment, check=True)
        return
    with tempfile.TemporaryDirectory(prefix="plimsoll-disk-") as small:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", small], check=True)
        try:
            full_disk(small, seconds)
        finally:
            subprocess.run(["umount", "-l", small], check=True)


def full_disk(small, seconds):
    filler = os.path.join(small, "filler")
    with server(directory=small) as (port, health, _), HealthWatch(health) as watch:
        load(port, "kv1-put", "--phases", "1s:100")
        api = Api(port)
        acknowledged = [f"load-kv1/kept-{n}" for n in range(200)]
        for path in acknowledged:
            api.must("PUT", path, {"value": path})
        token = api.must("POST", "auth/token/create", {"policies": ["default"]})
        with open(filler, "wb") as file:
            while os.statvfs(small).f_bavail * os.statvfs(small).f_frsize > 100_000_000:
                file.write(b"x" * 1_000_000)
                file.flush()
        time.sleep(0.5)
        answers = {}
        report = load(port, "kv1-put", "--phases", f"{seconds}s:500", "--no-setup",
                      "--value-bytes", "1000")
        for outcome, count in report["outcomes"].items():
            if count:
                answers[outcome] = count
        status, body = api.call("PUT", "load-kv1/new", {"value": "x"})
        figure("a write that grows", f"{status} {body.get('code')}", "507", status == 507)
        figure("  500 of them a second", str(answers), "none ok", report["outcomes"]["ok"] == 0)
        lost = sum(api.call("GET", path)[1]["data"]["value"] != path for path in acknowledged)
        figure("acknowledged before and lost", lost, "0", lost == 0)
        deleted = sum(api.call("DELETE", path)[0] == 204 for path in acknowledged[:100])
        figure("deletes", f"{deleted} of 100", "all", deleted == 100)
        revoke = {"token": token["auth"]["client_token"]}
        status, _ = api.call("POST", "auth/token/revoke", revoke)
        figure("a revocation", status, "204", status == 204)
        os.unlink(filler)
        freed = time.monotonic()
        while api.call("PUT", "load-kv1/new", {"value": "x"})[0] != 204:
            if time.monotonic() - freed > 30:
                break
            time.sleep(0.02)
        reopened = time.monotonic() - freed
        figure("reopened after space was freed", f"{reopened:.2f} s", "<= 5 s", reopened <= 5)
    watch.print("disk")


def storm(seconds):
    title("health: 50x the capacity of a disk of 190 logins/s")
    with server("--dev-slow-disk", "sync=10ms,item=5ms") as (port, health, _):
        with HealthWatch(health) as watch:
            report = load(port, "approle-login", "--phases", f"{seconds}s:9500",
                          "--in-flight-max", "12000")
        total, _ = outcomes(report)
        figure("logins", f"{total['ok'] / seconds:.0f}/s, timeouts {total['timeout']}")
        watch.print("write")


def hang(seconds):
    pause = max(seconds, 30)
    title(f"health: a disk that hangs for {pause} s, under 300 logins/s")
    with server() as (port, health, _):
        load(port, "approle-login", "--phases", "1s:50")
        with HealthWatch(health) as watch:
            hung = threading.Timer(1, slow_disk, (port, f"hang={pause}s"))
            hung.start()
            report = load(port, "approle-login", "--phases", f"{pause + 4}s:300", "--timeout", "2s")
            hung.join()
        last = report["seconds"][-2:]
        figure("logins after it", f"{rate(last):.0f}/s of 300/s", "", rate(last) > 285)
        watch.print("(commit stalled)")


TESTS = {"crypto": crypto, "disk": disk, "cpu": cpu, "reads": reads, "memory": memory,
         "connections": connections, "storm": storm, "hang": hang}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TESTS))
    parser.add_argument("--seconds", type=int, help="of each load; 8 unless --long, then 60")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    unknown = set(options.names) - set(TESTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    seconds = options.seconds or (60 if options.long else 8)
    for name in options.names or TESTS:
        TESTS[name](seconds)
    print(f"\n{len(MISSED)} missed" + (": " + "; ".join(MISSED) if MISSED else ""))


if __name__ == "__main__":
    main()
