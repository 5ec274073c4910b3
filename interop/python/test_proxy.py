"""`plimsoll proxy` in front of the real OpenBao, used by hvac and by bao."""

import contextlib
import os
import subprocess
import time
import unittest
import urllib.request

import hvac

from bench.harness import BINARY, bao_server, end, free_port


class Proxy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        upstream, cls.token = cls.stack.enter_context(bao_server())
        cls.port, cls.health = free_port(), free_port()
        cls.proxy = subprocess.Popen(
            [str(BINARY), "proxy", "--upstream", f"http://127.0.0.1:{upstream}",
             "--listen", f"127.0.0.1:{cls.port}", "--health-listen", f"127.0.0.1:{cls.health}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.stack.callback(end, cls.proxy)
        cls.url = f"http://127.0.0.1:{cls.port}"
        deadline = time.monotonic() + 20
        while '"upstream_kind":"vault"' not in cls.read("/health"):
            if time.monotonic() > deadline:
                raise RuntimeError("the proxy did not recognise OpenBao")
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    @classmethod
    def read(cls, path):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{cls.health}{path}", timeout=5) as answer:
                return answer.read().decode()
        return ""

    def bao(self, *arguments):
        environment = dict(os.environ, BAO_ADDR=self.url, BAO_TOKEN=self.token)
        done = subprocess.run(["bao", *arguments], env=environment, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.strip()

    def test_hvac_logs_in_writes_reads_and_lists(self):
        client = hvac.Client(url=self.url, token=self.token)
        client.sys.enable_auth_method("approle")
        client.auth.approle.create_or_update_approle("app", token_policies=["default"])
        role = client.auth.approle.read_role_id("app")["data"]["role_id"]
        secret = client.auth.approle.generate_secret_id("app")["data"]["secret_id"]
        login = hvac.Client(url=self.url).auth.approle.login(role_id=role, secret_id=secret)
        self.assertTrue(login["auth"]["client_token"])
        client.sys.enable_secrets_engine("kv", path="hvac", options={"version": "2"})
        large = "x" * 200_000
        client.secrets.kv.v2.create_or_update_secret("db", {"password": large}, mount_point="hvac")
        read = client.secrets.kv.v2.read_secret_version(
            "db", mount_point="hvac", raise_on_deleted_version=True)
        self.assertEqual(read["data"]["data"]["password"], large)
        self.assertEqual(client.secrets.kv.v2.list_secrets("", mount_point="hvac")["data"]["keys"], ["db"])
        with self.assertRaises(hvac.exceptions.Forbidden):
            hvac.Client(url=self.url, token="nonsense").secrets.kv.v2.read_secret_version(
                "db", mount_point="hvac", raise_on_deleted_version=True)

    def test_the_bao_command_works_as_before(self):
        self.assertIn("Sealed", self.bao("status"))
        self.bao("secrets", "enable", "-path=kv", "kv")
        self.bao("kv", "put", "kv/db", "password=hunter2")
        self.assertEqual(self.bao("kv", "get", "-field=password", "kv/db"), "hunter2")
        self.assertIn("db", self.bao("kv", "list", "kv"))
        snapshot = os.path.join("target", "interop-proxy.snap")
        self.bao("operator", "raft", "snapshot", "save", snapshot)
        self.assertGreater(os.path.getsize(snapshot), 1000)
        os.remove(snapshot)

    def test_every_gate_has_seen_its_requests_and_holds_nothing(self):
        hvac.Client(url=self.url, token=self.token).lookup_token()
        metrics = self.read("/metrics")
        self.assertRegex(metrics, r'plimsoll_gate_admitted\{gate="upstream.reads"\} [1-9]')
        self.assertRegex(metrics, r'plimsoll_gate_in_flight\{gate="upstream.logins"\} 0')


if __name__ == "__main__":
    unittest.main()
