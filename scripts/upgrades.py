#!/usr/bin/env python3
"""Upgrades a server again and again while people chat on it, and says whether anybody was hurt.

    scripts/upgrades.py [--upgrades 100] [--rate 20] [--drain 10] [--retry] [--profile release] [--no-build]

People arrive, meet, write, press next and go (the load generator's scenario `mix`). Nobody may be refused or lost, and no chat
may end before it has had the time that a drain promises. Exit status 1 if any was.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrades", type=int, default=100)
    parser.add_argument("--rate", type=float, default=20, help="people who arrive a second")
    parser.add_argument("--drain", type=int, default=10, help="seconds that chats have after an upgrade")
    parser.add_argument("--retry", action="store_true", help="let everybody prove their address first")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--profile", default="release", help="cargo profile to build with")
    parser.add_argument("--no-build", action="store_true", help="use what was built before")
    return parser.parse_args()


def build(profile, is_built):
    command = ["cargo", "build", "--quiet", "--profile", profile, "-p", "anoncam", "-p", "anoncam-loadgen"]
    if not is_built:
        subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "target" / ("debug" if profile == "dev" else profile)


class Server:
    """The server, and the processes that took its place."""

    def __init__(self, program, directory, options):
        self.program = program
        self.control = directory / "control.sock"
        config = directory / "anoncam.toml"
        config.write_text(
            f'listen = "127.0.0.1:0"\nsite = "127.0.0.1:0"\nlog = "off"\ncontrol = "{self.control}"\n'
            f"shards = {options.shards}\ndrain_seconds = {options.drain}\n"
            f"retry_above = {0 if options.retry else 1000}\n"
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANONCAM_")}
        self.first = subprocess.Popen(
            [program, "--config", config], stdout=subprocess.PIPE, text=True, env=environment
        )
        self.url = self.first.stdout.readline().split()[-1]

    def order(self, order):
        return subprocess.run(
            [self.program, order, "--control", self.control], capture_output=True, text=True, check=False
        )

    def upgrade(self):
        """One upgrade; how long it took, in seconds. Waits while too many older processes still have chats."""
        while True:
            begin = time.monotonic()
            done = self.order("upgrade")
            if done.returncode == 0:
                return time.monotonic() - begin
            if "older processes still have chats" not in done.stderr:
                sys.exit(f"no upgrade: {done.stderr.strip()}")
            time.sleep(0.5)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main():
    options = arguments()
    programs = build(options.profile, options.no_build)
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        server = Server(programs / "anoncam", directory, options)
        report = directory / "report.json"
        load = subprocess.Popen(
            [programs / "anoncam-loadgen", "mix", "--url", server.url, "--rate", str(options.rate)]
            + ["--ramp", "0s", "--warmup", "0s", "--duration", "6h", "--dwell", "3s", "--message-every", "500ms"]
            + ["--quiet", "--json", report],
            stdout=subprocess.DEVNULL,
        )
        took = []
        try:
            time.sleep(5)
            for _ in range(options.upgrades):
                took.append(server.upgrade())
                time.sleep(1)
            time.sleep(options.drain + 3)
        finally:
            load.send_signal(signal.SIGINT)
            load.wait()
            server.order("drain")
        sys.exit(tell(json.loads(report.read_text()), took))


def tell(report, took):
    """Prints what happened; 1 if somebody was hurt."""
    phases = [report["opening"], report["measured"]]
    count = lambda name: sum(phase["counts"].get(name, 0) for phase in phases)
    failures = {}
    for phase in phases:
        for why, times in phase["failures"].items():
            failures[why] = failures.get(why, 0) + times
    print(f"upgrades            {len(took)}")
    if took:
        print(f"an upgrade takes    {percentile(took, 0.5):.2f} s (median), {max(took):.2f} s (longest)")
    print(f"sessions opened     {count('opened')}, of them {count('moved')} in place of one on an older process")
    print(f"not opened, lost    {count('open_failed')}, {count('lost')}")
    print(f"chats               {count('matched') // 2}")
    print(f"frames              {count('frames_sent')} sent, {count('frames_received')} received")
    for metric in ("open", "find", "next", "relay"):
        latency = report["measured"]["latencies"].get(metric)
        if latency and latency["corrected"]["count"]:
            seen = latency["corrected"]
            at = {name: seen[name] / 1000 for name in ("p50", "p99", "max")}
            print(f"{metric:19} p50 {at['p50']:.2f} ms, p99 {at['p99']:.2f} ms, max {at['max']:.0f} ms")
    for why, times in sorted(failures.items()):
        print(f"FAILURE             {times} x {why}")
    hurt = bool(failures) or count("open_failed") or count("lost")
    print("somebody was hurt" if hurt else "nobody was hurt")
    return 1 if hurt else 0


if __name__ == "__main__":
    main()
