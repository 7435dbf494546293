#!/usr/bin/env python3
"""Figures of the server beside other stacks, all in one run: A B C D A B C D.

    benches/figures.py                 the figures of docs/benchmarks/server.md, about 10 minutes on two quiet cores
    benches/figures.py --quick         small numbers and a debug build: shows that everything runs (used by the tests)

Each server is started afresh for each of two loads, pinned to one core; the load generator is pinned to the other.

  idle    sessions are opened (64 handshakes at a time) and held after WELCOME, not waiting:
          sessions opened and failed, CPU of the server a session opened, resident memory a session (slope from none to all)
  relay   frames between pairs at a fixed rate: latency one way, CPU of the server a frame

Every figure is the median over the rounds, with the lowest and the highest, and its ratio to the h3 baseline.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = "h3"
OWN = "anoncam"
# Targets: (figure, what to hold, wording). A ratio is to the stack that is named, None means any other.
IDLE_KIB_TARGET = 24
CPU_RATIO_TARGET = 0.6

FIGURES = [
    ("opened", "sessions opened", "{:.0f}"),
    ("failed", "sessions failed", "{:.0f}"),
    ("open_us", "CPU a session opened, us", "{:.0f}"),
    ("idle_kib", "memory an idle session, KiB", "{:.1f}"),
    ("relay_p50_us", "relay one way p50, us", "{:.0f}"),
    ("relay_p99_us", "relay one way p99, us", "{:.0f}"),
    ("frame_us", "CPU a relayed frame, us", "{:.1f}"),
    ("relayed", "frames relayed", "{:.0f}"),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", default="anoncam,h3,web-transport-quinn,wtransport",
                        help="in this order; NAME=PATH adds another build of the server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--open", type=int, default=10_000, help="sessions whose opening is measured")
    parser.add_argument("--idle", type=int, default=20_000, help="sessions that are held")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before memory is read")
    parser.add_argument("--relay-pairs", type=int, default=100)
    parser.add_argument("--relay-rate", type=int, default=2_000, help="frames a second")
    parser.add_argument("--relay-seconds", type=float, default=10.0)
    parser.add_argument("--size", type=int, default=100, help="payload bytes of a frame")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0,
                        help="priority of servers and load generator, as -15 on a machine that is not quiet (needs root)")
    parser.add_argument("--profile", default="release", choices=["release", "dev"])
    parser.add_argument("--no-build", action="store_true", help="use what was built before")
    parser.add_argument("--json", type=pathlib.Path, help="write every single figure to this file")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table to this file")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.profile, chosen.settle = 1, "dev", 1.0
        chosen.open, chosen.idle = 500, 1_000
        chosen.relay_pairs, chosen.relay_rate, chosen.relay_seconds = 10, 200, 2.0
    return chosen


def main():
    options = arguments()
    if not options.no_build:
        packages = ["-p", "anoncam", "-p", "anoncam-baseline", "-p", "anoncam-loadgen"]
        subprocess.run(["cargo", "build", "--profile", options.profile, "--bins", *packages], cwd=ROOT, check=True)
    if options.nice:
        # Where sessions are scheduled as groups, priorities count only within one: the group of this run gets it too.
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/self/autogroup").write_text(str(options.nice))
    stacks = dict(stack_of(entry, options) for entry in options.stacks.split(","))
    rounds = {name: [] for name in stacks}
    for number in range(1, options.rounds + 1):
        for name, command in stacks.items():
            figures = measure(command, options)
            rounds[name].append(figures)
            say(f"round {number} {name}: " + ", ".join(f"{key} {value:.1f}" for key, value in figures.items()))
    # What a debug build costs says nothing about the targets.
    targets = verdicts(rounds) if options.profile == "release" else []
    report = "\n".join([table(rounds), "", *about(options), "", *targets])
    print(report)
    if options.markdown:
        options.markdown.write_text(report + "\n")
    if options.json:
        options.json.write_text(json.dumps({"about": about(options), "rounds": rounds}, indent=1) + "\n")
    incomplete = [name for name, all_of in rounds.items() if any(not figures["relayed"] for figures in all_of)]
    if incomplete or any(figures["failed"] for figures in rounds.get(OWN, [])):
        sys.exit(f"sessions of the server failed, or nothing was relayed by: {', '.join(incomplete) or 'none'}")


def stack_of(entry, options):
    """A stack's name and the command that starts it."""
    binaries = ROOT / "target" / ("debug" if options.profile == "dev" else "release")
    name, _, path = entry.partition("=")
    if path or name == OWN:
        return name, [path or str(binaries / "anoncam"), "--shards", "1", "--log", "error"]
    return name, [str(binaries / "anoncam-baseline"), "--stack", name]


def measure(command, options):
    """One round of one stack."""
    idle = run(command, options, "idle", "--stages", f"{options.open},{options.idle}", "--in-flight", "64",
               "--hold", f"{options.settle:g}s", "--timeout", "20s")
    relay = run(command, options, "relay", "--connections", str(2 * options.relay_pairs), "--rate",
                str(options.relay_rate), "--warmup", "2s", "--duration", f"{options.relay_seconds:g}s",
                "--size", str(options.size))
    first, last = idle["stages"][0], idle["stages"][-1]
    latency = relay["measured"]["latencies"]["relay"]["corrected"]
    frames = relay["measured"]["counts"].get("frames_received", 0)
    grown = last["server_rss_bytes"] - idle["opening"]["server"]["rss_before_bytes"]
    for finding in idle["health"]["findings"] + relay["health"]["findings"]:
        say(f"  the load generator was the limit: {finding}")
    return {
        "opened": last["sessions"],
        "failed": idle["opening"]["counts"].get("open_failed", 0),
        "open_us": first["server_cpu_us_per_open"],
        "idle_kib": grown / 1024 / max(last["sessions"], 1),
        "relay_p50_us": latency["p50"],
        "relay_p99_us": latency["p99"],
        "frame_us": relay["measured"]["server"]["cpu_s"] * 1e6 / max(frames, 1),
        "relayed": frames,
    }


def run(command, options, scenario, *arguments):
    """One load against a fresh server. Returns the load generator's report."""
    binaries = ROOT / "target" / ("debug" if options.profile == "dev" else "release")
    with server(command, options) as (pid, url), tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        load = [*pinned(options.client_core, options), str(binaries / "anoncam-loadgen"), scenario, "--url", url,
                "--server-pid", str(pid), "--json", str(report), "--quiet", *arguments]
        done = subprocess.run(load, capture_output=True, text=True)
        if not report.exists():
            sys.exit(f"{' '.join(load)}\n{done.stdout}{done.stderr}")
        return json.loads(report.read_text())


@contextlib.contextmanager
def server(command, options):
    """A server on ports of its own; gives its process id and its site."""
    site = f"127.0.0.1:{free_port()}"
    full = [*pinned(options.server_core, options), *command, "--listen", f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}", "--site", site]
    process = subprocess.Popen(full, stdout=subprocess.DEVNULL)
    try:
        wait_for(site, process)
        yield process.pid, f"http://{site}"
    finally:
        process.kill()
        process.wait()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(site, process):
    host, port = site.split(":")
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.05)
    sys.exit("the server did not start within 10 s")


def pinned(core, options):
    """taskset and nice replace themselves by the program, so the process id is the program's own."""
    priority = ["nice", "-n", str(options.nice)] if options.nice else []
    return priority + (["taskset", "-c", str(core)] if core in os.sched_getaffinity(0) else [])


def median(rounds, key):
    return statistics.median(figures[key] for figures in rounds)


def table(rounds):
    lines = ["| | " + " | ".join(rounds) + " |", "| --- |" + " --- |" * len(rounds)]
    for key, title, form in FIGURES:
        cells = []
        for all_of in rounds.values():
            values = [figures[key] for figures in all_of]
            cell = form.format(median(all_of, key))
            if len(values) > 1 and min(values) != max(values):
                cell += f" ({form.format(min(values))} to {form.format(max(values))})"
            reference = median(rounds[BASELINE], key) if BASELINE in rounds else 0
            if reference and key not in ("opened", "failed", "relayed"):
                cell += f", {median(all_of, key) / reference:.2f}x"
            cells.append(cell)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(rounds):
    """The targets, each met or missed; empty without a baseline or another stack to compare with."""
    others = [name for name in rounds if name != OWN and not name.startswith(OWN)]
    if OWN not in rounds or BASELINE not in rounds:
        return []
    own = {key: median(rounds[OWN], key) for key, _, _ in FIGURES}
    least = {key: min(median(rounds[name], key) for name in others) for key, _, _ in FIGURES}
    ratio = own["open_us"] / max(median(rounds[BASELINE], "open_us"), 1e-9)
    failed = sum(figures["failed"] for figures in rounds[OWN])
    targets = [
        (failed == 0, f"no failure: {failed:.0f}"),
        (own["idle_kib"] <= IDLE_KIB_TARGET, f"at most {IDLE_KIB_TARGET} KiB an idle session: {own['idle_kib']:.1f}"),
        (own["open_us"] < least["open_us"],
         f"less CPU a session than every other stack: {own['open_us']:.0f} us, the next {least['open_us']:.0f} us"),
        (ratio <= CPU_RATIO_TARGET, f"at most {CPU_RATIO_TARGET} times the baseline's CPU a session: {ratio:.2f}"),
        (own["relay_p50_us"] <= least["relay_p50_us"],
         f"relay p50 no slower than any: {own['relay_p50_us']:.0f} us, the fastest other {least['relay_p50_us']:.0f} us"),
    ]
    return [f"- {'met' if met else 'MISSED'}: {what}" for met, what in targets]


def about(options):
    """What has to be known to repeat the run."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    lock = (ROOT / "Cargo.lock").read_text()
    names = ["quinn", "quinn-proto", "h3", "h3-webtransport", "web-transport-quinn", "wtransport", "rustls", "mimalloc"]
    versions = [f"{name} {version}" for name in names
                for version in re.findall(rf'name = "{name}"\nversion = "(.*?)"', lock)]
    return [
        f"- {options.rounds} rounds on {datetime.date.today()}, build `{options.profile}`; {os.cpu_count()} cores "
        f"({cpu.group(1) if cpu else 'unknown'}), Linux {os.uname().release.split('-')[0]}, {output('rustc', '--version')}",
        f"- {options.open:,} sessions opened for the CPU, {options.idle:,} held for the memory, read {options.settle:g} s later",
        f"- {options.relay_pairs} pairs, {options.relay_rate:,} frames a second of {options.size} bytes for "
        f"{options.relay_seconds:g} s",
        f"- {', '.join(versions)}",
        f"- server on core {options.server_core}, load generator on core {options.client_core}, both at "
        f"nice {options.nice}; 1-minute load average of "
        f"the machine at the end: {os.getloadavg()[0]:.1f}",
    ]


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
