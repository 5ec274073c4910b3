"""Runs the commands of docs/replication.md, from the first to the last, on ports that are free."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from bench.harness import BINARY, ROOT, free_port

DOC = ROOT / "docs" / "replication.md"
SECONDS_MAX = 600


def commands(text):
    """All blocks of shell, with the ports of three servers and their clusters replaced."""
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S))
    for port in ("8200", "8300", "8400"):
        free = free_port() // 2 * 2
        script = script.replace(port, str(free)).replace(str(int(port) + 1), str(free + 1))
    return script


def main():
    with tempfile.TemporaryDirectory(prefix="plimsoll-doc-") as directory:
        directory = pathlib.Path(directory)
        (directory / "plimsoll").symlink_to(BINARY.resolve())
        work = directory / "work"
        work.mkdir()
        environment = dict(os.environ, PATH=f"{directory}:{os.environ['PATH']}", HOME=str(directory))
        shell = subprocess.Popen(["bash", "-euxo", "pipefail", "-c", commands(DOC.read_text())], cwd=work,
                                 env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 start_new_session=True)
        try:
            printed, _ = shell.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            printed = "not done in time"
        finally:
            for file in work.glob("*.pid"):
                try:
                    os.kill(int(file.read_text()), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            shell.kill()
        if shell.returncode != 0:
            sys.exit(f"{printed}\n{DOC.name}: a command failed")
        print(f"{DOC.name}: every command works")


if __name__ == "__main__":
    main()
