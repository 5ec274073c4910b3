"""The bao command line against a real server: the README's first five minutes, and
the life of a server that is not in dev mode."""

import json
import os
import subprocess
import tempfile
import unittest

from bench.harness import BINARY, TOKEN, dev_server, end, free_port, wait_until_up


class Bao:
    def __init__(self, port, token=TOKEN):
        address = f"http://127.0.0.1:{port}"
        self.environment = dict(os.environ, BAO_ADDR=address, VAULT_ADDR=address, BAO_TOKEN=token,
                                VAULT_TOKEN=token, HOME=tempfile.gettempdir(), BAO_MAX_RETRIES="0")

    def __call__(self, *arguments, code=0, format="table"):
        result = subprocess.run(["bao", *arguments], text=True, capture_output=True, timeout=60,
                                env=self.environment | {"BAO_FORMAT": format})
        if result.returncode != code:
            raise AssertionError(f"bao {' '.join(arguments)}: {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}")
        return result.stdout.strip() or result.stderr.strip()

    def json(self, *arguments, code=0):
        return json.loads(self(*arguments, code=code, format="json"))


class FirstFiveMinutes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = dev_server()
        cls.bao = Bao(cls.server.__enter__())

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_as_the_readme_says(self):
        bao = self.bao
        self.assertFalse(bao.json("status")["sealed"])
        bao("kv", "put", "secret/db", "password=hunter2")
        self.assertEqual(bao("kv", "get", "-field=password", "secret/db"), "hunter2")
        bao("auth", "enable", "approle")
        bao("write", "auth/approle/role/app", "token_policies=default", "token_ttl=1h")
        role = bao("read", "-field=role_id", "auth/approle/role/app/role-id")
        secret = bao("write", "-f", "-field=secret_id", "auth/approle/role/app/secret-id")
        login = bao.json("write", "auth/approle/login", f"role_id={role}", f"secret_id={secret}")
        self.assertEqual(login["auth"]["metadata"]["role_name"], "app")

    def test_a_snapshot_is_saved_and_restored(self):
        bao = self.bao
        bao("kv", "put", "secret/kept", "x=1")
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "snapshot")
            bao("operator", "raft", "snapshot", "save", path)
            bao("kv", "put", "secret/kept", "x=2")
            bao("operator", "raft", "snapshot", "restore", path)
        self.assertEqual(bao("kv", "get", "-field=x", "secret/kept"), "1")

    def test_kv_on_the_command_line(self):
        bao = self.bao
        bao("kv", "put", "secret/cli/a", "x=1")
        bao("kv", "patch", "secret/cli/a", "y=2")
        self.assertEqual(bao.json("kv", "get", "secret/cli/a")["data"]["data"], {"x": "1", "y": "2"})
        self.assertEqual(bao.json("kv", "list", "secret/cli"), ["a"])
        bao("kv", "put", "-cas=2", "secret/cli/a", "x=3")
        bao("kv", "put", "-cas=2", "secret/cli/a", "x=4", code=2)
        bao("kv", "delete", "secret/cli/a")
        bao("kv", "undelete", "-versions=3", "secret/cli/a")
        self.assertEqual(bao("kv", "get", "-field=x", "secret/cli/a"), "3")
        bao("kv", "metadata", "get", "secret/cli/a")
        bao("kv", "metadata", "delete", "secret/cli/a")
        bao("kv", "get", "secret/cli/a", code=2)
        bao("secrets", "enable", "-path=v1", "-version=1", "kv")
        bao("kv", "put", "v1/a", "k=v")
        self.assertEqual(bao("kv", "get", "-field=k", "v1/a"), "v")
        self.assertIn("v1/", bao.json("secrets", "list"))
        bao("secrets", "tune", "-max-lease-ttl=24h", "v1")
        bao("secrets", "disable", "v1")

    def test_policies_tokens_and_login(self):
        bao = self.bao
        with tempfile.NamedTemporaryFile("w", suffix=".hcl") as policy:
            policy.write('path "secret/data/team/*" {\n  capabilities = ["create", "read", "update"]\n}\n')
            policy.flush()
            bao("policy", "write", "team", policy.name)
        self.assertIn("team", bao.json("policy", "list"))
        self.assertIn("secret/data/team", bao("policy", "read", "team"))
        token = bao.json("token", "create", "-policy=team", "-ttl=1h")["auth"]["client_token"]
        team = Bao(self.bao.environment["BAO_ADDR"].rsplit(":", 1)[1], token)
        team("kv", "put", "-mount=secret", "team/a", "x=1")
        team("kv", "put", "-mount=secret", "other/a", "x=1", code=2)
        self.assertEqual(team("token", "capabilities", "secret/data/team/a"), "create, read, update")
        team("token", "renew")
        team("token", "lookup")
        bao("token", "revoke", token)
        team("token", "lookup", code=2)
        bao("auth", "enable", "userpass")
        bao("write", "auth/userpass/users/bob", "password=pw", "policies=team")
        login = bao.json("write", "auth/userpass/login/bob", "password=pw")
        self.assertEqual(sorted(login["auth"]["policies"]), ["default", "team"])
        self.assertIn("userpass/", bao.json("auth", "list"))
        accessor = login["auth"]["accessor"]
        bao("token", "lookup", "-accessor", accessor)
        bao("token", "revoke", "-accessor", accessor)

    def test_a_bad_token_is_refused(self):
        port = self.bao.environment["BAO_ADDR"].rsplit(":", 1)[1]
        self.assertIn("permission denied", Bao(port, "hvs.nobody")("kv", "get", "secret/db", code=2))


class Overload(unittest.TestCase):
    def test_a_refusal_says_that_nothing_was_executed(self):
        """A storm from the same identity: what bao is told when its turn does not come."""
        with dev_server("--dev-slow-disk", "sync=10ms,item=2ms") as port:
            storm = subprocess.Popen(
                [str(BINARY), "load", "kv1-put", "--address", f"http://127.0.0.1:{port}", "--token",
                 TOKEN, "--phases", "20s:4000", "--quiet"], stdout=subprocess.DEVNULL)
            try:
                bao = Bao(port)
                for attempt in range(100):
                    written = subprocess.run(
                        ["bao", "write", f"load-kv1/refused-{attempt}", "x=1"], text=True,
                        capture_output=True, env=bao.environment, timeout=60)
                    if "Code: 503" in written.stderr:
                        break
                self.assertIn("overloaded, try again later", written.stderr)
                self.assertIn("nothing was executed", written.stderr)
            finally:
                end(storm)
            bao("read", f"load-kv1/refused-{attempt}", code=2)


class RealLife(unittest.TestCase):
    def test_init_unseal_restart_seal(self):
        with tempfile.TemporaryDirectory() as directory:
            port = free_port()
            config = os.path.join(directory, "server.hcl")
            with open(config, "w") as file:
                file.write(f'storage "raft" {{\n  path = "{directory}/data"\n  node_id = "n1"\n}}\n'
                           f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n  tls_disable = true\n}}\n'
                           f'api_addr = "http://127.0.0.1:{port}"\ndisable_mlock = true\nui = false\n')
            log = open(os.path.join(directory, "log"), "ab")

            def start():
                process = subprocess.Popen([str(BINARY), "server", "--config", config], stdout=log, stderr=log)
                wait_until_up(port, process)
                return process

            process = start()
            try:
                bao = Bao(port, "")
                self.assertEqual(bao.json("status", code=2)["initialized"], False)
                keys = bao.json("operator", "init", "-key-shares=3", "-key-threshold=2")
                shares = keys["unseal_keys_b64"]
                self.assertIn("sealed", bao("kv", "get", "secret/x", code=2).lower())
                bao("operator", "unseal", shares[0])
                self.assertEqual(bao.json("operator", "unseal", shares[2])["sealed"], False)
                root = Bao(port, keys["root_token"])
                root("secrets", "enable", "-path=kv", "-version=2", "kv")
                root("kv", "put", "kv/a", "x=1")
                end(process)
                process = start()
                self.assertEqual(bao.json("status", code=2)["sealed"], True)
                bao("operator", "unseal", shares[1])
                bao("operator", "unseal", shares[2])
                self.assertEqual(root("kv", "get", "-field=x", "kv/a"), "1")
                root("operator", "seal")
                self.assertEqual(bao.json("status", code=2)["sealed"], True)
            finally:
                end(process)


if __name__ == "__main__":
    unittest.main()
