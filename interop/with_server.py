"""Runs a command beside a dev server: VAULT_ADDR and VAULT_TOKEN tell it where."""

import os
import subprocess
import sys

from bench.harness import TOKEN, dev_server


def main():
    with dev_server() as port:
        environment = dict(os.environ, VAULT_ADDR=f"http://127.0.0.1:{port}", VAULT_TOKEN=TOKEN)
        sys.exit(subprocess.run(sys.argv[1:], env=environment).returncode)


if __name__ == "__main__":
    main()
