"""The machine that figures are made on: cores, ports, open files, and what a reader has to know of it."""

import datetime
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Open files beside the connections of a load.
SPARE_FILES = 500


def say(text):
    print(text, file=sys.stderr, flush=True)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def allow_open_files():
    """As many as may be; children have them too. Returns how many TCP connections that allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most - SPARE_FILES


def on_core(core, realtime):
    """Programs that replace themselves by what follows, so that the process id is the program's own."""
    first = ["chrt", "-f", "10"] if realtime else []
    return first + (["taskset", "-c", str(core)] if core in os.sched_getaffinity(0) else [])


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address, process):
    host, port = address.split(":")
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not start within 30 s")


def about(options):
    """What has to be known to repeat a run, taken when it is made."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    lock = (ROOT / "Cargo.lock").read_text()
    names = ["quinn", "quinn-proto", "h3", "h3-webtransport", "web-transport-quinn", "wtransport", "rustls", "mimalloc"]
    versions = [f"{name} {version}" for name in names
                for version in re.findall(rf'name = "{name}"\nversion = "(.*?)"', lock)[-1:]]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": str(datetime.date.today()),
        "machine": f"{os.cpu_count()}-core machine ({cpu.group(1) if cpu else 'unknown CPU'}), {memory:.0f} GiB, "
                   f"Linux {os.uname().release.split('-')[0]}",
        "compiler": output("rustc", "--version"),
        "profile": options.profile,
        "versions": versions,
    }
