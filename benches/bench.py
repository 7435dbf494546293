#!/usr/bin/env python3
"""All figures of the server, its baseline and its peers, in one run: docs/BENCHMARKS.md with its plots.

    make bench                     builds, measures what has not been measured yet, writes the document: about an hour
    benches/bench.py --quick       small numbers and a debug build, into target/bench: shows that everything runs (CI)
    benches/bench.py --list        the parts; each takes less than five minutes
    benches/bench.py --part NAME   one part (may be repeated), without the document
    benches/bench.py --write       the document alone, from the parts that there are

What has been measured is kept in target/bench, by the programs that it was measured with: a run that is interrupted goes on
where it was, and a changed program is measured anew. Server and load generator are pinned to a core each. "Development" is the
server as `cargo run` starts it; "production" has a certificate of its own, public settings and all limits at their defaults,
and the load on it comes from 250 loopback addresses. matchbox_server, a WebSocket server that also pairs strangers, takes its
turn if it is installed (`cargo install --locked matchbox_server`).
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from bench import document, parts  # noqa: E402
from bench.machine import ROOT, about, allow_open_files, say  # noqa: E402

FULL = {
    "floor": "2s", "opened": (5_000, 15_000), "settle": "5s", "relay_pairs": 100, "relay_rate": 2_000, "pair_rate": 1_000,
    "fresh_rate": 200, "users": 6_000, "crowd": 100_000, "start": 2_000, "relay_start": 4_000, "trial": "4s", "trial_warmup": "1s",
    # The search for capacity ends within so many per cent; other runs are at these shares of it.
    "within": 5, "shares": (0.1, 0.5, 0.9),
    "warmup": "2s", "seconds": 8,
    # The first 100 warm the server up; the server's keep-alives come every 20 s.
    "stages": "100,1000,10000,50000,100000", "hold": "41s",
}
QUICK = {
    "floor": "100ms", "opened": (40, 80), "settle": "100ms", "relay_pairs": 5, "relay_rate": 50, "pair_rate": 20,
    "fresh_rate": 20, "users": 60, "crowd": 100, "start": 400, "relay_start": 50_000, "trial": "500ms", "trial_warmup": "100ms",
    "within": 100, "shares": (0.5,),
    "warmup": "100ms", "seconds": 0.6, "stages": "20,60", "hold": "300ms",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--part", action="append", default=[], metavar="NAME")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured with these programs")
    parser.add_argument("--no-build", action="store_true", help="use what was built before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bound", default="2ms", help="p99 that defines capacity")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--realtime", action="store_true",
                        help="server and generator go before everything else, on a machine that is not quiet (needs root)")
    parser.add_argument("--stack", action="append", default=[], metavar="NAME=PATH",
                        help="another build of the server, to be compared with this one")
    options = parser.parse_args()
    options.sizes, options.profile = (QUICK, "debug") if options.quick else (FULL, "release")
    if options.quick:
        options.rounds, options.bound = 1, "1s"
    options.binaries = ROOT / "target" / options.profile
    return options


def main():
    options = arguments()
    allow_open_files()
    all_parts = parts.parts(options)
    if options.list:
        print("\n".join(all_parts))
        return
    unknown = [name for name in options.part if name not in all_parts]
    if unknown:
        sys.exit(f"no part {unknown[0]}: one of {', '.join(all_parts)}")
    if not options.no_build:
        build(options)
    directory = ROOT / "target" / "bench" / fingerprint(options)
    directory.mkdir(parents=True, exist_ok=True)
    results = kept(directory, all_parts, options)
    if not options.write:
        measure(options, all_parts, results, directory)
    elif not results:
        sys.exit("nothing has been measured with these programs: the document stays as it is")
    if not options.part:
        where = ROOT / "target" / "bench" if options.quick else ROOT / "docs"
        document.write(options, results, where)


def measure(options, all_parts, results, directory):
    for name in options.part or all_parts:
        if name in results:
            say(f"{name}: measured before")
            continue
        missing = [part for part in parts.needed(name) if part not in results]
        if missing:
            sys.exit(f"{name} goes by what {missing[0]} finds: measure that part first")
        say(f"--- {name}")
        began, load_before = time.monotonic(), os.getloadavg()[0]
        figures = all_parts[name](options, results)
        results[name] = figures
        say(f"    {time.monotonic() - began:.0f} s")
        made = {"figures": figures, "about": about(options), "seconds": round(time.monotonic() - began, 1),
                "load_before": load_before}
        # Written whole or not at all: an interrupted part is measured again.
        fresh = directory / f"{name}.new"
        fresh.write_text(json.dumps(made, indent=1))
        fresh.rename(directory / f"{name}.json")
        results["about"] = made["about"]


def kept(directory, all_parts, options):
    """What was measured before, by the names of the parts; and about the run."""
    results = {}
    for name in all_parts:
        path = directory / f"{name}.json"
        if path.exists() and options.fresh:
            path.unlink()
        elif path.exists():
            made = json.loads(path.read_text())
            results[name] = made["figures"]
            results["about"] = made["about"]
    return results


def build(options):
    # The whole workspace, as every other command builds it: the same features, so nothing is compiled twice.
    profile = "dev" if options.quick else "release"
    subprocess.run(["cargo", "build", "--workspace", "--bins", "--quiet", "--profile", profile], cwd=ROOT, check=True)


def fingerprint(options):
    """Names what is measured: the programs and how."""
    digest = hashlib.sha256()
    for name in ("anoncam", "anoncam-baseline", "anoncam-loadgen"):
        path = options.binaries / name
        if not path.exists():
            sys.exit(f"{path} is not there: build first, without --no-build")
        digest.update(path.read_bytes())
    for path in [pathlib.Path(extra.partition("=")[2]) for extra in options.stack]:
        digest.update(path.read_bytes())
    how = [options.bound, options.shards, options.server_core, options.client_core, options.realtime, options.sizes]
    digest.update(json.dumps(how).encode())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
