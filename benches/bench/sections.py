"""The sections of the document, each from the parts that it needs; empty where these were not measured."""

from . import plots
from .loads import count, latency_ms, server_us
from .parts import CONFIGURATIONS
from .servers import BASELINE, MATCHBOX, OWN, PRODUCTION, SMALL_PAGES, SOURCES, STACKS
from .text import NONE, median, ratios, rounds, spread, table

PEERS = [
    ("open", "open_us", "CPU a session opened, us", "{:.0f}"),
    ("open", "idle_kib", "memory an idle session, KiB", "{:.1f}"),
    ("open", "failed", "sessions failed", "{:.0f}"),
    ("load", "pair_p50_ms", "pairing p50 at {pair_rate:,}/s, ms", "{:.2f}"),
    ("load", "pair_p99_ms", "pairing p99 at {pair_rate:,}/s, ms", "{:.2f}"),
    ("load", "match_us", "CPU a match, each end, us", "{:.0f}"),
    ("load", "fresh_p50_ms", "connecting and pairing p50 at {fresh_rate:,}/s, ms", "{:.2f}"),
    ("load", "fresh_p99_ms", "connecting and pairing p99 at {fresh_rate:,}/s, ms", "{:.2f}"),
    ("load", "fresh_us", "CPU of connecting and pairing, each end, us", "{:.0f}"),
    ("load", "relay_p50_ms", "relay one way p50 at {relay_rate:,}/s, ms", "{:.3f}"),
    ("load", "relay_p99_ms", "relay one way p99 at {relay_rate:,}/s, ms", "{:.3f}"),
    ("load", "frame_us", "CPU a frame at {relay_rate:,}/s, us", "{:.1f}"),
    ("load", "frames_a_second", "frames a second at saturation", "{:,.0f}"),
    ("load", "full_frame_us", "CPU a frame at saturation, us", "{:.1f}"),
]

# What is limited by the load generator when that is as busy as it can be.
LIMITED = ["frames_a_second"]


def reports(results):
    """Every whole report that was kept."""
    for part in ("pairing", "crowd", "relay"):
        for figures in rounds(results, part):
            yield from figures.values()
    yield from rounds(results, "memory")


def soundness(results):
    """What the runs that were not sound said first, and how many runs there were."""
    said = [report["health"]["findings"] for report in reports(results)]
    said += [own["unsound"] for figures in rounds(results, "load") for own in figures.values()]
    return [findings[0] for findings in said if findings], len(said)


def peers(options, results, _plots):
    found = {"open": rounds(results, "open"), "load": rounds(results, "load")}
    if not found["open"] or not found["load"]:
        return ""
    names = list(found["open"][0])
    rows = []
    for part, key, title, form in PEERS:
        cells = []
        for name in names:
            values = [one.get(name, {}).get(key) for one in found[part]]
            reference = [one.get(BASELINE, {}).get(key) for one in found[part]]
            ratio = "" if name == BASELINE or key == "failed" else ratios(values, reference)
            # Where the load generator was the limit, the server can do more.
            more = "≥ " if key in LIMITED and any(one.get(name, {}).get("generator_limited") for one in found[part]) else ""
            cells.append(more + spread(values, form) + ratio)
        rows.append([title.format(**options.sizes), *cells])
    sessions = max(one["sessions"] for one in found["open"][0].values())
    head = ["", *(label(name) for name in names)]
    others = "`, `".join(name for name in STACKS if name in names)
    return "\n".join(["## The server beside its peers", "", table(head, rows), "", "The factor is to `h3` of the same round.", "",
                      COMPARED.format(own=OWN, sources=SOURCES, others=others, matchbox=MATCHBOX, small=SMALL_PAGES, sessions=sessions, pairs=options.sizes["relay_pairs"])])


COMPARED = """- `{own}`: this server in development configuration, with all of its bounds and the wiping allocator; over WebSocket the same,
  without TLS on loopback, as its page is. In production all limits are on, and the load comes from {sources}; nobody proves work.
  One session may send so few frames there that saturation says nothing.
- `{others}`: the same core behind other WebTransport stacks (`benches/baseline`): quinn with h3 and h3-webtransport, and the two others
  that work in browsers; same certificate, ciphers, windows and limits, a task a connection on one thread, mimalloc without wiping, and
  without Origin check, probes, shedding, Retry and drain.
- `{small}`: the first of them with huge pages turned off, as this server turns them off for itself (docs/DECISIONS.md).
- `{matchbox}`: a WebSocket signaling server without TLS, whose `?next=2` pairs strangers as they connect. So its pairing includes
  connecting, and compares with the rows "connecting and pairing"; it is told the two ends' meeting by one of them.
- Memory is the growth from no session to {sessions:,}. At saturation each of {pairs} pairs has four frames in flight ("≥": the load
  generator was as busy as it can be); below saturation most of a frame's CPU is one wake-up each, in every stack."""


def label(name):
    if name == PRODUCTION:
        return f"`{OWN}`, production"
    return name if name == MATCHBOX or "," in name else f"`{name}`"


def idle(_options, results, directory):
    found = rounds(results, "memory")
    if not found:
        return ""
    rows, curve = [], []
    for index, stage in enumerate(found[0]["stages"]):
        stages = [report["stages"][index] for report in found if len(report["stages"]) > index]
        base = [report["opening"]["server"]["rss_before_bytes"] for report in found]
        each = [(one["server_rss_bytes"] - before) / 1024 / one["sessions"] for one, before in zip(stages, base)]
        opened = [one["server_cpu_us_per_open"] for one in stages]
        keep = [one["server_cpu_us_per_session_second"] for one in stages]
        pings = [one["keep_alives"] / one["sessions"] / one["held_s"] if one["held_s"] else None for one in stages]
        cost = [cpu / rate if rate else None for cpu, rate in zip(keep, pings)]
        curve.append((stage["sessions"], median(opened)))
        rows.append([f"{stage['sessions']:,}", spread(each, "{:.1f}"), spread(opened, "{:.0f}"), spread(keep),
                     spread(pings, "{:.3f}"), spread(cost, "{:.0f}")])
    slopes = [slope(report, "server_rss_bytes") for report in found]
    own = [slope(report, "own_rss_bytes") for report in found]
    write_memory(directory, found)
    most = max(y for _, y in curve)
    (directory / "opening.svg").write_text(plots.plot(
        "Server CPU of opening a session, keep-alives apart", "sessions connected", "us", [("opening", curve, False)],
        plots.logarithmic([x for x, _ in curve]), plots.linear(most)))
    head = ["sessions", "KiB a session", "server CPU us a session opened", "keep-alive CPU, us a session and second",
            "keep-alives a session and second", "CPU us a keep-alive"]
    held_s = found[0]["stages"][-1]["held_s"]
    return "\n".join([
        "## Idle sessions", "", table(head, rows), "",
        f"Slope: {spread(slopes, '{:.1f}')} KiB a session on the server, {spread(own, '{:.1f}')} in the load generator.",
        f"Each stage was held for {held_s:.0f} s. The CPU of opening is without the keep-alives of those who were there before; the first",
        "stage warms the server up.", "",
        "![memory](benchmarks/memory.svg)", "", "![opening](benchmarks/opening.svg)",
    ])


def slope(report, key):
    first, last = report["stages"][0], report["stages"][-1]
    return (last[key] - first[key]) / 1024 / (last["sessions"] - first["sessions"])


def write_memory(directory, found):
    report = found[len(found) // 2]
    lines = []
    for key, name, before in (("server_rss_bytes", "server", report["opening"]["server"]["rss_before_bytes"]),
                              ("own_rss_bytes", "load generator", report["opening"]["own"]["rss_before_bytes"])):
        points = [(0, before / 2**20)] + [(stage["sessions"], stage[key] / 2**20) for stage in report["stages"]]
        lines.append((name, points, key.startswith("own")))
    most = lambda axis: max(point[axis] for _, points, _ in lines for point in points)
    (directory / "memory.svg").write_text(plots.plot(
        "Memory against sessions", "sessions", "MiB", lines, plots.linear(most(0)), plots.linear(most(1))))


def pairing(options, results, directory):
    found, crowds = rounds(results, "pairing"), rounds(results, "crowd")
    cards = {name: results[f"capacity-{name}"] for name in CONFIGURATIONS if f"capacity-{name}" in results}
    if not found and not cards:
        return ""
    lines = ["## Pairing", "", "From the later of the two intended FINDs to each MATCHED.", ""]
    for name in CONFIGURATIONS:
        if name in cards:
            lines.append(f"- capacity, {name}: {limit(options, cards[name])}")
    groups = {}
    for share in options.sizes["shares"]:
        for name in CONFIGURATIONS:
            groups[f"{name}, {share:.0%}"] = [one[f"{name} {share}"] for one in found]
        groups[f"many connected, {share:.0%}"] = [one[str(share)] for one in crowds]
    rows = [[name, *pairing_cells(group)] for name, group in groups.items() if group]
    if not rows:
        return "\n".join(lines)
    connected = max((report["opening"]["counts"].get("opened", 0) for one in crowds for report in one.values()), default=0)
    head = ["configuration, share of capacity", "arrivals/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU us a match"]
    lines += ["", table(head, rows), ""]
    if found:
        by_share = [f"{share:.0%}: {spread(production_ratio(found, share))}" for share in options.sizes["shares"]]
        lines += ["Shares are of the capacity in development, so that the configurations compare. In production all limits are on, and the",
                  f"load comes from {SOURCES}; nobody proves work. p99 of production over development, round by round: {', '.join(by_share)}.", ""]
    if connected:
        lines += [f"\"Many connected\": {connected:,} sessions (in development), any of which may look.", ""]
    draw_pairing(groups, directory)
    return "\n".join([*lines, "![pairing](benchmarks/pairing.svg)"])


def limit(options, card):
    text = f"{card['rate']:,.0f} a second with p99 at most {options.bound}"
    limited = "; a higher rate failed for the generator's own reasons, so it is at least that"
    return text + (limited if card["generator_limited"] else "")


def pairing_cells(group):
    cells = [spread([latency_ms(report, "pair", key) for report in group]) for key in ("p50", "p99", "p999")]
    rate = median([report["measured"]["achieved_rate"] for report in group])
    return [f"{rate:,.0f}", *cells, spread([server_us(report, "matched") for report in group], "{:.0f}")]


def production_ratio(found, share):
    p99 = lambda one, name: latency_ms(one[f"{name} {share}"], "pair", "p99")
    pairs = [(p99(one, PRODUCTION), p99(one, "development")) for one in found]
    return [production / development for production, development in pairs if production and development]


def draw_pairing(groups, directory):
    """The round whose p99 is the median stands for each group."""
    lines = []
    for name, group in groups.items():
        known = [report for report in group if latency_ms(report, "pair", "p99")]
        timed = sorted(known, key=lambda report: latency_ms(report, "pair", "p99"))
        if timed:
            middle = timed[len(timed) // 2]
            points = [(at, max(latency_ms(middle, "pair", key), 0.01)) for at, key in plots.PLACES]
            lines.append((name, points, name.startswith(PRODUCTION)))
    if lines:
        values = [y for _, points, _ in lines for _, y in points]
        (directory / "pairing.svg").write_text(plots.plot(
            "Pairing latency by percentile", "percentile", "ms", lines, plots.percentiles(), plots.logarithmic(values)))


def following(_options, results, _plots):
    found = rounds(results, "pairing")
    if not found:
        return ""
    rows = []
    for name in CONFIGURATIONS:
        group = [one[f"{name} next"] for one in found]
        cells = [spread([latency_ms(report, metric, key) for report in group])
                 for metric, key in (("next", "p50"), ("next", "p99"), ("pair", "p50"), ("pair", "p99"))]
        rate = median([count(report, "matched") / report["measured"]["seconds"] for report in group])
        rows.append([name, f"{rate:,.0f}", *cells])
    return "\n".join([
        "## Next", "",
        "People chat for 4 s on average and press next. \"Next to MATCHED\" includes the wait until somebody else is free; \"pairing\"",
        "counts from the later of the two, and is the server's own.", "",
        table(["configuration", "matches/s", "next to MATCHED p50 ms", "p99 ms", "pairing p50 ms", "p99 ms"], rows),
    ])


def relay(options, results, _plots):
    found = rounds(results, "relay")
    card = results.get("capacity-relay")
    if not found or not card:
        return ""
    rows = []
    for share in options.sizes["shares"]:
        group = [one[str(share)] for one in found]
        cells = [spread([latency_ms(report, "relay", key) for report in group], "{:.3f}") for key in ("p50", "p99", "p999")]
        rate = median([report["measured"]["achieved_rate"] for report in group])
        cpu = [server_us(report, "frames_received") for report in group]
        rows.append([f"{share:.0%}", f"{rate:,.0f}", *cells, spread(cpu, "{:.1f}")])
    return "\n".join([
        "## Relay", "",
        f"Frames of 100 bytes between {options.sizes['relay_pairs']} pairs, one way, on a schedule.",
        f"Capacity: {limit(options, card)}. Saturation is in the table of the peers.", "",
        table(["share of capacity", "frames/s", "p50 ms", "p99 ms", "p99.9 ms", "server CPU us a frame"], rows),
    ])


def floors(_options, results, _plots):
    found = results.get("floors")
    if not found:
        return ""
    us = lambda floor, key: f"{floor['nanoseconds'][key] / 1000:.1f}"
    rows = [[floor["name"], us(floor, "p50"), us(floor, "p99"), f"{floor['cpu_us']:.1f}"] for floor in found]
    return "\n".join(["## The distance to the limit", "", "What this machine does without any server around it.", "",
                      table(["floor", "p50 us", "p99 us", "CPU us"], rows)])


def instructions(_options, results, _plots):
    found = results.get("instructions")
    if not found:
        return ""
    lines = ["## Instructions of the core", "",
             "Counted by valgrind (`benches/callgrind.sh`), so they compare across machines, however busy. Times are in",
             "[benchmarks/core.md](benchmarks/core.md).", ""]
    for head, *rows in found["tables"]:
        lines += [table([*head, *([""] * (len(rows[0]) - len(head)))] if rows else head, rows), ""]
    lines.append("" if found["flat"] else "**The waiting room is not flat**: more than 10 % between its smallest and its largest crowd.")
    return "\n".join(lines)


def profiles(_options, results, _plots):
    found = {name: report["profile"] for name, report in results.get("profile", {}).items() if report.get("profile")}
    if not found:
        return ""
    names = list(dict.fromkeys(part["name"] for profile in found.values() for part in profile["parts"]))
    shares = {name: {part["name"]: f"{part['share']:.0%}" for part in profile["parts"]} for name, profile in found.items()}
    rows = [[name, *(of.get(name, NONE) for of in shares.values())] for name in names]
    lines = ["## Where the server's CPU goes", "", table(["part", *found], rows), "", "The functions with most samples:", ""]
    for name, profile in found.items():
        entries = ", ".join(f"`{entry['symbol']}` {entry['share']:.1%}" for entry in profile["entries"][:8])
        lines.append(f"- {name}: {entries}")
    return "\n".join(lines)


def repeat(options, results):
    about = results.get("about", {})
    sizes = options.sizes
    priority = ", both with real-time priority (`--realtime`), since the machine was not theirs alone" if options.realtime else ""
    lines = ["## To repeat it", "", f"    make bench{' BENCH=--realtime' if options.realtime else ''}", "",
             f"- {about.get('compiler', '')}, build `{about.get('profile', '')}`; {', '.join(about.get('versions', []))}",
             f"- {options.shards} shard on core {options.server_core}, load generator on core {options.client_core}{priority}; "
             f"{sizes['users']:,} users, {sizes['seconds']:g} s a run",
             "- CPU is user and system time of the server's process, by its CPU clock; memory is resident memory.",
             "- A part that was interrupted, or a changed program, is measured anew; `benches/bench.py --list` names the parts."]
    return "\n".join(lines)
