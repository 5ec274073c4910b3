"""Two servers in network namespaces of their own, and everything that can go wrong between them.

Writers put kv v2 with cas and log in through the primary and through the secondary, readers read on
both, tokens are revoked. Meanwhile either side is killed, during bootstrap and promotion too, the
network breaks, loses and delays, the secondary's disk is slow and full, its clock is an hour off, and
the primary's log is recycled. Afterwards both digests are equal, every acknowledged write is on both,
the versions of every key form the order in which their writers were answered, and no revoked token is
good anywhere. Needs to be root: it makes network namespaces and mounts a small file system.
"""

import argparse
import contextlib
import glob
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

from bench import middle
from bench.harness import BINARY, Api, end
from bench.hosts import Network, sh

PORT, CLUSTER_PORT, MIDDLE_PORT = 8200, 8201, 8301
SNAPSHOT_TAKEN = "snapshot of the primary"
# What a secondary says of a frame that is not as it was sent.
ALTERED = "a frame "
# A primary's disk usually commits in less than a tenth of it: where it does not, that is printed.
TEN_TIMES_SLOWER = "sync=10ms,item=1ms"


class Server:
    def __init__(self, network, side, directory):
        self.network, self.side = network, side
        self.host = network.outside[side]
        self.directory = os.path.join(directory, "ab"[side])
        self.data = os.path.join(self.directory, "data")
        os.makedirs(self.data)
        self.config = os.path.join(self.directory, "plimsoll.hcl")
        with open(self.config, "w") as file:
            file.write(f'storage "plimsoll" {{\n  path = "{self.data}"\n}}\n'
                       f'listener "tcp" {{\n  address = "0.0.0.0:{PORT}"\n  tls_disable = true\n'
                       f'  cluster_address = "{network.between[side]}:{CLUSTER_PORT}"\n}}\n')
        self.log = open(os.path.join(self.directory, "log"), "ab")
        self.process, self.key, self.root = None, None, None

    def must(self, method, path, body=None):
        """As its own root, once."""
        api = self.api(self.root)
        answer = api.must(method, path, body)
        api.close()
        return answer

    def api(self, token, timeout=15):
        return Api(PORT, token, timeout, self.host)

    def run(self, *command):
        command = ["ip", "netns", "exec", self.network.names[self.side], *command]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def start_slow(self, spec):
        """From nothing, on a disk that is slow on purpose, which only dev mode has."""
        self.run(str(BINARY), "server", "--dev", "--dev-slow-disk", spec, "--data-dir", self.data, "--listen",
                 f"0.0.0.0:{PORT}", "--cluster-listen", f"{self.network.between[self.side]}:{CLUSTER_PORT}",
                 "--dev-root-token", "slow")
        self.root = "slow"
        deadline = time.monotonic() + 30
        while not self.status(self.root):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"server {'ab'[self.side]} did not start: see {self.directory}/log")
            time.sleep(0.05)

    def commit_ms(self, token):
        """What a commit takes at the median."""
        asked = urllib.request.Request(f"http://{self.host}:{PORT}/v1/sys/metrics?format=prometheus",
                                       headers={"X-Vault-Token": token})
        with urllib.request.urlopen(asked) as answer:
            return next(float(line.split()[-1]) for line in answer.read().decode().splitlines()
                        if line.startswith('vault_wal_flushReady{quantile="0.5"}'))

    def start(self, *prefix):
        """Starts and unseals it, under another command if one is given."""
        self.run(*prefix, str(BINARY), "server", "--config", self.config)
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
        if self.process.poll() is not None:
            raise SystemExit(f"server {'ab'[self.side]} ended: another one answers in its place")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self, *prefix):
        self.stop()
        self.start(*prefix)

    def logged(self):
        with open(self.log.name, errors="replace") as log:
            return log.read()

    def wipe(self, file_system_mib=None):
        """Takes all of its data, and puts it on a small file system of its own if asked to."""
        self.stop()
        sh("umount", self.data, check=False)
        shutil.rmtree(self.data)
        os.mkdir(self.data)
        if file_system_mib is not None:
            sh("mount", "-t", "tmpfs", "-o", f"size={file_system_mib}m", "tmpfs", self.data)
        self.key = None

    def stop(self):
        if self.process is not None:
            end(self.process)

    def wall_clock(self):
        return self.api("").call("GET", "sys/health")[1]["server_time_utc"]

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

    def __init__(self, servers, root, login, writers=6):
        self.servers, self.root, self.login = servers, root, login
        self.stop_event, self.lock = threading.Event(), threading.Lock()
        # Per key: (version, value, asked, answered) of every acknowledged write.
        self.writes, self.revoked, self.tokens, self.alive = {}, [], [], []
        self.reads = self.unknown = self.refused = self.looked_up = 0
        self.writers, self.threads, self.numbers = writers, [], itertools.count()

    def start(self):
        # The root token comes from the primary and is good on both.
        roles = [(self.write, self.writers), (self.read, 2), (self.log_in, 2)]
        self.threads = [threading.Thread(target=role, args=(index,))
                        for role, count in roles for index in range(count)]
        self.stop_event.clear()
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
        rng = random.Random(index)
        versions = {}

        def step(api):
            # New keys from time to time: a key's record holds all of its versions.
            key = f"{int(time.monotonic() / 10)}-{rng.randrange(8)}"
            value = f"{index}-{next(self.numbers)}"
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
                    self.must_be_dead(token, api.index)
                return
            with self.lock:
                self.tokens.append(token)

        self.loop(index, step)


    def must_be_dead(self, token, index):
        """On either side, from when it has what revoked the token: a server that has not yet says 412."""
        for server in self.servers if index else []:
            with contextlib.suppress(OSError, http.client.HTTPException):
                api = server.api(token, timeout=5)
                status, _ = api.call("GET", "auth/token/lookup-self", headers={"X-Vault-Index": index})
                api.close()
                with self.lock:
                    self.looked_up += status == 403
                    if status == 200:
                        self.alive.append(f"on {'ab'[server.side]}, index {index}")


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


def secondary_token(primary, root, name):
    api = primary.api(root)
    token = api.must("POST", "sys/replication/performance/primary/secondary-token", {"id": name})
    api.close()
    return token["wrap_info"]["token"]


def enable(secondary, token):
    secondary.must("POST", "sys/replication/performance/secondary/enable", {"token": token})


def promote(secondary, root):
    secondary.api(root).must("POST", "sys/replication/performance/secondary/promote", {})


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


def verify(servers, load, directory):
    root = load.root
    position = wait_equal(*servers, root)
    digests = [digest(server, root, directory) for server in servers]
    if digests[0] != digests[1]:
        raise SystemExit(f"DIFFERENT: {digests}")
    if load.alive:
        raise SystemExit(f"ALIVE after its revocation was applied: {load.alive[:5]}")
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


class Faults:
    """What is done to a primary and its secondary, which change places."""

    def __init__(self, network, servers, load, options):
        self.network, self.load, self.options = network, load, options
        self.primary, self.secondary = servers
        self.rng, self.joined = random.Random(options.seed), itertools.count()

    def all(self):
        """Names and functions, one after the other."""
        yield "one-way loss, from the primary", self.for_a_while(self.silence(self.primary))
        yield "one-way loss, from the secondary", self.for_a_while(self.silence(self.secondary))
        yield "partition", self.for_a_while(self.network.cut)
        if os.path.exists("/dev/net/tun"):
            yield "5 % loss, 50 ms delay", self.lossy
        for number in range(self.options.kills):
            # Of ten kills one hits a bootstrap, one a promotion.
            yield {1: ("kill -9 during a bootstrap", self.kill_bootstrapping),
                   2: ("kill -9 during a promotion", self.kill_promoting)}.get(
                       number % 10, ("kill -9", self.kill))
        yield "bits flipped past TLS", self.altered
        yield "the secondary's disk full", self.full_disk
        yield "the secondary's disk ten times slower", self.slow_disk
        if not self.options.short:
            for hours in (1, -1):
                yield f"the secondary's clock {hours:+} h", lambda hours=hours: self.other_time(hours)
            yield "the primary's log recycled", self.recycle

    def silence(self, server):
        return lambda on: self.network.silence(server.side, on)

    def for_a_while(self, change):
        def run():
            change(True)
            time.sleep(self.options.seconds)
            change(False)
        return run

    def lossy(self):
        with self.network.lossy(0.05, 50):
            if self.network.connect_seconds(self.secondary.side, self.primary.side, CLUSTER_PORT) < 0.1:
                raise SystemExit("nothing is delayed")
            time.sleep(self.options.seconds)

    def either(self):
        return self.rng.choice([self.primary, self.secondary])

    def kill(self, server=None, within=(0.05, 0.8)):
        server = server or self.either()
        time.sleep(self.rng.uniform(*within))
        server.kill()
        time.sleep(self.rng.uniform(0, 0.3))
        server.start()

    def kill_bootstrapping(self, file_system_mib=None, killed=True):
        """A secondary from nothing. An operator repeats the command that was cut off."""
        self.secondary.wipe(file_system_mib)
        self.secondary.start()
        token = secondary_token(self.primary, self.load.root, f"r{next(self.joined)}")
        joining = threading.Thread(target=lambda: attempt(enable, self.secondary, token))
        joining.start()
        if killed:
            self.kill(within=(0, 0.4))
        joining.join()
        # Its root token is its own until it follows, and the primary's from then on.
        known = self.until("the secondary says what it is", lambda: self.secondary.status(self.secondary.root)
                           or self.secondary.status(self.load.root))
        if known["mode"] == "disabled":
            enable(self.secondary, token)

    def kill_promoting(self):
        """The primary is lost while nobody writes, and its successor killed while it takes over."""
        self.load.stop()
        wait_equal(self.primary, self.secondary, self.load.root)
        self.primary.stop()
        promoting = threading.Thread(target=lambda: attempt(promote, self.secondary, self.load.root))
        promoting.start()
        self.kill(self.secondary, within=(0, 0.05))
        promoting.join()
        known = self.until("the successor says what it is", lambda: self.secondary.status(self.load.root))
        if known["mode"] == "secondary":
            promote(self.secondary, self.load.root)
        self.primary, self.secondary = self.secondary, self.primary
        self.kill_bootstrapping(killed=False)
        self.follows()
        self.load.start()

    def altered(self):
        """Bits are flipped past TLS, in the first snapshot and in what follows it."""
        self.secondary.wipe()
        self.secondary.start()
        token = secondary_token(self.primary, self.load.root, f"m{next(self.joined)}")
        here, there = (self.network.between[server.side] for server in (self.secondary, self.primary))
        before = self.secondary.logged().count(ALTERED)
        with tempfile.TemporaryDirectory(prefix="plimsoll-middle-") as directory:
            token = middle.take_token(token, f"{here}:{MIDDLE_PORT}", directory)
            between = middle.start(["ip", "netns", "exec", self.network.names[self.secondary.side]],
                                   (here, MIDDLE_PORT), (there, CLUSTER_PORT), directory, every=20)
            try:
                # Whose answer was late is a secondary all the same.
                self.until("the middle man listens", lambda: attempt_ok(enable, self.secondary, token)
                           or self.secondary.status(self.load.root).get("mode") == "secondary")
                time.sleep(max(self.options.seconds, 5))
                self.until("a frame is flipped", lambda: "shipped" in middle.flipped(directory))
                between.send_signal(signal.SIGUSR1)
                # What has come through him is the same, before anything is taken anew.
                self.load.stop()
                wait_equal(self.primary, self.secondary, self.load.root)
                held = [digest(server, self.load.root, directory) for server in (self.primary, self.secondary)]
                self.load.start()
            finally:
                end(between)
            flips, noticed = middle.flipped(directory), self.secondary.logged().count(ALTERED) - before
        if held[0] != held[1]:
            raise SystemExit(f"DIFFERENT: {held}")
        if "shipped" not in flips or noticed < flips.count("shipped"):
            raise SystemExit(f"{flips} flipped, {noticed} frames noticed")
        print(f"  {flips.count('shipped')} frames and {flips.count('snapshot')} snapshot altered, all noticed", flush=True)
        self.kill_bootstrapping(killed=False)

    def until(self, what, done, seconds=60):
        """Gives what `done` says at last."""
        deadline = time.monotonic() + seconds
        while not (said := done()):
            if time.monotonic() > deadline:
                raise SystemExit(f"not in {seconds} s: {what}")
            time.sleep(0.2)
        return said

    def full_disk(self):
        self.kill_bootstrapping(file_system_mib=800, killed=False)
        self.follows()
        ballast = os.path.join(self.secondary.data, "ballast")
        deadline = time.monotonic() + 30
        while "bytes left" not in str(self.secondary.status(self.load.root).get("reason")):
            # Again and again: the store of before the bootstrap is still being removed.
            with open(ballast, "ab") as file:
                free = os.statvfs(self.secondary.data)
                file.write(bytes(max(free.f_bavail * free.f_frsize - (70 << 20), 0)))
            if time.monotonic() > deadline:
                raise SystemExit("nobody has noticed that the disk is full")
            time.sleep(0.05)
        time.sleep(self.options.seconds / 10)
        os.remove(ballast)

    def slow_disk(self):
        """Ten times slower than the primary's, and it follows all the same."""
        self.secondary.wipe()
        self.secondary.start_slow(TEN_TIMES_SLOWER)
        token = secondary_token(self.primary, self.load.root, f"s{next(self.joined)}")
        enable(self.secondary, token)
        self.follows()
        time.sleep(self.options.seconds)
        self.follows()
        fast = self.primary.commit_ms(self.load.root)
        remark = " (not ten times slower here)" if fast > 1 else ""
        print(f"  a commit of the primary takes {fast:.2f} ms; the secondary's disk: {TEN_TIMES_SLOWER}{remark}",
              flush=True)
        self.load.stop()
        wait_equal(self.primary, self.secondary, self.load.root)
        self.load.start()
        self.kill_bootstrapping(killed=False)

    def other_time(self, hours):
        """What expires does so by the primary's clock."""
        # Not by the command faketime: it stays in between, and the server outlives it.
        library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")))
        self.secondary.restart("env", f"LD_PRELOAD={library}", "FAKETIME_DONT_FAKE_MONOTONIC=1", f"FAKETIME={hours:+}h")
        self.follows()
        ahead = self.secondary.wall_clock() - self.primary.wall_clock()
        if abs(ahead - hours * 3600) > 60:
            raise SystemExit(f"the clock is {ahead} s off, not {hours} h")
        api = self.primary.api(self.load.root)
        token = api.must("POST", "auth/token/create", {"ttl": "5s", "policies": ["default"]})
        token = token["auth"]["client_token"]
        looked_up = lambda: self.secondary.api(token).call("GET", "auth/token/lookup-self")[0]
        time.sleep(2)
        if looked_up() != 200:
            raise SystemExit("a token of the primary is not good on the secondary")
        time.sleep(4)
        if looked_up() != 403:
            raise SystemExit("a token is good on the secondary beyond its time on the primary")
        self.secondary.restart()

    def recycle(self):
        """More is written than the primary keeps of its log, while the secondary is down."""
        api = self.primary.api(self.load.root, timeout=60)
        api.must("POST", "sys/mounts/recycle", {"type": "kv"})
        wait_equal_or_moving(self.primary, self.secondary, self.load.root)
        self.secondary.stop()
        snapshots = self.secondary.logged().count(SNAPSHOT_TAKEN)
        value = "x" * 1_000_000
        for number in range(2300):
            api.must("PUT", f"recycle/{number % 20}", {"value": f"{number}{value}"})
        self.secondary.start()
        self.follows()
        if self.secondary.logged().count(SNAPSHOT_TAKEN) == snapshots:
            raise SystemExit("the log was not recycled")

    def follows(self):
        wait_equal_or_moving(self.primary, self.secondary, self.load.root)


def attempt(command, *arguments):
    """Whatever is cut off is looked at afterwards."""
    with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError):
        command(*arguments)


def attempt_ok(command, *arguments):
    with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError):
        command(*arguments)
        return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the network is broken")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--short", action="store_true", help="without clocks and the recycled log")
    parser.add_argument("--only", help="only faults whose name has this in it")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    network, servers = Network(), []
    try:
        with tempfile.TemporaryDirectory(prefix="plimsoll-replication-") as directory:
            servers = [Server(network, side, directory) for side in (0, 1)]
            try:
                run(network, servers, options, directory)
            except BaseException:
                for server in servers:
                    with open(os.path.join(server.directory, "log"), errors="replace") as log:
                        print(f"-- server {'ab'[server.side]}, last lines of its log")
                        print("".join(log.readlines()[-15:]))
                raise
            finally:
                for server in servers:
                    server.stop()
                    sh("umount", server.data, check=False)
    finally:
        network.close()


def run(network, servers, options, directory):
    for server in servers:
        server.start()
    login = prepare(servers[0])
    servers[0].must("POST", "sys/replication/performance/primary/enable", {})
    enable(servers[1], secondary_token(servers[0], servers[0].root, "first"))
    wait_equal(*servers, servers[0].root)
    load = Load(servers, servers[0].root, login)
    faults = Faults(network, servers, load, options)
    load.start()
    try:
        for name, fault in faults.all():
            if options.only and options.only not in name:
                continue
            started = time.monotonic()
            fault()
            faults.follows()
            print(f"{name:36} {time.monotonic() - started:6.1f} s, "
                  f"{sum(map(len, load.writes.values()))} writes", flush=True)
    finally:
        load.stop()
    acknowledged, position = verify([faults.primary, faults.secondary], load, directory)
    print(f"{acknowledged} writes, {len(load.tokens)} tokens on both, {len(load.revoked)} "
          f"revoked on neither ({load.looked_up} looked up as soon as they were applied), {load.reads} reads, {load.unknown} unknown outcomes, "
          f"{load.refused} refused; revision {position['last_wal']}, "
          f"digest {position['history']}", flush=True)


def wait_equal_or_moving(primary, secondary, root, seconds=60):
    """Until the secondary receives again: nobody had to help it."""
    deadline = time.monotonic() + seconds
    state = {}
    while time.monotonic() < deadline:
        state = secondary.status(root)
        if state.get("state") == "failed":
            raise SystemExit(f"FAILED: {state}")
        if state.get("state") == "stream-wals" and state.get("lag_ms", 1e9) < 2000:
            return
        time.sleep(0.05)
    raise SystemExit(f"not following after {seconds} s: {primary.status(root)} {state}")


if __name__ == "__main__":
    main()
