"""The parts of a run, each under five minutes: what is measured, in which order, and what is kept of it.

Whatever is compared takes turns within a part (A B C D), and a part is repeated round by round (A B C D A B C D), so that a
machine that changes in between changes all of them.
"""

import json
import shutil
import subprocess

from . import loads
from .loads import capacity, load, run, tool
from .machine import ROOT, allow_open_files, say
from .servers import MATCHBOX, OWN, PRODUCTION, SMALL_PAGES, running, stacks

CONFIGURATIONS = ["development", PRODUCTION]
SEARCHED = [*CONFIGURATIONS, "relay"]


def parts(options):
    """Every part by name, in the order in which they run: later ones go by the figures of earlier ones."""
    chosen = {"floors": floors} | {f"capacity-{name}": search(name) for name in SEARCHED}
    for number in range(1, options.rounds + 1):
        chosen |= {
            f"open-{number}": opening, f"load-{number}": loaded, f"pairing-{number}": pairing,
            f"relay-{number}": relaying, f"crowd-{number}": crowd, f"memory-{number}": memory,
        }
    return chosen | {"profile": profile, "instructions": instructions}


def needed(name):
    """The parts by whose figures another goes."""
    by = {"pairing": ["development"], "crowd": ["development"], "relay": ["relay"], "profile": ["development"]}
    return [f"capacity-{found}" for found in by.get(name.split("-")[0], [])]


def floors(options, _results):
    return json.loads(tool(options, "floors", "--duration", options.sizes["floor"], "--json"))


def opening(options, _results):
    """Sessions opened one after the other and held: CPU, memory, failures."""
    most = min(options.sizes["opened"][1], allow_open_files())
    first = min(options.sizes["opened"][0], most // 2)
    figures = {}
    for name in [*stacks(options), SMALL_PAGES]:
        report = load(options, name, "idle", "--stages", f"{first},{most}", "--hold", options.sizes["settle"], "--timeout", "30s")
        grown = report["stages"][-1]["server_rss_bytes"] - report["opening"]["server"]["rss_before_bytes"]
        sessions = report["stages"][-1]["sessions"]
        figures[name] = {
            "sessions": sessions,
            "failed": loads.failed(report),
            "open_us": sum(stage["server_cpu_us_per_open"] * stage["opened"] for stage in report["stages"]) / max(sessions, 1),
            "idle_kib": grown / 1024 / max(sessions, 1),
        }
        tell("open", name, figures[name])
    return figures


def loaded(options, _results):
    """The same loads on everything that can take them."""
    size = options.sizes
    figures = {}
    for name in stacks(options):
        own = {}
        with running(options, name) as target:
            rate, pairs = size["relay_rate"], size["relay_pairs"]
            steady = run(options, target, "relay", "--connections", str(2 * pairs), "--rate", str(rate), *timing(size))
            full = None
            # In production a session may send so many frames a second and no more.
            if name != PRODUCTION:
                full = run(options, target, "relay", "--connections", str(2 * pairs), "--closed", "4", *timing(size, 0.5))
        own |= {
            "relay_p50_ms": loads.latency_ms(steady, "relay", "p50"), "relay_p99_ms": loads.latency_ms(steady, "relay", "p99"),
            "frame_us": loads.server_us(steady, "frames_received"),
        } | saturated(full)
        with running(options, name) as target:
            if name != MATCHBOX:
                pair = run(options, target, "pair", "--connections", str(size["users"] // 3), "--rate", str(size["pair_rate"]), *timing(size))
                own |= {"pair_p50_ms": loads.latency_ms(pair, "pair", "p50"), "pair_p99_ms": loads.latency_ms(pair, "pair", "p99"),
                        "match_us": loads.server_us(pair, "matched")}
            fresh = run(options, target, "pair", "--fresh", "--rate", str(size["fresh_rate"]), *timing(size))
        own |= {"fresh_p50_ms": loads.latency_ms(fresh, "pair", "p50"), "fresh_p99_ms": loads.latency_ms(fresh, "pair", "p99"),
                "fresh_us": loads.server_us(fresh, "matched")}
        own["unsound"] = [finding for report in (steady, fresh) for finding in report["health"]["findings"]]
        own["failed"] = sum(loads.failed(report) for report in (steady, full, fresh) if report)
        figures[name] = own
        tell("load", name, own)
    return figures


def saturated(report):
    if not report:
        return {}
    return {
        "frames_a_second": loads.count(report, "frames_received") / report["measured"]["seconds"],
        "full_frame_us": loads.server_us(report, "frames_received"),
        "generator_limited": not report["health"]["sound"],
    }


def search(name):
    """The part that finds the highest rate of pairing in a configuration, or of relaying."""
    def found(options, _results):
        size = options.sizes
        how = ["--warmup", size["trial_warmup"], "--duration", size["trial"], "--bound", options.bound, "--within", str(size["within"])]
        if name == "relay":
            load = ["relay", "--connections", str(2 * size["relay_pairs"]), "--rate", str(size["relay_start"])]
        else:
            load = ["pair", "--connections", str(size["users"]), "--rate", str(size["start"])]
        card = capacity(options, "development" if name == "relay" else name, *load, *how)
        say(f"capacity {name}: {card['rate']:.0f} a second")
        return card
    return found


def held(options, results, name):
    """The rate that was found; where none held (a machine that is far too busy), the one that was tried first."""
    return results[f"capacity-{name}"]["rate"] or options.sizes["start"]


def pairing(options, results):
    """Pairing at shares of what development holds, so that the two configurations can be compared."""
    base = held(options, results, "development")
    users = str(options.sizes["users"])
    found = {}
    for share in options.sizes["shares"]:
        for name in CONFIGURATIONS:
            found[f"{name} {share}"] = load(options, name, "pair", "--connections", users, "--rate", f"{share * base:.0f}",
                                            *timing(options.sizes))
    churn = ["--connections", users, "--dwell", "4s", *timing(options.sizes)]
    for name in CONFIGURATIONS:
        found[f"{name} next"] = load(options, name, "churn", *churn)
    return found


def crowd(options, results):
    """The same with very many idle sessions connected, who are those that look."""
    base = held(options, results, "development")
    found = {}
    for share in options.sizes["shares"]:
        found[str(share)] = load(options, OWN, "pair", "--connections", str(options.sizes["crowd"]), "--rate", f"{share * base:.0f}",
                                 "--timeout", "30s", *timing(options.sizes))
    return found


def relaying(options, results):
    base = held(options, results, "relay")
    pairs = str(2 * options.sizes["relay_pairs"])
    return {str(share): load(options, OWN, "relay", "--connections", pairs, "--rate", f"{share * base:.0f}", *timing(options.sizes))
            for share in options.sizes["shares"]}


def memory(options, _results):
    """Idle sessions in stages, each held for two keep-alives of the server and a little more."""
    return load(options, OWN, "idle", "--stages", options.sizes["stages"], "--hold", options.sizes["hold"], "--timeout", "30s")


def profile(options, results):
    """Where the server's CPU goes. Apart from the other runs, since sampling costs a little."""
    if not shutil.which("perf"):
        return {}
    size = options.sizes
    half = str(held(options, results, "development") / 2)
    return {
        "opening": load(options, OWN, "connect", "--connections", str(size["opened"][0]), "--profile"),
        "pairing": load(options, OWN, "pair", "--connections", str(size["users"]), "--rate", half, "--profile", *timing(size)),
        "relay": load(options, OWN, "relay", "--connections", str(2 * size["relay_pairs"]), "--closed", "4", "--profile",
                      *timing(size)),
    }


def instructions(options, _results):
    """Counts of benches/callgrind.sh; empty without valgrind."""
    if not shutil.which("valgrind"):
        return {}
    quick = ["--quick"] if options.quick else []
    done = subprocess.run([str(ROOT / "benches" / "callgrind.sh"), *quick], capture_output=True, text=True)
    tables = done.stdout.strip().split("\n\n")
    return {"flat": done.returncode == 0, "tables": [[columns(line) for line in table.splitlines()] for table in tables]}


def columns(line):
    """A name of 44 characters, then numbers."""
    return [line[:44].strip(), *line[44:].split()]


def timing(size, factor=1.0):
    return ["--warmup", size["warmup"], "--duration", f"{size['seconds'] * factor:g}s"]


def tell(part, name, figures):
    shown = ", ".join(f"{key} {value:.3g}" for key, value in figures.items() if isinstance(value, (int, float)))
    say(f"{part} {name}: {shown}")
