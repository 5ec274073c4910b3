"""Quotas and idempotent writes, as real clients see them."""

import http.client
import json
import shutil
import subprocess
import tempfile
import time
import unittest
import warnings

import hvac
from hvac import exceptions

from bench.crash import Server
from bench.harness import TOKEN, dev_server, end, wait_until_traced


class Quotas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        warnings.simplefilter("ignore", DeprecationWarning)
        cls.server = dev_server()
        cls.port = cls.server.__enter__()
        cls.address = f"http://127.0.0.1:{cls.port}"
        cls.client = hvac.Client(url=cls.address, token=TOKEN)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def bao(self, *arguments, ok=True):
        environment = {"BAO_ADDR": self.address, "BAO_TOKEN": TOKEN, "BAO_MAX_RETRIES": "0",
                       "HOME": tempfile.gettempdir()}
        done = subprocess.run([shutil.which("bao"), *arguments], env=environment, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode == 0, ok, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_hvac_writes_reads_lists_and_deletes_and_sees_the_429(self):
        sys = self.client.sys
        sys.create_or_update_quota("hvac", path="secret/data/hvac", rate=2, interval="1h")
        read = sys.read_quota("hvac")["data"]
        self.assertEqual((read["rate"], read["interval"], read["path"]), (2, 3600, "secret/data/hvac"))
        self.assertIn("hvac", sys.list_quotas()["data"]["keys"])
        kv = self.client.secrets.kv.v2
        for _ in range(2):
            kv.create_or_update_secret(path="hvac", secret={"a": "b"})
        with self.assertRaises(exceptions.RateLimitExceeded) as caught:
            kv.create_or_update_secret(path="hvac", secret={"a": "b"})
        self.assertIn('request path "secret/data/hvac": rate limit quota exceeded', str(caught.exception))
        sys.delete_quota("hvac")
        kv.create_or_update_secret(path="hvac", secret={"a": "b"})

    def test_bao_writes_reads_lists_and_deletes_and_sees_the_429(self):
        self.bao("write", "sys/quotas/rate-limit/bao", "path=sys/mounts", "rate=1", "interval=1h")
        self.assertIn("sys/mounts", self.bao("read", "sys/quotas/rate-limit/bao"))
        self.assertIn("bao", self.bao("list", "sys/quotas/rate-limit"))
        self.bao("read", "sys/mounts")
        refused = self.bao("read", "sys/mounts", ok=False)
        self.assertIn("Code: 429", refused)
        self.assertIn("rate limit quota exceeded", refused)
        self.bao("delete", "sys/quotas/rate-limit/bao")
        self.bao("read", "sys/mounts")


class Idempotency(unittest.TestCase):
    def test_an_answer_that_a_kill_swallowed_is_found_by_the_retry(self):
        """The server is killed at the very system call that would have sent the answer."""
        with tempfile.TemporaryDirectory() as directory:
            server = Server(directory)
            api = server.start()
            try:
                for number in range(3):
                    self.kill_at_the_answer(server, number)
                    api.close()
                    api = server.start()
                    status, answer, replayed = self.create(server, number)
                    self.assertEqual((status, replayed), (200, "true"))
                    token = answer["auth"]["client_token"]
                    found = api.call("POST", "auth/token/lookup", {"token": token})
                    self.assertEqual(found[0], 200)
                    # The root token, and one for each key.
                    accessors = api.must("LIST", "auth/token/accessors")["data"]["keys"]
                    self.assertEqual(len(accessors), 2 + number)
            finally:
                api.close()
                end(server.process)

    def create(self, server, number):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"X-Vault-Token": server.root, "Idempotency-Key": f'"kill-{number}"'}
        connection.request("POST", "/v1/auth/token/create", json.dumps({"ttl": "1h"}), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer, response.getheader("Idempotency-Replayed")

    def kill_at_the_answer(self, server, number):
        pid = server.process.pid
        # What an answer is sent with; the server's own probe uses another one.
        calls = "writev"
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-e", f"trace={calls}",
                                   "-e", f"inject={calls}:signal=SIGKILL:when=1", "-p", str(pid)],
                                  stderr=subprocess.DEVNULL)
        wait_until_traced(pid)
        time.sleep(0.5)
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.create(server, number)
        self.assertEqual(server.process.wait(20), -9)
        end(tracer)


if __name__ == "__main__":
    unittest.main()
