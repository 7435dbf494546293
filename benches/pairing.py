#!/usr/bin/env python3
"""Pairing, memory and relay of the server by the load generator, in one run: docs/BENCHMARKS.md with its plots.

    benches/pairing.py             about 12 minutes on two quiet cores
    benches/pairing.py --quick     small numbers and a debug build: shows that everything runs

The server is pinned to one core and the load generator to the other. "Development" is the server as `cargo run` starts it;
"production" has a certificate of its own, public settings, and the load comes from 250 loopback addresses so that its limits
by address count as they would. The two take turns: A B A B. matchbox_server, a WebSocket server that also pairs strangers
(`?next=2`), joins in if it is installed (`cargo install matchbox_server`).
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import figures
from figures import ROOT, free_port, output, pinned, say, wait_for

CONFIGURATIONS = ["development", "production"]
SHARES = [0.1, 0.5, 0.9]
SOURCES = "127.1.0.1-127.1.0.250"
ORIGIN = "https://chat.example"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="measured part of a run")
    parser.add_argument("--stages", default="1000,10000,20000", help="idle sessions at which memory is read")
    parser.add_argument("--idle", type=int, default=20_000, help="sessions connected in the run with many idle ones")
    parser.add_argument("--users", type=int, default=2_000, help="sessions that look for strangers in the other runs")
    parser.add_argument("--bound", default="2ms", help="p99 of pairing that defines capacity")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--realtime", action="store_true",
                        help="server and generator go before everything else; for a machine that is not quiet (needs root)")
    parser.add_argument("--profile", default="release", choices=["release", "dev"])
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--markdown", type=pathlib.Path, default=ROOT / "docs" / "BENCHMARKS.md")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.profile = 1, 1, "dev"
        chosen.stages, chosen.idle, chosen.users, chosen.bound = "50,150", 200, 100, "200ms"
    return chosen


def main():
    options = arguments()
    if not options.no_build:
        packages = ["-p", "anoncam", "-p", "anoncam-loadgen"]
        subprocess.run(["cargo", "build", "--profile", options.profile, "--bins", *packages], cwd=ROOT, check=True)
    results = {
        "floors": json.loads(tool(options, "floors", "--duration", "1s", "--json")),
        "idle": load(options, "development", "idle", "--stages", options.stages, "--hold", f"{options.seconds}s"),
        "capacity": {}, "pair": {}, "churn": [], "relay": [], "matchbox": [],
    }
    for name in CONFIGURATIONS:
        results["capacity"][name] = capacity(options, name)
        say(f"{name}: {results['capacity'][name]['rate']:.0f} arrivals a second")
    # Both by the same rates, so that they can be compared: shares of what development holds.
    base = max(results["capacity"]["development"]["rate"], 20)
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        one_round(options, base, results)
    write(options, results)


def one_round(options, base, results):
    for share in SHARES:
        for name in CONFIGURATIONS:
            report = pair(options, name, share * base, options.users)
            results["pair"].setdefault((name, share), []).append(report)
    crowd = pair(options, "development", 0.5 * base, options.idle)
    results["pair"].setdefault(("development, many idle", 0.5), []).append(crowd)
    churn = ["--connections", str(options.users), "--dwell", "4s", "--duration", f"{options.seconds}s"]
    results["churn"].append(load(options, "development", "churn", *churn))
    # As many frames as the two cores can: every frame is answered by the next.
    relay = ["--connections", "200", "--closed", "4", "--duration", f"{options.seconds}s"]
    results["relay"].append(load(options, "development", "relay", *relay))
    if shutil.which("matchbox_server"):
        results["matchbox"].append(matchbox(options))


def pair(options, name, rate, users):
    return load(options, name, "pair", "--connections", str(users), "--rate", f"{rate:.1f}", "--warmup", "2s",
                "--duration", f"{options.seconds}s")


def capacity(options, name):
    with server(options, name) as (target, pid), tempfile.TemporaryDirectory() as directory:
        card = pathlib.Path(directory) / "card.json"
        tool(options, "capacity", "pair", "--bound", options.bound, "--card", str(card), *target, "--server-pid",
             str(pid), "--connections", str(options.users), "--rate", "200", "--warmup", "1s", "--duration",
             f"{max(options.seconds // 2, 1)}s", "--quiet")
        return json.loads(card.read_text())


def matchbox(options):
    """matchbox_server by the same relay load; it pairs who connects, so pairing includes connecting there."""
    port = free_port()
    command = [*on_core(options.server_core, options), "matchbox_server", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"127.0.0.1:{port}", process)
        return run(options, "relay", "--transport", "ws-matchbox", "--url", f"http://127.0.0.1:{port}", "--server-pid",
                   str(process.pid), "--connections", "200", "--rate", "2000", "--duration", f"{options.seconds}s")
    finally:
        process.kill()
        process.wait()


def load(options, name, scenario, *more):
    with server(options, name) as (target, pid):
        return run(options, scenario, *target, "--server-pid", str(pid), *more)


def run(options, scenario, *more):
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        tool(options, scenario, "--json", str(report), "--quiet", *more)
        return json.loads(report.read_text())


def tool(options, *command):
    """Runs the load generator on its core."""
    program = str(binaries(options) / "anoncam-loadgen")
    done = subprocess.run([*on_core(options.client_core, options), program, *command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def on_core(core, options):
    """Programs that replace themselves by what follows, so the process id is the program's own."""
    first = ["chrt", "-f", "10"] if options.realtime else []
    return [*first, *pinned(core, argparse.Namespace(nice=0))]


def binaries(options):
    return ROOT / "target" / ("debug" if options.profile == "dev" else "release")


@contextlib.contextmanager
def server(options, name):
    """A fresh server; gives the load generator's arguments for it, and its process id."""
    import socket
    listen = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    site = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as directory:
        command = [str(binaries(options) / "anoncam"), "--listen", listen, "--site", site, "--shards", "1", "--log",
                   "error"]
        target = ["--url", f"http://{site}"]
        if name == "production":
            command += ["--config", str(production(pathlib.Path(directory), listen, command[0]))]
            target = ["--webtransport-url", f"https://{listen}/v1", "--origin", ORIGIN, "--insecure",
                      "--source-addr", SOURCES]
        process = subprocess.Popen([*on_core(options.server_core, options), *command], stdout=subprocess.DEVNULL)
        try:
            wait_for(site, process)
            yield target, process.pid
        finally:
            process.kill()
            process.wait()


def production(directory, listen, server):
    """A configuration as for the public: a certificate from files, a public URL."""
    key, cert, file = directory / "key.pem", directory / "cert.pem", directory / "anoncam.toml"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", str(key), "-out", str(cert), "-days", "10", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    key.chmod(0o600)
    # Everybody comes within seconds, which in life would be a flood, and the load generator proves no work.
    file.write_text(f'cert = "{cert}"\nkey = "{key}"\npublic_url = "https://{listen}"\norigins = ["{ORIGIN}"]\nwork_above = 0\n'
                    '[operator]\nname = "a benchmark"\ncountry = "nowhere"\ncontact = "nobody"\n')
    # The last line of what it prints adopts the privacy policy.
    policy = subprocess.run([server, "policy", file], check=True, capture_output=True, text=True).stdout
    file.write_text(file.read_text() + policy.splitlines()[-1].strip() + "\n")
    return file


def middle(values, form="{:.2f}"):
    """Median, with the lowest and the highest if there are several."""
    text = form.format(statistics.median(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))} to {form.format(max(values))})"


def latency(report, metric, figure):
    found = report["measured"]["latencies"].get(metric)
    return found["corrected"][figure] / 1000 if found else float("nan")


def write(options, results):
    plots = options.markdown.parent / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    (plots / "memory.svg").write_text(memory_plot(results["idle"]))
    (plots / "pairing.svg").write_text(pairing_plot(results["pair"]))
    parts = [intro(options, results), floors(results["floors"]), idle(results["idle"]), pairing(options, results),
             others(results), repeat(options)]
    options.markdown.write_text("\n".join(parts))
    print(options.markdown.read_text())


def intro(options, results):
    reports = [report for group in results["pair"].values() for report in group] + results["relay"] + results["churn"]
    unsound = [report for report in reports if not report["health"]["sound"]]
    text = ["# Benchmarks", "", "Written by `benches/pairing.py`; the server beside other stacks is in [benchmarks/server.md]"
            "(benchmarks/server.md). Medians over the rounds, with the lowest and the highest. Latency counts from the "
            "intended moment.", ""]
    if unsound:
        text += [f"**{len(unsound)} of {len(reports)} runs were not sound**: the generator or the machine was the limit there, "
                 "and those figures are a lower bound of what the server can do. The first said: "
                 f"\"{unsound[0]['health']['findings'][0]}\".", ""]
    return "\n".join(text)


def floors(measured):
    lines = ["## The distance to the limit", "", "| floor of this machine | p50 us | CPU us |", "| --- | --- | --- |"]
    for floor in measured:
        lines.append(f"| {floor['name']} | {floor['nanoseconds']['p50'] / 1000:.1f} | {floor['cpu_us']:.1f} |")
    return "\n".join([*lines, ""])


def slope(report):
    points = [(stage["sessions"], stage["server_rss_bytes"]) for stage in report["stages"]]
    return statistics.linear_regression(*zip(*points)).slope / 1024 if len(points) > 1 else float("nan")


def idle(report):
    before = report["opening"]["server"]["rss_before_bytes"]
    lines = ["## Idle sessions", "", "| sessions | KiB a session | CPU us a session opened | keep-alive CPU, us a session and second |",
             "| --- | --- | --- | --- |"]
    for stage in report["stages"]:
        kib = (stage["server_rss_bytes"] - before) / 1024 / max(stage["sessions"], 1)
        lines.append(f"| {stage['sessions']:,} | {kib:.1f} | {stage['server_cpu_us_per_open']:.0f} | "
                     f"{stage['server_cpu_us_per_session_second']:.2f} |")
    return "\n".join([*lines, "", f"Slope: {slope(report):.1f} KiB a session.", "", "![memory](benchmarks/memory.svg)", ""])


def pairing(options, results):
    lines = ["## Pairing", ""]
    for name, card in results["capacity"].items():
        limited = "; a higher rate failed for the generator's own reasons" if card["generator_limited"] else ""
        lines.append(f"- capacity, {name}: {card['rate']:,.0f} arrivals a second with p99 at most {options.bound}{limited}")
    lines += ["", "| configuration | load | arrivals/s | p50 ms | p99 ms | p99.9 ms | server CPU us a match |", "| --- | --- | --- | --- | "
              "--- | --- | --- |"]
    for (name, share), reports in sorted(results["pair"].items(), key=lambda item: (item[0][1], item[0][0])):
        cells = [middle([latency(report, "pair", key) for report in reports]) for key in ("p50", "p99", "p999")]
        rate = statistics.median(report["measured"]["achieved_rate"] for report in reports)
        cpu = [report["measured"]["server"]["cpu_s"] * 1e6 / max(report["measured"]["counts"].get("matched", 0), 1)
               for report in reports]
        lines.append(f"| {name} | {share:.0%} | {rate:,.0f} | {' | '.join(cells)} | {middle(cpu, '{:.0f}')} |")
    ratios = [f"{share:.0%} load {ratio(results, share):.2f}" for share in SHARES]
    return "\n".join([*lines, "", f"p99 of production over development: {', '.join(ratios)}.", "",
                      "![pairing](benchmarks/pairing.svg)", ""])


def ratio(results, share):
    p99 = {name: statistics.median(latency(report, "pair", "p99") for report in results["pair"][name, share])
           for name in CONFIGURATIONS}
    return p99["production"] / max(p99["development"], 1e-9)


def others(results):
    lines = ["## Next, and relay at saturation", "", "| | figure |", "| --- | --- |"]
    for key, title in (("p50", "next to MATCHED, p50 ms"), ("p99", "next to MATCHED, p99 ms")):
        lines.append(f"| {title} (includes waiting for somebody) | {middle([latency(r, 'next', key) for r in results['churn']])} |")
    frames = [report["measured"]["counts"].get("frames_received", 0) for report in results["relay"]]
    rates = [count / report["measured"]["seconds"] for count, report in zip(frames, results["relay"])]
    cpu = [report["measured"]["server"]["cpu_s"] * 1e6 / max(count, 1) for count, report in zip(frames, results["relay"])]
    lines.append(f"| frames relayed a second, closed loop, 100 pairs, 4 in flight each | {middle(rates, '{:,.0f}')} |")
    lines.append(f"| server CPU a frame at that rate, us | {middle(cpu, '{:.1f}')} |")
    for key in ("p50", "p99"):
        if results["matchbox"]:
            values = [latency(report, "relay", key) for report in results["matchbox"]]
            lines.append(f"| matchbox_server: relay one way at 2,000 frames/s, {key} ms | {middle(values, '{:.3f}')} |")
    if not results["matchbox"]:
        lines.append("| matchbox_server | not installed on this machine |")
    return "\n".join([*lines, ""])


def repeat(options):
    about = figures.about(argparse.Namespace(rounds=options.rounds, profile=options.profile, open=0, idle=options.idle,
                                             settle=0, relay_pairs=100, relay_rate=0, size=100, relay_seconds=0,
                                             server_core=options.server_core, client_core=options.client_core,
                                             nice=0))
    return "\n".join(["## To repeat it", "", f"`benches/pairing.py` on {datetime.date.today()}, one shard, {options.users:,} users, "
                      f"{options.seconds} s a run"
                      f"{', with real-time priority on a machine that was not quiet' if options.realtime else ''}.", "", about[0], *about[3:], ""])


STYLE = ("<style>text{font:12px system-ui,sans-serif;fill:#59636e}.g{stroke:#8884;stroke-width:1}.l{fill:none;stroke-width:2}"
         "@media(prefers-color-scheme:dark){text{fill:#9aa5b1}}</style>")
COLOURS = ["#3987e5", "#d9682a", "#8a63d2", "#2f9e58", "#c2378b", "#7a7f87", "#b59a00"]


def plot(title, x_label, y_label, lines, x_ticks, y_ticks, x_of, y_of):
    """A line plot: `x_of` and `y_of` map data to 0..1, ticks are (value, text)."""
    wide, high, left, right, top, bottom = 800, 360, 60, 250, 30, 44
    at_x = lambda x: left + x_of(x) * (wide - left - right)
    at_y = lambda y: high - bottom - y_of(y) * (high - top - bottom)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" aria-label="{title}">{STYLE}']
    for value, text in y_ticks:
        out.append(f'<path class="g" d="M{left} {at_y(value):.1f}H{wide - right}"/><text x="{left - 6}" y="{at_y(value) + 4:.1f}" '
                   f'text-anchor="end">{text}</text>')
    for value, text in x_ticks:
        out.append(f'<path class="g" d="M{at_x(value):.1f} {top}V{high - bottom}"/><text x="{at_x(value):.1f}" '
                   f'y="{high - bottom + 16}" text-anchor="middle">{text}</text>')
    for index, (name, points) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        path = "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in points)
        y = top + 10 + 18 * index
        out.append(f'<path class="l" stroke="{colour}" d="M{path}"/><path class="l" stroke="{colour}" d="M{wide - right + 10} {y}h18"/>'
                   f'<text x="{wide - right + 34}" y="{y + 4}">{name}</text>')
    out.append(f'<text x="{(left + wide - right) / 2}" y="{high - 8}" text-anchor="middle">{x_label}</text>'
               f'<text x="4" y="16">{y_label}</text></svg>')
    return "".join(out)


def memory_plot(report):
    before = report["opening"]["server"]["rss_before_bytes"]
    points = [(0, before / 2**20)] + [(stage["sessions"], stage["server_rss_bytes"] / 2**20) for stage in report["stages"]]
    most_x, most_y = points[-1][0], max(y for _, y in points) * 1.1
    return plot("Memory against sessions", "sessions", "MiB", [("server RSS", points)],
                [(x, f"{x:,}") for x, _ in points], [(most_y * i / 4, f"{most_y * i / 4:.0f}") for i in range(5)],
                lambda x: x / most_x, lambda y: y / most_y)


def pairing_plot(groups):
    """Latency by percentile, both axes logarithmic; the figures are those of the median round by p99."""
    import math
    places = [(50, "p50"), (90, "p90"), (99, "p99"), (99.9, "p999"), (99.99, "p9999")]
    lines = []
    for (name, share), reports in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        chosen = sorted(reports, key=lambda report: latency(report, "pair", "p99"))[len(reports) // 2]
        lines.append((f"{name}, {share:.0%}", [(at, max(latency(chosen, "pair", key), 0.01)) for at, key in places]))
    values = [y for _, points in lines for _, y in points if y == y]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    nines = lambda percent: -math.log10(1 - percent / 100)
    return plot("Pairing latency by percentile", "percentile", "ms", lines, [(at, f"{at:g}%") for at, _ in places],
                [(10.0**power, f"{10.0**power:g}") for power in range(low, high + 1)],
                lambda x: (nines(x) - nines(50)) / (nines(99.99) - nines(50)),
                lambda y: (math.log10(max(y, 10.0**low)) - low) / max(high - low, 1))


if __name__ == "__main__":
    main()
