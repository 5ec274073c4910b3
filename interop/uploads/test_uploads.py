"""A refused upload of 100 MB: the client reads the refusal, the server not the upload.

The clients are those that people have, curl and Python's requests, and HTTP/2 frame by
frame. The 413 is decided on the Content-Length, the 503 by a maintenance window.
"""

import json
import os
import select
import socket
import subprocess
import tempfile
import unittest

import h2.connection
import h2.errors
import h2.events
import requests

from bench.harness import TOKEN, Api, dev_server
from interop.examples.test_examples import example

UPLOAD_BYTES = 100 << 20
# Beyond the server's 32 MiB of patience and what the kernels of both sides buffer.
SENT_BYTES_MAX = 48 << 20
PATH = "/v1/secret/data/large"


class Curl:
    """One answer to `curl`, and what it had sent by then."""

    def __init__(self, url, upload, *options):
        command = ["curl", "--silent", "--show-error", "--max-time", "60", "--request", "POST",
                   "--header", f"X-Vault-Token: {TOKEN}", "--data-binary", f"@{upload}",
                   "--write-out", "\n%{http_code} %{size_upload} %{http_version}", *options, url]
        result = subprocess.run(command, capture_output=True, text=True)
        self.exit, self.error = result.returncode, result.stderr
        body, _, figures = result.stdout.rpartition("\n")
        status, sent, self.version = figures.split()
        self.body, self.status, self.sent = body, int(status), int(sent)


class Http2Upload:
    """Sends as fast as the server's windows allow until it is told to stop."""

    def __init__(self, port):
        self.status, self.body, self.reset, self.sent = None, b"", None, 0
        self.ended = False
        self.http = h2.connection.H2Connection()
        self.http.initiate_connection()
        self.http.send_headers(1, [
            (":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", PATH),
            ("content-length", str(UPLOAD_BYTES)), ("x-vault-token", TOKEN)])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as self.socket:
            while self.reset is None:
                self.socket.sendall(self.http.data_to_send())
                room = min(self.http.local_flow_control_window(1), self.http.max_outbound_frame_size)
                if room > 0:
                    self.http.send_data(1, bytes(room))
                    self.sent += room
                if room == 0 or select.select([self.socket], [], [], 0)[0]:
                    self.receive()

    def receive(self):
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("closed without a word")
        for event in self.http.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.body += event.data
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, h2.events.StreamReset):
                self.reset = event.error_code


class Uploads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = dev_server()
        cls.port = cls.server.__enter__()
        cls.url = f"http://127.0.0.1:{cls.port}{PATH}"
        handle, cls.upload = tempfile.mkstemp()
        os.truncate(handle, UPLOAD_BYTES)
        os.close(handle)

    @classmethod
    def tearDownClass(cls):
        os.unlink(cls.upload)
        cls.server.__exit__(None, None, None)

    def refusals(self):
        """Each status and code while the server refuses with it."""
        yield 413, "content_too_large"
        api = Api(self.port)
        api.must("POST", "sys/maintenance", {})
        try:
            yield 503, "maintenance"
        finally:
            api.must("DELETE", "sys/maintenance")
            api.close()

    def told(self, status, code, body):
        body = json.loads(body)
        self.assertEqual((body["code"], body["executed"]), (code, False), body)
        self.assertTrue(body["errors"][0])

    def curl(self, status, code, *options):
        answer = Curl(self.url, self.upload, *options)
        self.assertEqual((answer.exit, answer.status), (0, status), answer.error)
        self.told(status, code, answer.body)
        return answer

    def test_curl_that_expects_100_sends_nothing(self):
        # Left to itself, curl expects it for a second and then sends all the same.
        patient = ["--expect100-timeout", "30"]
        for status, code in self.refusals():
            answer = self.curl(status, code, "--http1.1", "--header", "Expect: 100-continue", *patient)
            self.assertEqual(answer.sent, 0)

    def test_curl_that_sends_at_once_reads_the_answer(self):
        for status, code in self.refusals():
            answer = self.curl(status, code, "--http1.1", "--header", "Expect:")
            self.assertLess(answer.sent, SENT_BYTES_MAX)

    def test_over_http_2_the_answer_comes_whole_and_the_upload_ends_with_no_error(self):
        # Frame by frame: curl 7.88 loses an answer that comes with RST_STREAM.
        for status, code in self.refusals():
            answer = Http2Upload(self.port)
            self.assertEqual((answer.status, answer.ended), (status, True))
            self.told(status, code, answer.body)
            self.assertEqual(answer.reset, h2.errors.ErrorCodes.NO_ERROR)
            self.assertLess(answer.sent, SENT_BYTES_MAX)

    def test_plain_hyper_behind_the_layers_does_the_same(self):
        with example("on_hyper") as url:
            answer = Http2Upload(int(url.rpartition(":")[2]))
        self.assertEqual((answer.status, answer.ended), (413, True))
        self.assertEqual(json.loads(answer.body)["code"], "content_too_large")
        self.assertEqual(answer.reset, h2.errors.ErrorCodes.NO_ERROR)

    def test_requests_reads_the_answer_to_what_it_goes_on_sending(self):
        for status, code in self.refusals():
            with open(self.upload, "rb") as upload:
                headers = {"x-vault-token": TOKEN}
                answer = requests.post(self.url, data=upload, headers=headers, timeout=60)
                self.assertEqual(answer.status_code, status)
                self.told(status, code, answer.text)
                self.assertLess(upload.tell(), SENT_BYTES_MAX)


if __name__ == "__main__":
    unittest.main()
