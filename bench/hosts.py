"""Two hosts for the fault tests: network namespaces, and what can go wrong between them."""

import contextlib
import fcntl
import os
import struct
import subprocess
import sys

from bench.harness import end

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def sh(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


class Network:
    """Two namespaces and a veth pair between them, and one to here from each."""

    def __init__(self):
        self.tag = f"{os.getpid() % 100000:05d}"
        self.names = [f"plim{self.tag}{side}" for side in "ab"]
        block = 16 + os.getpid() % 200
        self.between = [f"10.99.{block}.1", f"10.99.{block}.2"]
        self.outside = [f"10.98.{block}.{4 * side + 2}" for side in (0, 1)]
        for side, name in enumerate(self.names):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "link", "add", f"r{self.tag}a", "netns", self.names[0], "type", "veth",
           "peer", "name", f"r{self.tag}b", "netns", self.names[1])
        for side, name in enumerate(self.names):
            link = f"r{self.tag}{'ab'[side]}"
            sh("ip", "-n", name, "addr", "add", f"{self.between[side]}/24", "dev", link)
            sh("ip", "-n", name, "link", "set", link, "up")
            here = f"o{self.tag}{'ab'[side]}"
            sh("ip", "link", "add", here, "type", "veth", "peer", "name", "out", "netns", name)
            sh("ip", "addr", "add", f"10.98.{block}.{4 * side + 1}/30", "dev", here)
            sh("ip", "link", "set", here, "up")
            sh("ip", "-n", name, "addr", "add", f"{self.outside[side]}/30", "dev", "out")
            sh("ip", "-n", name, "link", "set", "out", "up")

    @contextlib.contextmanager
    def lossy(self, loss, delay_ms):
        """Everything between the two, both ways, by a link that loses a share and delays."""
        devices = []
        for side, name in enumerate(self.names):
            link = f"t{self.tag}{'ab'[side]}"
            device = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", link.encode(), IFF_TUN | IFF_NO_PI))
            sh("ip", "link", "set", link, "netns", name)
            sh("ip", "-n", name, "link", "set", link, "up")
            devices.append(device)
        relay = subprocess.Popen([sys.executable, "-m", "bench.lossy", *map(str, devices), str(loss), str(delay_ms)],
                                 pass_fds=devices)
        for side, name in enumerate(self.names):
            sh("ip", "-n", name, "route", "add", f"{self.between[1 - side]}/32", "dev",
               f"t{self.tag}{'ab'[side]}", "src", self.between[side])
        try:
            yield
        finally:
            # The devices go with whoever holds them open, and the routes with the devices.
            for device in devices:
                os.close(device)
            end(relay)

    def connect_seconds(self, side, to, port):
        """How long a connection from one side to the other takes."""
        connect = ("import socket, time; began = time.monotonic();"
                   f"socket.create_connection(('{self.between[to]}', {port}), 20); print(time.monotonic() - began)")
        return float(sh("ip", "netns", "exec", self.names[side], sys.executable, "-c", connect).stdout)

    def silence(self, side, silent):
        """One way: nothing goes out of a side towards the other, and nobody is told."""
        do = "add" if silent else "del"
        sh("ip", "-n", self.names[side], "route", do, "blackhole", f"{self.between[1 - side]}/32")

    def cut(self, cut):
        """Both ways."""
        sh("ip", "-n", self.names[0], "link", "set", f"r{self.tag}a", "down" if cut else "up")

    def close(self):
        for name in self.names:
            sh("ip", "netns", "del", name, check=False)
