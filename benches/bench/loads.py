"""Loads: the load generator on its core, against a server that has just been started."""

import json
import pathlib
import subprocess
import sys
import tempfile

from .machine import on_core, say
from .servers import running


def tool(options, *command):
    """Runs the load generator on its core; what it prints."""
    line = [*on_core(options.client_core, options.realtime), str(options.binaries / "anoncam-loadgen"), *command]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(line)}\n{done.stdout}{done.stderr}")
    return done.stdout


def run(options, target, scenario, *more):
    """One load. Returns the load generator's report, without what no table or plot needs."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "report.json"
        tool(options, scenario, "--json", str(path), "--quiet", *target, *more)
        report = json.loads(path.read_text())
    for phase in (report["opening"], report["measured"]):
        for views in phase["latencies"].values():
            for view in views.values():
                del view["hdr"]
    del report["intervals"]
    for finding in report["health"]["findings"]:
        say(f"  {scenario}: {finding}")
    return report


def load(options, name, scenario, *more):
    """One load against a fresh server."""
    with running(options, name) as target:
        return run(options, target, scenario, *more)


def capacity(options, name, scenario, *more):
    """The card of a search against one server."""
    with running(options, name) as target, tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "card.json"
        tool(options, "capacity", scenario, "--card", str(path), "--quiet", *target, *more)
        return json.loads(path.read_text())


# What is taken from a report.

def latency_ms(report, metric, figure):
    """A figure of a latency, corrected, in ms; None if nothing was timed."""
    found = report["measured"]["latencies"].get(metric)
    return found["corrected"][figure] / 1000 if found else None


def count(report, name):
    return report["measured"]["counts"].get(name, 0)


def server_us(report, name):
    """CPU of the server for each of a count, in us; None if there were none."""
    times = count(report, name)
    return report["measured"]["server"]["cpu_s"] * 1e6 / times if times else None


def failed(report):
    return sum(phase["counts"].get(name, 0) for phase in (report["opening"], report["measured"])
               for name in ("open_failed", "lost"))
