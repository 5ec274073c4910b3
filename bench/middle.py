"""A middle man between a secondary and its primary, who alters what he passes on.

TLS ends at him on either side: an operator who takes a secondary token from him gives the secondary
his authority instead of the primary's. So what he flips, nobody but the two servers can notice. He
flips a bit of what the primary ships, in one of `EVERY` frames on average, once in each connection: who
notices makes a new one. And he flips a bit of the first snapshot.

python3 -m bench.middle LISTEN_HOST LISTEN_PORT PRIMARY_HOST PRIMARY_PORT DIRECTORY EVERY
"""

import asyncio
import base64
import json
import os
import random
import signal
import ssl
import subprocess
import sys

from bench.hosts import sh

NAME = "primary.plimsoll.internal"
PREFIX = "plimsoll."
FRAME_HEADER_BYTES, DATA = 9, 0
SHIPPED, SNAPSHOT = b"PlR1", b"\x1f\x8b"


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def take_token(token, address, directory):
    """The token that the secondary is given instead; what the real one held is kept for him."""
    held = base64.urlsafe_b64decode(token.removeprefix(PREFIX) + "==")
    held = json.loads(held[:-4])
    path = lambda name: os.path.join(directory, name)
    for name, text in [("primary-ca.pem", held["ca"]), ("own.pem", held["own"]["certificate"]),
                       ("own.key", held["own"]["key"])]:
        with open(path(name), "w") as file:
            file.write(text)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    sh("openssl", "req", "-x509", *key, "-keyout", path("ca.key"), "-out", path("ca.pem"), "-subj", "/CN=middle",
       "-addext", "keyUsage=keyCertSign")
    sh("openssl", "req", *key, "-keyout", path("server.key"), "-out", path("server.csr"), "-subj", "/CN=server",
       "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "extendedKeyUsage=serverAuth")
    sh("openssl", "x509", "-req", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
       "-copy_extensions", "copy", "-out", path("server.pem"))
    with open(path("ca.pem")) as file:
        held.update(ca=file.read(), address=address)
    text = json.dumps(held).encode()
    return PREFIX + base64.urlsafe_b64encode(text + crc32c(text).to_bytes(4, "little")).decode().rstrip("=")


class Middle:
    def __init__(self, primary, directory, every):
        self.primary, self.every = primary, every
        self.snapshots, self.flips = 0, True
        path = lambda name: os.path.join(directory, name)
        self.inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.inner.load_cert_chain(path("server.pem"), path("server.key"))
        self.outer = ssl.create_default_context(cafile=path("primary-ca.pem"))
        self.outer.load_cert_chain(path("own.pem"), path("own.key"))
        for context in (self.inner, self.outer):
            context.set_alpn_protocols(["h2"])

    def stop_flipping(self):
        self.flips = False

    async def accept(self, reader, writer):
        try:
            there = await asyncio.open_connection(*self.primary, ssl=self.outer, server_hostname=NAME)
        except OSError:
            writer.close()
            return
        # Whichever way ends first ends the connection.
        ways = [asyncio.ensure_future(self.pass_on(reader, there[1], self.as_it_is)),
                asyncio.ensure_future(self.pass_on(there[0], writer, self.altered()))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (*ways, writer, there[1]):
            end.cancel() if isinstance(end, asyncio.Future) else end.close()

    async def pass_on(self, reader, writer, change):
        try:
            while piece := await reader.read(1 << 16):
                writer.write(change(piece))
                await writer.drain()
        except OSError:
            pass

    @staticmethod
    def as_it_is(piece):
        return piece

    def altered(self):
        """One connection's: looks for what it is to alter in frames of HTTP/2."""
        pending, what, done = bytearray(), b"", False

        def change(piece):
            nonlocal what, done
            pending.extend(piece)
            out = bytearray()
            while len(pending) >= FRAME_HEADER_BYTES:
                end = FRAME_HEADER_BYTES + int.from_bytes(pending[:3], "big")
                if len(pending) < end:
                    break
                frame = pending[:end]
                del pending[:end]
                if frame[3] == DATA and end > FRAME_HEADER_BYTES:
                    start = bytes(frame[FRAME_HEADER_BYTES:FRAME_HEADER_BYTES + 4])
                    what = what or next((known for known in (SHIPPED, SNAPSHOT) if start.startswith(known)), b"")
                    done = done or self.maybe_flip(frame, what)
                out += frame
            return bytes(out)

        return change

    def maybe_flip(self, frame, what):
        if what == SNAPSHOT:
            self.snapshots += 1
        wanted = self.snapshots == 1 if what == SNAPSHOT else what == SHIPPED and random.random() * self.every < 1
        if not (self.flips and wanted):
            return False
        bit = random.randrange(8 * FRAME_HEADER_BYTES, 8 * len(frame))
        frame[bit // 8] ^= 1 << bit % 8
        print("snapshot" if what == SNAPSHOT else "shipped", flush=True)
        return True


def start(prefix, listen, primary, directory, every):
    """Starts one; what he has flipped is in the file `flipped`, a line each."""
    with open(os.path.join(directory, "flipped"), "w") as flipped:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "bench.middle", listen[0], str(listen[1]), primary[0], str(primary[1]),
             directory, str(every)], stdout=flipped)


def flipped(directory):
    with open(os.path.join(directory, "flipped")) as lines:
        return lines.read().split()


async def main(listen_host, listen_port, primary_host, primary_port, directory, every):
    middle = Middle((primary_host, int(primary_port)), directory, float(every))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, middle.stop_flipping)
    server = await asyncio.start_server(middle.accept, listen_host, int(listen_port), ssl=middle.inner)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
