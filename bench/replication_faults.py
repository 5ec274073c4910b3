"""Two servers in network namespaces of their own, and everything that can go wrong between them.

Writers put kv v2 with cas and log in through the primary and through the secondary, readers read on
both, tokens are revoked. Meanwhile either side is killed, the network breaks, loses and delays. Afterwards both digests are equal, every acknowledged write is on
both, the versions of every key form the order in which their writers were answered, and no revoked
token is good anywhere. Needs to be root: it makes network namespaces.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time

from bench.harness import BINARY, Api, end

PORT = 8200


def sh(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


class Network:
    """Two namespaces and a veth pair between them, and one to here from each."""

    def __init__(self):
        self.tag = f"{os.getpid() % 100000:05d}"
        self.names = [f"plim{self.tag}{side}" for side in "ab"]
        block = 16 + os.getpid() % 200
        self.between = [f"10.99.{block}.1", f"10.99.{block}.2"]
        self.outside = [f"10.98.{block}.{4 * side + 2}" for side in (0, 1)]
        for side, name in enumerate(self.names):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "link", "add", f"r{self.tag}a", "netns", self.names[0], "type", "veth",
           "peer", "name", f"r{self.tag}b", "netns", self.names[1])
        for side, name in enumerate(self.names):
            link = f"r{self.tag}{'ab'[side]}"
            sh("ip", "-n", name, "addr", "add", f"{self.between[side]}/24", "dev", link)
            sh("ip", "-n", name, "link", "set", link, "up")
            here = f"o{self.tag}{'ab'[side]}"
            sh("ip", "link", "add", here, "type", "veth", "peer", "name", "out", "netns", name)
            sh("ip", "addr", "add", f"10.98.{block}.{4 * side + 1}/30", "dev", here)
            sh("ip", "link", "set", here, "up")
            sh("ip", "-n", name, "addr", "add", f"{self.outside[side]}/30", "dev", "out")
            sh("ip", "-n", name, "link", "set", "out", "up")

    def shape(self, side, *rule):
        """What goes out of one side towards the other."""
        link = f"r{self.tag}{'ab'[side]}"
        sh("tc", "-n", self.names[side], "qdisc", "replace", "dev", link, "root", "netem", *rule)

    def can_shape(self):
        """Whether this kernel can lose and delay."""
        link = f"r{self.tag}a"
        tried = sh("tc", "-n", self.names[0], "qdisc", "replace", "dev", link, "root", "netem",
                   "delay", "1ms", check=False)
        self.heal()
        return tried.returncode == 0

    def silence(self, side, silent):
        """One way: nothing goes out of a side towards the other, and nobody is told."""
        do = "add" if silent else "del"
        sh("ip", "-n", self.names[side], "route", do, "blackhole", f"{self.between[1 - side]}/32")

    def cut(self, cut):
        """Both ways."""
        sh("ip", "-n", self.names[0], "link", "set", f"r{self.tag}a", "down" if cut else "up")

    def heal(self):
        for side in (0, 1):
            link = f"r{self.tag}{'ab'[side]}"
            sh("tc", "-n", self.names[side], "qdisc", "del", "dev", link, "root", check=False)

    def close(self):
        for name in self.names:
            sh("ip", "netns", "del", name, check=False)


class Server:
    def __init__(self, network, side, directory, options):
        self.network, self.side = network, side
        self.host = network.outside[side]
        self.directory = os.path.join(directory, "ab"[side])
        os.mkdir(self.directory)
        self.config = os.path.join(self.directory, "plimsoll.hcl")
        with open(self.config, "w") as file:
            file.write(f'storage "plimsoll" {{\n  path = "{self.directory}/data"\n}}\n'
                       f'listener "tcp" {{\n  address = "0.0.0.0:{PORT}"\n  tls_disable = true\n'
                       f'  cluster_address = "{network.between[side]}:8201"\n}}\n')
        self.log = open(os.path.join(self.directory, "log"), "ab")
        self.options, self.process, self.key, self.root = options, None, None, None
        self.prefix = []

    def api(self, token, timeout=15):
        return Api(PORT, token, timeout, self.host)

    def start(self):
        command = ["ip", "netns", "exec", self.network.names[self.side], *self.prefix, str(BINARY),
                   "server", "--config", self.config, *self.options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while True:
            try:
                api = self.api("", timeout=5)
                api.must("GET", "sys/seal-status")
                break
            except (OSError, http.client.HTTPException, RuntimeError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"server {'ab'[self.side]} did not start: see {self.directory}/log")
                time.sleep(0.02)
        if self.key is None:
            keys = api.must("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.key, self.root = keys["keys_base64"][0], keys["root_token"]
        api.must("PUT", "sys/unseal", {"key": self.key})
        api.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process is not None:
            end(self.process)

    def status(self, token):
        with contextlib.suppress(OSError, http.client.HTTPException):
            api = self.api(token, timeout=5)
            status, answer = api.call("GET", "sys/replication/performance/status")
            api.close()
            if status == 200:
                return answer["data"]
        return {}


class Load:
    """Clients of both sides, and what they were answered."""

    def __init__(self, servers, root, writers=6):
        self.servers, self.root = servers, root
        self.stop_event, self.lock = threading.Event(), threading.Lock()
        # Per key: (version, value, asked, answered) of every acknowledged write.
        self.writes, self.revoked, self.tokens = {}, [], []
        self.reads = self.unknown = self.refused = 0
        # The root token comes from the primary and is good on both.
        self.threads = [threading.Thread(target=self.write, args=(index,)) for index in range(writers)]
        self.threads += [threading.Thread(target=self.read, args=(index,)) for index in range(2)]
        self.threads += [threading.Thread(target=self.log_in, args=(index,)) for index in range(2)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stop_event.set()
        for thread in self.threads:
            thread.join()

    def loop(self, side, step):
        api = self.servers[side].api(self.root)
        while not self.stop_event.is_set():
            try:
                step(api)
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                time.sleep(0.05)
        api.close()

    def write(self, index):
        number, rng = 0, random.Random(index)
        versions = {}

        def step(api):
            nonlocal number
            number += 1
            # New keys from time to time: a key's record holds all of its versions.
            key = f"{int(time.monotonic() / 10)}-{rng.randrange(8)}"
            value = f"{index}-{number}"
            asked = time.monotonic()
            body = {"options": {"cas": versions.get(key, 0)}, "data": {"value": value}}
            status, answer = api.call("POST", f"secret/data/{key}", body)
            answered = time.monotonic()
            if status == 200:
                version = answer["data"]["version"]
                versions[key] = version
                with self.lock:
                    self.writes.setdefault(key, []).append((version, value, asked, answered))
                return
            if status == 503:
                self.refused += 1
                time.sleep(0.02)
            elif status == 500:
                self.unknown += 1
            # Another writer was first, or this one's outcome is unknown: look where it is.
            status, answer = api.call("GET", f"secret/metadata/{key}")
            if status == 200:
                versions[key] = answer["data"]["current_version"]

        self.loop(index % 2, step)

    def read(self, index):
        rng = random.Random(index)

        def step(api):
            status, _ = api.call("GET", f"secret/data/{int(time.monotonic() / 10)}-{rng.randrange(8)}")
            self.reads += status == 200

        self.loop(index, step)

    def log_in(self, index):
        def step(api):
            status, answer = api.call("POST", "auth/approle/login", self.login)
            if status != 200:
                time.sleep(0.02)
                return
            token = answer["auth"]["client_token"]
            if random.random() < 0.3:
                status, _ = api.call("POST", "auth/token/revoke", {"token": token})
                if status == 204:
                    with self.lock:
                        self.revoked.append(token)
                return
            with self.lock:
                self.tokens.append(token)

        self.loop(index, step)


def prepare(primary):
    api = primary.api(primary.root)
    api.must("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    api.must("POST", "secret/config", {"max_versions": 50000})
    api.must("POST", "sys/auth/approle", {"type": "approle"})
    api.must("POST", "auth/approle/role/r", {"token_ttl": "1h", "token_policies": "default"})
    role = api.must("GET", "auth/approle/role/r/role-id")["data"]["role_id"]
    secret = api.must("POST", "auth/approle/role/r/secret-id", {})["data"]["secret_id"]
    api.close()
    return {"role_id": role, "secret_id": secret}


def join(primary, secondary, name="b"):
    api = primary.api(primary.root)
    api.must("POST", "sys/replication/performance/primary/enable", {})
    token = api.must("POST", "sys/replication/performance/primary/secondary-token", {"id": name})
    other = secondary.api(secondary.root)
    other.must("POST", "sys/replication/performance/secondary/enable",
               {"token": token["wrap_info"]["token"]})
    api.close(), other.close()


def wait_equal(primary, secondary, root, seconds=60):
    """Until both are at one revision with one digest of what they were told."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        here, there = primary.status(root), secondary.status(root)
        if here and there.get("state") == "failed":
            raise SystemExit(f"FAILED: {there}")
        if (here.get("last_wal"), here.get("history")) == (there.get("last_wal"), there.get("history")) \
                and here and there.get("state") == "stream-wals":
            return here
        time.sleep(0.05)
    raise SystemExit(f"not equal after {seconds} s: {primary.status(root)} {secondary.status(root)}")


def digest(server, root, directory):
    path = os.path.join(directory, f"snapshot-{server.side}")
    env = dict(os.environ, VAULT_ADDR=f"http://{server.host}:{PORT}", VAULT_TOKEN=root)
    printed = subprocess.run([str(BINARY), "operator", "snapshot", "save", path], env=env, check=True,
                             capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines()[1:])


def verify(servers, root, load, directory):
    position = wait_equal(*servers, root)
    digests = [digest(server, root, directory) for server in servers]
    if digests[0] != digests[1]:
        raise SystemExit(f"DIFFERENT: {digests}")
    acknowledged = 0
    for key, writes in sorted(load.writes.items()):
        versions = [version for version, *_ in writes]
        if len(set(versions)) != len(versions):
            raise SystemExit(f"TWICE: a version of {key} was answered to two writers")
        by_version = sorted(writes)
        latest_asked = 0.0
        for version, _, asked, answered in by_version:
            # A later version must not have been answered before an earlier one was asked for.
            if answered < latest_asked:
                raise SystemExit(f"ORDER: version {version} of {key} was answered before its elder was asked")
            latest_asked = max(latest_asked, asked)
        for server in servers:
            api = server.api(root)
            for version, value, *_ in by_version:
                status, answer = api.call("GET", f"secret/data/{key}?version={version}")
                if status != 200 or answer["data"]["data"]["value"] != value:
                    raise SystemExit(f"LOST on {'ab'[server.side]}: {key} version {version}: {status} {answer}")
            api.close()
        acknowledged += len(writes)
    for server in servers:
        api = server.api(root)
        for token in load.tokens:
            if api.call("POST", "auth/token/lookup", {"token": token})[0] != 200:
                raise SystemExit(f"LOST on {'ab'[server.side]}: a token that was answered")
        for token in load.revoked:
            if api.call("GET", "auth/token/lookup-self", token=token)[0] == 200:
                raise SystemExit(f"ALIVE on {'ab'[server.side]}: a revoked token")
        api.close()
    return acknowledged, position


def faults(network, servers, options):
    """What is done to them, one after the other: a name and a function of no arguments."""
    primary, secondary = servers
    rng = random.Random(options.seed)
    pause = options.seconds

    def kill(server):
        time.sleep(rng.uniform(0.05, 0.8))
        server.kill()
        time.sleep(rng.uniform(0, 0.3))
        server.start()

    def shaped(*rules):
        def run():
            for side, rule in rules:
                network.shape(side, *rule.split())
            time.sleep(pause)
            network.heal()
        return run

    def for_a_while(change):
        def run():
            change(True)
            time.sleep(pause)
            change(False)
        return run

    listed = [
        ("one-way loss, from the primary", for_a_while(lambda on: network.silence(0, on))),
        ("one-way loss, from the secondary", for_a_while(lambda on: network.silence(1, on))),
        ("partition", for_a_while(network.cut)),
    ]
    if network.can_shape():
        rule = "loss 5% delay 50ms"
        listed.append(("5 % loss, 50 ms delay", shaped((0, rule), (1, rule))))
    else:
        print("no netem in this kernel: 5 % loss with 50 ms delay is left out", flush=True)
    for number in range(options.kills):
        server = servers[rng.randrange(2)]
        listed.append((f"kill -9 of the {'primary' if server is primary else 'secondary'}",
                       lambda server=server: kill(server)))
    return listed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the network is broken")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    network = Network()
    servers = []
    try:
        with tempfile.TemporaryDirectory(prefix="plimsoll-replication-") as directory:
            servers = [Server(network, side, directory, []) for side in (0, 1)]
            load = None
            try:
                for server in servers:
                    server.start()
                primary, secondary = servers
                login = prepare(primary)
                join(primary, secondary)
                wait_equal(primary, secondary, primary.root)
                load = Load(servers, primary.root)
                load.login = login
                load.start()
                for name, fault in faults(network, servers, options):
                    started = time.monotonic()
                    fault()
                    wait_equal_or_moving(primary, secondary)
                    print(f"{name:36} {time.monotonic() - started:6.1f} s, "
                          f"{sum(map(len, load.writes.values()))} writes", flush=True)
                load.stop()
                acknowledged, position = verify(servers, primary.root, load, directory)
                print(f"{acknowledged} writes, {len(load.tokens)} tokens on both, {len(load.revoked)} "
                      f"revoked on neither, {load.reads} reads, {load.unknown} unknown outcomes, "
                      f"{load.refused} refused; revision {position['last_wal']}, "
                      f"digest {position['history']}", flush=True)
            except BaseException:
                for server in servers:
                    with open(os.path.join(server.directory, "log"), errors="replace") as log:
                        print(f"-- server {'ab'[server.side]}, last lines of its log")
                        print("".join(log.readlines()[-15:]))
                raise
            finally:
                if load is not None:
                    load.stop_event.set()
                for server in servers:
                    server.stop()
    finally:
        network.close()


def wait_equal_or_moving(primary, secondary, seconds=30):
    """Until the secondary receives again: nobody had to help it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = secondary.status(primary.root)
        if state.get("state") == "failed":
            raise SystemExit(f"FAILED: {state}")
        if state.get("state") == "stream-wals" and state.get("lag_ms", 1e9) < 2000:
            return
        time.sleep(0.05)
    raise SystemExit(f"not following after {seconds} s: {state}")


if __name__ == "__main__":
    main()
