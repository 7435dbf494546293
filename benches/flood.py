#!/usr/bin/env python3
"""What floods cost the people who chat: pairing of honest people in peace, under first packets from many ports, and beside hostile sessions, in one run.

    benches/flood.py               about 2 minutes on two quiet cores; needs scripts/setup.sh for aioquic
    benches/flood.py --quick       a few seconds and a debug build: shows that everything runs

The server runs as for the public, with one shard; honest people come from 250 loopback addresses, hostile sessions from four others. The flood is first
packets of QUIC, each of a connection of its own that never goes on, over and over from 256 ports. What the server sends back to these ports
is counted: it must not be more than three times what was sent there. Memory is read before, at its highest, and a minute after.
"""

import argparse
import os
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from bench import loads  # noqa: E402
from bench.machine import ROOT, on_core  # noqa: E402
from bench.servers import SOURCES, running  # noqa: E402

PYTHON = ROOT / "target" / "python" / "bin" / "python"
PORTS, PACKETS = 256, 4_000
HOSTILE_SOURCES = "127.9.0.1-127.9.0.4"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15, help="measured part of a run")
    parser.add_argument("--rate", type=int, default=50_000, help="first packets a second")
    parser.add_argument("--hostile", type=int, default=1_000, help="hostile sessions")
    parser.add_argument("--siege", type=int, default=15, help="seconds between the two measurements beside hostile sessions")
    parser.add_argument("--rest", type=int, default=60, help="seconds until memory has to be back")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--send", nargs=3, metavar=("ADDRESS", "RATE", "SECONDS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.binaries = ROOT / "target" / ("debug" if chosen.quick else "release")
    chosen.shards, chosen.stack, chosen.realtime = 1, [], False
    if chosen.quick:
        chosen.seconds, chosen.rate, chosen.hostile, chosen.rest, chosen.siege = 2, 2_000, 50, 5, 1
    return chosen


def main():
    options = arguments()
    if options.send:
        host, port = options.send[0].rsplit(":", 1)
        return send((host, int(port)), int(options.send[1]), float(options.send[2]))
    if not options.no_build:
        packages = ["-p", "anoncam", "-p", "anoncam-loadgen"]
        profile = "dev" if options.quick else "release"
        subprocess.run(["cargo", "build", "--profile", profile, "--bins", *packages], cwd=ROOT, check=True)
    with running(options, "production") as target:
        pid = int(target[target.index("--server-pid") + 1])
        address = target[1].removeprefix("https://").removesuffix("/v1")
        before = resident_mib(pid)
        peace = honest(options, target)
        flooder = subprocess.Popen(
            [PYTHON, __file__, "--send", address, str(options.rate), str(options.seconds + 10)], stdout=subprocess.PIPE, text=True
        )
        flooder.stdout.readline()  # it has made its packets and begins
        flood = honest(options, target)
        flooded = resident_mib(pid)
        told, _ = flooder.communicate()
        sent, sent_bytes, heard_bytes, took = map(float, told.split())
        with hostile(options, target):
            beside = honest(options, target)
            time.sleep(options.siege)
            later = honest(options, target)
            sieged = resident_mib(pid)
        time.sleep(options.rest)
        after = resident_mib(pid)
    rows = [("peace", peace), (f"{sent / took:,.0f} first packets a second", flood), (f"{options.hostile} hostile sessions, as they come", beside),
            (f"the same, {options.seconds + options.siege} s later", later)]
    print("| | pairing p50, ms | p99, ms | p99 over peace |\n| --- | --: | --: | --: |")
    for name, (p50, p99) in rows:
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {p99 / peace[1]:.2f} |")
    print(f"\nsent back to the ports of the flood: {heard_bytes / sent_bytes:.3f} bytes for each byte from there")
    print(f"memory of the server: {before:.0f} MiB before, {flooded:.0f} in the flood, {sieged:.0f} with hostile sessions, "
          f"{after:.0f} {options.rest} s later")
    if heard_bytes > 3 * sent_bytes:
        sys.exit("more than three times of what was sent came back")


def honest(options, target):
    """p50 and p99 of pairing among people who behave, in ms. Who measures goes before whoever floods from the same core, if it may."""
    first = argparse.Namespace(**vars(options))
    first.realtime = os.geteuid() == 0
    report = loads.run(first, target, "pair", "--connections", "200", "--rate", "60", "--dwell", "1s",
                         "--duration", f"{options.seconds}s")
    return [loads.latency_ms(report, "pair", figure) for figure in ("p50", "p99")]


def hostile(options, target):
    """Sessions that press next without end, are closed for it, and come back as often as their addresses may. What they wish for keeps them
    among themselves."""
    target = [HOSTILE_SOURCES if value == SOURCES else value for value in target]
    program = str(options.binaries / "anoncam-loadgen")
    command = [*on_core(options.client_core, options.realtime), program, "churn", *target, "--interests", "flood",
               "--connections", str(options.hostile), "--dwell", "20ms", "--think", "0s", "--duration", "2s", "--quiet"]
    return Again(command)


class Again:
    """A program that is started again whenever it ends."""

    def __init__(self, command):
        self.command, self.over = command, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.1):
            process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not self.over.wait(0.05):
                pass
            process.terminate()
            process.wait()

    def __exit__(self, *failure):
        self.over.set()
        self.thread.join()


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1_024


def first_packets(count):
    """The first datagram of so many connections, none of which goes on."""
    import ssl

    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    packets = []
    for _ in range(count):
        configuration = QuicConfiguration(alpn_protocols=["h3"], server_name="localhost", verify_mode=ssl.CERT_NONE)
        connection = QuicConnection(configuration=configuration)
        connection.connect(("127.0.0.1", 4433), now=0.0)
        packets.append(connection.datagrams_to_send(now=0.0)[0][0])
    return packets


def send(address, rate, seconds):
    """Sends them over and over; tells how many, how many bytes, how many bytes came back, and how long it took."""
    packets = first_packets(PACKETS if rate > 10_000 else PACKETS // 10)
    sockets = []
    for _ in range(PORTS):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.connect(address)
        one.setblocking(False)
        sockets.append(one)
    poll = select.epoll()
    by_number = {one.fileno(): one for one in sockets}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    print("begins", flush=True)
    sent = sent_bytes = heard_bytes = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(min(2_000, int(passed * rate) - sent)):
            # Ports and packets go round at different paces: each time another connection.
            try:
                sent_bytes += sockets[(sent + sent // PACKETS) % PORTS].send(packets[sent % len(packets)])
            except OSError:
                pass
            sent += 1
        for number, _ in poll.poll(0.001):
            try:
                while True:
                    heard_bytes += len(by_number[number].recv(65_536))
            except OSError:
                pass
    print(sent, sent_bytes, heard_bytes, time.monotonic() - began)


if __name__ == "__main__":
    main()
