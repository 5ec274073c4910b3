"""Servers, clients and loads for the benchmarks: the standard library only."""

import contextlib
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("PLIMSOLL_BINARY", ROOT / "target" / "release" / "plimsoll"))
TOKEN = "root"
# Whoever has not started by then never will, on a machine that has much else to do, too.
START_SECONDS_MAX = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Api:
    """A Vault API over one kept-alive connection."""

    def __init__(self, port, token=TOKEN, timeout=10, host="127.0.0.1"):
        self.host, self.port, self.token, self.timeout = host, port, token, timeout
        self.connection, self.index = None, None

    def call(self, method, path, body=None, token=None, headers=()):
        """The status and the decoded body; reconnects after an error. What a write is known by to those
        who read after it is left in `index`."""
        if self.connection is not None and not self.is_open():
            self.close()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        token = self.token if token is None else token
        headers = dict(headers, **({"X-Vault-Token": token} if token else {}))
        payload = json.dumps(body) if body is not None else None
        try:
            self.connection.request(method, f"/v1/{path}", payload, headers)
            response = self.connection.getresponse()
            text = response.read()
            self.index = response.headers.get("X-Vault-Index")
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        return response.status, json.loads(text) if text.strip() else None

    def is_open(self):
        """Not if connecting failed, or the server closed it, as after a refusal that left the body unread."""
        sock = self.connection.sock
        return sock is not None and not select.select([sock], [], [], 0)[0]

    def must(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer}")
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Stolen:
    """The part of the processors that the hypervisor gave to others: what is measured
    meanwhile is the host's, not the server's."""

    def __init__(self):
        self.before = self.ticks()

    @staticmethod
    def ticks():
        with open("/proc/stat") as stat:
            fields = [int(field) for field in stat.readline().split()[1:9]]
        return fields[7], sum(fields)

    def part(self):
        stolen, total = (now - before for now, before in zip(self.ticks(), self.before))
        return stolen / max(total, 1)


def wait_until_up(port, process, seconds=START_SECONDS_MAX):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
            api = Api(port, token=None, timeout=2)
            api.call("GET", "sys/seal-status")
            api.close()
            return
        time.sleep(0.02)
    raise RuntimeError("the server did not come up")


def wait_until_traced(pid, seconds=60):
    """Until every thread has a tracer: strace attaches to one after the other."""
    deadline = time.monotonic() + seconds
    while not is_traced(pid):
        if time.monotonic() > deadline:
            raise RuntimeError("strace did not attach")
        time.sleep(0.05)


def is_traced(pid):
    for thread in os.listdir(f"/proc/{pid}/task"):
        # One that has ended meanwhile needs no tracer.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{thread}/status") as status:
                if "TracerPid:\t0\n" in status.read():
                    return False
    return True


def end(process, how=signal.SIGTERM, seconds=40):
    """Ends a process that this module started, by its id."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def dev_server(*options, prefix=(), process=False, directory=None):
    """A dev server on a free port; yields the port, or the port and its process."""
    port, with_process = free_port(), process
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-", dir=directory) as directory:
        with open(os.path.join(directory, "log"), "wb") as log:
            process = subprocess.Popen(
                [*prefix, str(BINARY), "server", "--dev", "--listen", f"127.0.0.1:{port}",
                 "--dev-root-token", TOKEN, "--data-dir", os.path.join(directory, "data"), *options],
                stdout=log, stderr=log)
        try:
            wait_until_up(port, process)
            yield (port, process) if with_process else port
        finally:
            end(process)


class Bao:
    """A real OpenBao on raft storage, initialised and unsealed, that can be killed and started."""

    def __init__(self, directory):
        self.directory, self.port, cluster = directory, free_port(), free_port()
        os.mkdir(os.path.join(directory, "raft"))
        with open(os.path.join(directory, "bao.hcl"), "w") as file:
            file.write(
                f'storage "raft" {{\n  path = "{directory}/raft"\n  node_id = "n1"\n}}\n'
                f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n'
                f'  cluster_address = "127.0.0.1:{cluster}"\n  tls_disable = true\n}}\n'
                f'api_addr = "http://127.0.0.1:{self.port}"\n'
                f'cluster_addr = "http://127.0.0.1:{cluster}"\ndisable_mlock = true\n')
        self.process, self.key, self.token = None, None, None

    def start(self):
        """Returns when it is active."""
        command = ["bao", "server", f"-config={self.directory}/bao.hcl"]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_up(self.port, self.process)
        api = Api(self.port, token=None, timeout=START_SECONDS_MAX)
        if self.key is None:
            keys = api.must("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.key, self.token = keys["keys_base64"][0], keys["root_token"]
        api.must("PUT", "sys/unseal", {"key": self.key})
        deadline = time.monotonic() + START_SECONDS_MAX
        while api.call("GET", "sys/health")[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError("OpenBao did not become active")
            time.sleep(0.05)
        api.close()


@contextlib.contextmanager
def bao():
    """An OpenBao that is active."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as directory:
        server = Bao(directory)
        try:
            server.start()
            yield server
        finally:
            if server.process:
                server.process.send_signal(signal.SIGCONT)
                end(server.process)


@contextlib.contextmanager
def bao_server():
    """The same; yields its port and root token."""
    with bao() as server:
        yield server.port, server.token


def load(port, operation, *options, token=TOKEN):
    """Runs the load generator and returns its report."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        subprocess.run(
            [str(BINARY), "load", operation, "--address", f"http://127.0.0.1:{port}",
             "--token", token, "--quiet", "--json", report.name, *options],
            check=True, stdout=subprocess.DEVNULL)
        return json.load(open(report.name))


def cpu_seconds(pid):
    """Processor time that a process has had so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slow_disk(port, spec):
    Api(port).must("POST", "sys/internal/dev/slow-disk", {"spec": spec})


def rate(seconds, outcome="ok"):
    """The mean of an outcome per second over a list of seconds of a report."""
    return sum(second["outcomes"][outcome] for second in seconds) / max(len(seconds), 1)


def worst(seconds, quantile="p99_ms"):
    return max((second["accepted"][quantile] for second in seconds), default=0.0)


def row(*cells, widths=(34, 14, 14, 14, 14, 14)):
    print("  ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)
