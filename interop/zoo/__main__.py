"""The client zoo: what real clients do when they are refused.

Each client asks each of the server's ports once for a secret and once to write one,
all at the same time; the server refuses for as long as it is asked. The tables say how
often a request was sent and how long the client waited in between.
"""

import argparse
import concurrent.futures
import pathlib
import signal
import subprocess
import sys
import threading

from interop.zoo.server import REFUSALS, SHORT, Server

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ZOO = ROOT / "target" / "zoo"
BEGIN, END = "<!-- begin: interop/zoo/run -->", "<!-- end: interop/zoo/run -->"
CLIENTS_AT_ONCE_MAX = 3
PAGE = ROOT / "docs" / "clients.md"


def driver(*command):
    """A program that asks all targets by itself."""
    return lambda name, targets: [([*map(str, command), name, *targets], targets)]


def each(command):
    """A program for each target."""
    return lambda _, targets: [(command(*target.rsplit("/", 1)), [target]) for target in targets]


def bao(url, kind):
    write = ["write", "secret/zoo", "a=b"] if kind == "write" else ["read", "secret/zoo"]
    return ["env", f"BAO_ADDR={url}", "BAO_TOKEN=root", str(ZOO / "venv/bin/bao"), *write]


def bao_advised(url, kind):
    command, *rest = bao(url, kind)
    return [command, "BAO_MAX_RETRIES=2", *rest]


def curl(url, kind):
    body = ["-d", '{"a":"b"}'] if kind == "write" else []
    return ["curl", "-s", "--retry", "3", *body, f"{url}/v1/secret/zoo"]


def curl_advised(url, kind):
    """No option keeps curl from repeating a POST: only reads get --retry."""
    command = curl(url, kind)
    if kind == "write":
        return [part for part in command if part not in ("--retry", "3")]
    return [*command, "--retry-max-time", "30"]


PYTHON = driver(ZOO / "venv/bin/python", HERE / "clients.py")
NODE = driver("node", ZOO / "node/clients.mjs")
RUST = driver(ZOO / "rust/debug/interop-zoo")
CLIENTS = {
    "plimsoll-retry": driver(ROOT / "target/debug/examples/zoo"),
    "bao": each(bao),
    "hvac": PYTHON,
    "node-vault": NODE,
    "vaultrs": RUST,
    "requests, Retry(3)": PYTHON,
    "azure-core (Python)": PYTHON,
    "core-rest-pipeline (JS)": NODE,
    "axios-retry": NODE,
    "reqwest-retry": RUST,
    "curl --retry 3": each(curl),
    "bao, advised": each(bao_advised),
    "hvac, advised": PYTHON,
    "requests, advised": PYTHON,
    "axios-retry, advised": NODE,
    "curl, advised": each(curl_advised),
}
# They take a minute to build, and the advice needs no proof every day.
FULL_ONLY = ("vaultrs", "reqwest-retry", "bao, advised", "hvac, advised", "requests, advised",
             "axios-retry, advised", "curl, advised")


def run(command, targets, seconds):
    """Which of its targets a program was done with before the time was up."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        said = process.stdout.read().split("\n")
        killed = process.wait() == -signal.SIGKILL
    finally:
        timer.cancel()
    return {target for target in targets if target in said or not killed}


def visit(name, refusals, seconds):
    """One client: what each refusal of each kind of request led to."""
    cases = [(refusal, kind) for refusal in refusals for kind in ("read", "write")]
    servers = [Server(refusal) for refusal, _ in cases]
    targets = [f"{server.url}/{kind}" for server, (_, kind) in zip(servers, cases)]
    programs = CLIENTS[name](name, targets)
    with concurrent.futures.ThreadPoolExecutor(len(programs)) as pool:
        ended = set().union(*pool.map(lambda program: run(*program, seconds), programs))
    for server in servers:
        server.shutdown()
    return {(refusal.name, kind): Case(server.arrivals, target in ended)
            for (refusal, kind), server, target in zip(cases, servers, targets)}


class Case:
    """The requests that arrived, and whether the client came to an end with them."""

    def __init__(self, arrivals, ended):
        self.arrivals, self.ended = arrivals, ended
        times = [time for time, _, _ in arrivals]
        self.gaps = [b - a for a, b in zip(times, times[1:])]

    def __str__(self):
        gaps = " ".join(f"{gap:.1f}" for gap in self.gaps)
        text = f"{len(self.arrivals)}: {gaps}" if gaps else str(len(self.arrivals))
        return text if self.ended else f"{text} parked"


def table(kind, zoo, refusals):
    rows = [["client", *(refusal.name for refusal in refusals)]]
    rows.append(["---"] * len(rows[0]))
    for name, seen in zoo.items():
        methods = {method for (_, k), case in seen.items() if k == kind
                   for _, method, _ in case.arrivals}
        cells = (str(seen[refusal.name, kind]) for refusal in refusals)
        rows.append([f"{name} ({'/'.join(sorted(methods))})", *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def check(seen):
    """What our own client promises; says what it breaks."""
    broken = []
    for (refusal, kind), case in seen.items():
        status = int(refusal[:3])
        asked = {"1 s": 1, "date": 1.9, "200 ms": .2}.get(refusal.partition(", ")[2], 0)
        expected = 3 if status in (429, 503) and refusal != "503, 1 h" else 1
        keys = {key for _, method, key in case.arrivals if method == "POST"}
        if len(case.arrivals) != expected or not case.ended:
            broken.append(f"{refusal}, {kind}: {case}, where {expected} were expected")
        if any(gap < asked for gap in case.gaps):
            broken.append(f"{refusal}, {kind}: came back too soon: {case}")
        if kind == "write" and (len(keys) != 1 or None in keys):
            broken.append(f"{refusal}, {kind}: keys {keys}")
    return broken


def generated(text):
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer refusals and clients")
    parser.add_argument("--seconds", type=float, help="after which a client is ended")
    parser.add_argument("--write", action="store_true", help=f"the tables into {PAGE.name}")
    options = parser.parse_args()
    refusals = SHORT if options.short else REFUSALS
    seconds = options.seconds or (12 if options.short else 40)
    names = [name for name in CLIENTS if not (options.short and name in FULL_ONLY)]
    # Only a few at a time: what is measured are their waits.
    with concurrent.futures.ThreadPoolExecutor(CLIENTS_AT_ONCE_MAX) as pool:
        zoo = dict(zip(names, pool.map(lambda name: visit(name, refusals, seconds), names)))
    tables = (f"{title}:\n\n{table(kind, zoo, refusals)}"
              for kind, title in (("read", "Reading a secret"), ("write", "Writing one")))
    text = "\n\n".join(tables)
    print(text)
    if options.write:
        generated(text)
    broken = check(zoo["plimsoll-retry"])
    print("\n".join(broken), file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
