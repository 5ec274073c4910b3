"""A link that loses and delays, for kernels without netem: packets between two TUN devices.

python3 -m bench.lossy FD FD LOSS DELAY, the devices' file descriptors, a share and milliseconds.
"""

import heapq
import os
import random
import select
import sys
import time

PACKET_BYTES_MAX = 1 << 16


def relay(devices, loss, delay):
    """Until it is killed: each packet, later, or not at all."""
    under_way, number = [], 0
    while True:
        wait = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
        for device in select.select(devices, [], [], wait)[0]:
            packet = os.read(device, PACKET_BYTES_MAX)
            if random.random() >= loss:
                number += 1
                to = devices[1 - devices.index(device)]
                heapq.heappush(under_way, (time.monotonic() + delay, number, to, packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(under_way)
            os.write(to, packet)


if __name__ == "__main__":
    one, other, loss, delay = sys.argv[1:]
    relay([int(one), int(other)], float(loss), float(delay) / 1000)
