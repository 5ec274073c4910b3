"""docs/proxy.md and deploy/ as they stand: every command of the five minutes before a real
OpenBao, in a shell, with nothing replaced but the ports."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

from bench.harness import BINARY, ROOT, bao_server, end, free_port


def five_minutes():
    """The commands of that section, block by block."""
    page = (ROOT / "docs" / "proxy.md").read_text()
    section = page.split("## Five minutes", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


class FiveMinutes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bao = bao_server()
        cls.upstream, _ = cls.bao.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.bao.__exit__(None, None, None)

    def setUp(self):
        self.ports = {"8200": self.upstream, "8100": free_port(), "8102": free_port()}
        self.environment = dict(os.environ, PATH=f"{BINARY.parent}:{os.environ['PATH']}")

    def here(self, text):
        return re.sub(r":(8200|8100|8102)\b", lambda port: f":{self.ports[port[1]]}", text)

    def start(self, command):
        """A proxy whose command stands in the page, until the test ends; and its words."""
        words = tempfile.TemporaryFile("w+")
        self.addCleanup(words.close)
        proxy = subprocess.Popen(["bash", "-c", f"exec {self.here(command)}"], text=True,
                                 env=self.environment, stdout=words, stderr=subprocess.STDOUT)
        self.addCleanup(end, proxy)
        return proxy, words

    def shell(self, commands):
        done = subprocess.run(["bash", "-ec", self.here(commands)], env=self.environment, text=True,
                              timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def health(self, so):
        """What health says once `so` is true of it."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError, ValueError):
                health = json.loads(self.shell(five_minutes()[2]))
                if so(health):
                    return health
            time.sleep(0.05)
        self.fail("health does not say so")

    def test_the_page_as_it_stands(self):
        start, client, look = five_minutes()
        _, words = self.start(start)
        self.health(lambda health: health["upstream_kind"] == "vault")
        words.seek(0)
        said = words.read()
        for line in ("listening on http://127.0.0.1:8100", "in front of http://127.0.0.1:8200",
                     "protection: monitor"):
            self.assertIn(self.here(line), said)
        self.assertRegex(self.shell(client), r"Sealed +false")
        health = json.loads(self.shell(look))
        for gate in ("upstream.logins", "upstream.writes", "upstream.reads"):
            self.assertEqual(health["gates"][gate]["reject_fraction"], 0.0)
            self.assertEqual(health["gates"][gate]["mode"], "monitor")

    def test_the_file_that_is_installed_and_a_hup(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "proxy.hcl")
            text = self.here((ROOT / "deploy" / "proxy.hcl").read_text())
            file.write_text(text)
            proxy, _ = self.start(f"plimsoll proxy --config {file}")
            mode = lambda health: {gate["mode"] for gate in health["gates"].values()}
            self.health(lambda health: mode(health) == {"enforce"})
            file.write_text(text.replace('mode = "enforce"', 'mode = "monitor"'))
            proxy.send_signal(signal.SIGHUP)
            self.health(lambda health: mode(health) == {"monitor"})


class Unit(unittest.TestCase):
    def test_the_unit_is_valid(self):
        unit = (ROOT / "deploy" / "plimsoll-proxy.service").read_text()
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "plimsoll-proxy.service")
            file.write_text(unit.replace("/usr/local/bin/plimsoll", str(BINARY)))
            done = subprocess.run(["systemd-analyze", "verify", file], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
