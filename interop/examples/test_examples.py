"""The examples of plimsoll-http, asked with curl.

`interop/run` has built them into target/debug/examples.
"""

import contextlib
import json
import subprocess
import unittest

from bench.harness import ROOT, end

EXAMPLES = ROOT / "target" / "debug" / "examples"
MEBIBYTE = 1 << 20


@contextlib.contextmanager
def example(name):
    """Runs one; yields its URL."""
    process = subprocess.Popen([EXAMPLES / name], stderr=subprocess.PIPE, text=True)
    try:
        _, _, address = process.stderr.readline().strip().partition("listening on ")
        yield f"http://{address}"
    finally:
        end(process)
        process.stderr.close()


def curl(url, *options, upload=None):
    """The status, the header fields and the body."""
    data = ["--data-binary", "@-"] if upload is not None else []
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--include", *data, *options, url]
    result = subprocess.run(command, input=upload, capture_output=True, check=True)
    answer = result.stdout
    while True:
        head, _, answer = answer.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        status = int(line.split(" ")[1])
        if status >= 200:
            break
    headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
    return status, headers, answer.decode()


class Examples(unittest.TestCase):
    def too_large(self, answer):
        status, headers, body = answer
        self.assertEqual((status, headers["content-type"]), (413, "application/problem+json"))
        self.assertNotIn("retry-after", headers)
        problem = json.loads(body)
        self.assertEqual((problem["code"], problem["executed"]), ("content_too_large", False))

    def test_axum_takes_uploads_within_limits_and_can_be_closed(self):
        with example("on_axum") as url:
            self.assertEqual(curl(url)[::2], (200, "hello\n"))
            upload = bytes(MEBIBYTE)
            self.assertEqual(curl(f"{url}/upload", upload=upload)[::2], (200, "1048576 bytes\n"))
            self.too_large(curl(f"{url}/upload", upload=upload + b"x"))
            chunked = ["--header", "Transfer-Encoding: chunked"]
            self.too_large(curl(f"{url}/upload", *chunked, upload=upload + b"x"))
            self.assertEqual(curl(f"{url}/close", "--request", "POST")[0], 200)
            status, headers, body = curl(url)
            self.assertEqual((status, json.loads(body)["code"]), (503, "maintenance"))
            self.assertTrue(1 <= int(headers["retry-after"]) <= 67, headers)

    def test_plain_hyper_speaks_both_versions_of_http(self):
        with example("on_hyper") as url:
            for version in ("--http1.1", "--http2-prior-knowledge"):
                with self.subTest(version):
                    answer = curl(url, version, upload=b"four")
                    self.assertEqual(answer[::2], (200, "4 bytes from 127.0.0.1\n"))
            # Over HTTP/2 curl 7.88 shows no answer: interop/uploads looks at the frames.
            self.too_large(curl(url, upload=bytes(MEBIBYTE + 1)))


if __name__ == "__main__":
    unittest.main()
