"""One flow that offers 10x the capacity beside 20 quiet ones at 2 % of it each.

Flows are told apart by their address. Then 100 clients that trickle their bodies at
a byte a second beside one that offers 0.8 of the capacity.
"""

import argparse
import socket
import threading

from bench.harness import dev_server, load, row

DISK, CAPACITY = "sync=10ms,item=2ms", 475


def trickle(port, stop):
    """Holds a request open, a body byte a second."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /v1/auth/approle/login HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Length: 1000\r\n\r\n")
        while not stop.wait(1):
            try:
                client.sendall(b" ")
            except OSError:
                return


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    seconds = parser.parse_args().seconds
    quiet = f"quiet@127.0.1.1*20={seconds}s:{CAPACITY * 0.02:g}"
    hog = f"hog@127.0.2.1={seconds}s:{CAPACITY * 10}"
    with dev_server("--dev-slow-disk", DISK) as port:
        report = load(port, "approle-login", "--flow", quiet, "--flow", hog, "--timeout", "5s")
        row("flow", "offered", "ok", "share", "p99 ms")
        totals = {}
        for flow in report["flows"]:
            total = totals.setdefault(flow["name"].split("-")[0], [0, 0, 0.0])
            total[0] += sum(flow["outcomes"].values())
            total[1] += flow["outcomes"]["ok"]
            total[2] = max(total[2], flow["accepted"]["p99_ms"])
        for name, (offered, ok, p99) in totals.items():
            row(name, offered, ok, f"{ok / offered:.3f}", f"{p99:.0f}")
        goodput = sum(ok for _, ok, _ in totals.values()) / seconds
        row("all together", "", f"{goodput:.0f}/s", f"{goodput / CAPACITY:.3f} C*")
    with dev_server("--dev-slow-disk", DISK) as port:
        stop = threading.Event()
        clients = [threading.Thread(target=trickle, args=(port, stop)) for _ in range(100)]
        for client in clients:
            client.start()
        report = load(port, "approle-login", "--phases", f"{seconds}s:{CAPACITY * 8 // 10}")
        stop.set()
        for client in clients:
            client.join()
        offered = sum(report["outcomes"].values())
        row("0.8 C* beside 100 tricklers", offered, report["outcomes"]["ok"],
            f"{report['outcomes']['ok'] / offered:.4f}", f"{report['accepted']['p99_ms']:.0f}")


if __name__ == "__main__":
    main()
