"""Lints every golden refusal with httplint: python -m interop.lint, in a Python that has it.

A refusal may be an error, so httplint's remark that a 400 is one is not a fault of it.
"""

import contextlib
import io
import pathlib
import sys
from argparse import Namespace

from httplint.cli.http_parser import HttpCliParser, modes

GOLDEN = pathlib.Path(__file__).parent.parent / "crates/plimsoll-http/tests/golden"
RESPONSES_MIN = 80
EXPECTED = "The server didn't understand the request."


def faults(response):
    """What httplint warns about in one HTTP/1.1 response."""
    output = io.StringIO()
    parser = HttpCliParser(Namespace(mode=modes.RESPONSE, now=False, locale=None), None)
    with contextlib.redirect_stdout(output):
        parser.handle_input(response)
    lines = output.getvalue().splitlines()
    if parser.failed or not any("[GOOD]" in line for line in lines):
        return ["not understood: " + " ".join(lines)]
    return [line for line in lines if ("[WARN]" in line or "[BAD]" in line) and EXPECTED not in line]


def main():
    # A linter that finds nothing wrong anywhere has not been asked.
    soon = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n"
    if not faults(soon):
        sys.exit("httplint accepts `Retry-After: soon`")
    responses = sorted(GOLDEN.glob("*/*.http"))
    if len(responses) < RESPONSES_MIN:
        sys.exit(f"{len(responses)} golden files under {GOLDEN}, expected {RESPONSES_MIN}")
    wrong = 0
    for path in responses:
        for fault in faults(path.read_bytes()):
            print(f"{path.parent.name}/{path.name}: {fault}")
            wrong += 1
    print(f"{len(responses)} refusals linted, {wrong} warnings")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
