"""A server that refuses: on each of its ports the same way, every time.

It notes when each request arrived, with its method and idempotency key, and answers
at once. Clients are told by the port which refusal they get.
"""

import dataclasses
import email.utils
import http.server
import threading
import time


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A status and its headers; a Retry-After of `+n` is a date n seconds from now."""

    name: str
    status: int
    headers: tuple = ()


REFUSALS = (
    Refusal("429", 429),
    Refusal("429, 1 s", 429, (("Retry-After", "1"),)),
    Refusal("503", 503),
    Refusal("503, 1 s", 503, (("Retry-After", "1"),)),
    Refusal("503, date", 503, (("Retry-After", "+3"),)),
    Refusal("503, 200 ms", 503, (("Retry-After", "1"), ("retry-after-ms", "200"))),
    Refusal("503, -1", 503, (("Retry-After", "-1"),)),
    Refusal("503, 1 h", 503, (("Retry-After", "3600"),)),
    Refusal("507", 507),
    Refusal("413", 413),
    Refusal("413, 1 s", 413, (("Retry-After", "1"),)),
)
SHORT = tuple(r for r in REFUSALS if r.name in ("429", "503, 1 s", "503, -1", "507", "413"))
BODY = b'{"errors":["overloaded, try again later: refused on purpose, nothing was executed"]}'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def refuse(self):
        self.server.arrivals.append(
            (time.monotonic(), self.command, self.headers.get("Idempotency-Key")))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refusal = self.server.refusal
        self.send_response(refusal.status)
        for name, value in refusal.headers:
            if value.startswith("+"):
                value = email.utils.formatdate(time.time() + int(value), usegmt=True)
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(BODY)

    do_GET = do_HEAD = do_PUT = do_POST = do_LIST = do_DELETE = refuse

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, refusal):
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusal = refusal
        self.arrivals = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that was ended breaks its connections off."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"
