"""A real disk, slowed and broken from outside with strace.

With every fdatasync delayed by 500 ms no write may be answered sooner; with every
fdatasync failing none may be acknowledged, and health must say why.
"""

import argparse
import contextlib
import http.client
import os
import subprocess
import tempfile
import threading
import time

from bench.harness import BINARY, Api, end, free_port, wait_until_traced, wait_until_up

MOUNT = {"type": "kv", "options": {"version": "1"}}


def attach(pid, injection):
    """Lets strace inject into a running server; returns once it is attached."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", f"inject=fdatasync,fsync:{injection}",
         "-o", os.devnull, "-p", str(pid)], stderr=subprocess.DEVNULL)
    wait_until_traced(pid)
    time.sleep(0.5)
    return tracer


@contextlib.contextmanager
def traced(injection):
    port, health = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="plimsoll-faults-") as directory:
        log = open(os.path.join(directory, "log"), "wb")
        process = subprocess.Popen(
            [str(BINARY), "server", "--dev", "--listen", f"127.0.0.1:{port}", "--dev-root-token", "root",
             "--health-listen", f"127.0.0.1:{health}", "--data-dir", f"{directory}/data"],
            stdout=log, stderr=log)
        tracer = None
        try:
            wait_until_up(port, process)
            Api(port).must("POST", "sys/mounts/faults", MOUNT)
            tracer = attach(process.pid, injection)
            yield port, health
        finally:
            if tracer is not None:
                end(tracer)
            end(process)


def slow_sync(writers, seconds):
    with traced("delay_enter=500000") as (port, _):
        fastest, count = [], []

        def put(name):
            api, end_at = Api(port), time.monotonic() + seconds
            while time.monotonic() < end_at:
                began = time.monotonic()
                status, _ = api.call("PUT", f"faults/{name}", {"value": "x"})
                if status == 204:
                    fastest.append(time.monotonic() - began)
                    count.append(1)

        threads = [threading.Thread(target=put, args=(n,)) for n in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"fdatasync delayed by 500 ms: {len(count)} writes, the fastest answered after "
              f"{min(fastest) * 1000:.0f} ms", flush=True)
        assert min(fastest) >= 0.5, "a write was answered before its sync"


def failing_sync(writers):
    with traced("error=EIO") as (port, health):
        answers = []

        def put(name):
            with contextlib.suppress(OSError, http.client.HTTPException):
                answers.append(Api(port).call("PUT", f"faults/{name}", {"value": "x"})[0])

        threads = [threading.Thread(target=put, args=(n,)) for n in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status, body = Api(health, token=None).call("GET", "sys/health")
        print(f"fdatasync failing with EIO: answers {sorted(set(answers))}, health {status} "
              f"({body.get('storage_fault')})", flush=True)
        assert answers and all(status >= 500 for status in answers), "a write was acknowledged"
        assert status == 503, "health hides it"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    slow_sync(options.writers, options.seconds)
    failing_sync(options.writers)


if __name__ == "__main__":
    main()
