"""kill -9 in the middle of a storm, again and again.

Clients put and log in as fast as they can; every answered write is remembered. The
server is killed at a random moment, started and unsealed again, and everything that
was ever acknowledged must be there: every value, every token.
"""

import argparse
import contextlib
import http.client
import os
import random
import signal
import subprocess
import tempfile
import threading
import time

from bench.harness import BINARY, Api, end, free_port, wait_until_up


class Server:
    """A real configuration, a real directory, the same through all rounds."""

    def __init__(self, directory):
        self.port = free_port()
        self.config = os.path.join(directory, "plimsoll.hcl")
        self.log = open(os.path.join(directory, "log"), "ab")
        with open(self.config, "w") as file:
            file.write(f'storage "plimsoll" {{\n  path = "{directory}/data"\n}}\n'
                       f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n'
                       "  tls_disable = true\n}\n")
        self.process = None
        self.unseal_key = self.root = None

    def start(self):
        command = [str(BINARY), "server", "--config", self.config]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_until_up(self.port, self.process)
        api = Api(self.port, token=None, timeout=30)
        if self.unseal_key is None:
            keys = api.must("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.unseal_key, self.root = keys["keys_base64"][0], keys["root_token"]
        api.must("PUT", "sys/unseal", {"key": self.unseal_key})
        api.close()
        return Api(self.port, token=self.root, timeout=30)

    def kill(self):
        end(self.process, signal.SIGKILL)


def prepare(api):
    api.must("POST", "sys/mounts/crash", {"type": "kv", "options": {"version": "1"}})
    api.must("POST", "sys/auth/approle", {"type": "approle"})
    api.must("POST", "auth/approle/role/crash", {"token_ttl": "1h", "token_policies": "default"})
    role = api.must("GET", "auth/approle/role/crash/role-id")["data"]["role_id"]
    secret = api.must("POST", "auth/approle/role/crash/secret-id")["data"]["secret_id"]
    return {"role_id": role, "secret_id": secret}


def client(server, name, login, acknowledged, stop):
    """Alternates puts and logins, remembering what was answered."""
    api = Api(server.port, token=server.root)
    number = 0
    while not stop.is_set():
        number += 1
        path, value = f"crash/{name}-{number % 50}", f"{name}-{number}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            # Until the answer is there, either value may be found.
            acknowledged["maybe"][path] = value
            if api.call("PUT", path, {"value": value})[0] == 204:
                acknowledged["values"][path] = value
                acknowledged["maybe"].pop(path, None)
            status, answer = api.call("PUT", "auth/approle/login", login)
            if status == 200:
                acknowledged["tokens"].append(answer["auth"]["client_token"])
            continue
        return


def verify(api, acknowledged):
    for path, value in acknowledged["values"].items():
        status, answer = api.call("GET", path)
        found = answer["data"]["value"] if status == 200 else status
        allowed = {value, acknowledged["maybe"].get(path, value)}
        if found not in allowed:
            raise SystemExit(f"LOST: {path} is {found}, acknowledged was {value}")
    for token in acknowledged["tokens"]:
        status, _ = api.call("POST", "auth/token/lookup", {"token": token})
        if status != 200:
            raise SystemExit(f"LOST: a token that was answered is {status}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    values = tokens = 0
    with tempfile.TemporaryDirectory(prefix="plimsoll-crash-") as directory:
        server = Server(directory)
        api = server.start()
        login = prepare(api)
        try:
            for round_number in range(1, options.rounds + 1):
                stop = threading.Event()
                parts = [{"values": {}, "maybe": {}, "tokens": []} for _ in range(options.clients)]
                threads = [threading.Thread(target=client,
                                            args=(server, f"r{round_number}-c{index}", login, part, stop))
                           for index, part in enumerate(parts)]
                for thread in threads:
                    thread.start()
                time.sleep(random.uniform(0.05, 0.6))
                server.kill()
                stop.set()
                for thread in threads:
                    thread.join()
                api.close()
                api = server.start()
                for part in parts:
                    verify(api, part)
                    values += len(part["values"])
                    tokens += len(part["tokens"])
                if round_number % 10 == 0 or round_number == options.rounds:
                    print(f"{round_number} kills: {values} values and {tokens} tokens acknowledged, "
                          "all there", flush=True)
        finally:
            end(server.process)


if __name__ == "__main__":
    main()
