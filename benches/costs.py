#!/usr/bin/env python3
"""What the limits by address and the metrics cost, in CPU of the server for what it does.

    benches/costs.py               about 6 minutes on two quiet cores
    benches/costs.py --quick       a few seconds and a debug build: shows that everything runs

Limits: a server in production, where everything that comes from an address is counted, beside one in development, where nothing is; in turn,
round by round, the same load from the same 250 loopback addresses. Metrics: what one answer to Prometheus takes on a server with sessions, and
what that is of a core at an answer every 15 s.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import urllib.request

sys.dont_write_bytecode = True
from bench import loads  # noqa: E402
from bench.machine import ROOT, free_port, wait_for  # noqa: E402
from bench.servers import OWN, PRODUCTION, SOURCES, program, running  # noqa: E402

# What Prometheus is told in deploy/monitoring/prometheus.yml.
EVERY_S = 15


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    chosen.binaries = ROOT / "target" / ("debug" if chosen.quick else "release")
    chosen.shards, chosen.stack, chosen.realtime = 1, [], False
    chosen.people, chosen.pairs_a_second, chosen.frames_a_second = 4_000, 4_000, 40_000
    chosen.warmup, chosen.duration, chosen.scrapes = "1s", "6s", 300
    if chosen.quick:
        chosen.rounds, chosen.people, chosen.pairs_a_second, chosen.frames_a_second = 1, 40, 20, 100
        chosen.warmup, chosen.duration, chosen.scrapes = "100ms", "600ms", 3
    return chosen


def main():
    options = arguments()
    if not options.no_build:
        profile = "dev" if options.quick else "release"
        subprocess.run(["cargo", "build", "--workspace", "--bins", "--quiet", "--profile", profile], cwd=ROOT, check=True)
    rounds = [{name: costs(options, name) for name in (OWN, PRODUCTION)} for _ in range(options.rounds)]
    print("| CPU of the server, us | without limits | with limits | with over without |\n| --- | --: | --: | --: |")
    for key in rounds[0][OWN]:
        without, limited = ([one[name][key] for one in rounds] for name in (OWN, PRODUCTION))
        ratios = [after / before for before, after in zip(without, limited)]
        print(f"| {key} | {statistics.median(without):.1f} | {statistics.median(limited):.1f} | "
              f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) |")
    scrape = scraping(options)
    print(f"\nan answer to Prometheus: {scrape * 1e6:.0f} us of CPU; every {EVERY_S} s that is {scrape / EVERY_S:.5%} of a core")


def costs(options, name):
    """CPU of the server for a session opened, a match (each end) and a frame, in us."""
    timing = ["--warmup", options.warmup, "--duration", options.duration, "--connections", str(options.people)]
    with running(options, name) as target:
        if name == OWN:
            target = [*target, "--source-addr", SOURCES]
        pair = loads.run(options, target, "pair", "--rate", str(options.pairs_a_second), *timing)
        relay = loads.run(options, target, "relay", "--rate", str(options.frames_a_second), *timing)
    return {
        "a session opened": pair["opening"]["server"]["cpu_s"] * 1e6 / pair["opening"]["counts"]["opened"],
        "a match, each end": loads.server_us(pair, "matched"),
        "a frame relayed": loads.server_us(relay, "frames_received"),
    }


def scraping(options):
    """CPU seconds of an answer to Prometheus, on a server with sessions of every kind."""
    site, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = [program(options, OWN), "--listen", "127.0.0.1:0", "--site", site, "--log", "error"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "ANONCAM_METRICS": metrics})
    try:
        wait_for(metrics, server)
        loads.run(options, ["--url", f"http://{site}"], "pair", "--rate", "20", "--connections", "40", "--duration", "1s")
        before = cpu_s(server.pid)
        for _ in range(options.scrapes):
            with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=5) as answer:
                answer.read()
        return (cpu_s(server.pid) - before) / options.scrapes
    finally:
        server.kill()
        server.wait()


def cpu_s(pid):
    """CPU time of a process's threads, in seconds."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


if __name__ == "__main__":
    main()
