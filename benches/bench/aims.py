"""What was aimed for, whether it was met, and if not: by how much, where the time goes, and what would be tried next."""

from .loads import failed, latency_ms
from .servers import BASELINE, MATCHBOX, OWN, PRODUCTION, STACKS
from .text import median, rounds

PAIRING_P99_MS = 2.0
FLAT = 0.10
OWN_KIB = 16
IDLE_KIB = 24
OPEN_RATIO = 0.6

# What would be tried next, by the part of the profile that takes most.
NEXT = {
    "kernel: memory": "fewer fresh pages a session: quinn-proto keeps 7 KiB for a connection, and rustls's expanded packet keys, 2 KiB, "
                      "could be expanded when they are used, as the load generator does",
    "kernel: network": "fewer system calls: sendmmsg for frames to many people, or io_uring for the shard's socket",
    "kernel: scheduling": "fewer sleeps: a shard with work every few hundred microseconds could look for a while before it sleeps, "
                          "for CPU that an idle machine has",
    "cryptography": "nothing in the code: the handshake is one P-256 signature and one X25519 exchange, a frame two AES-GCM passes; "
                    "see the floors",
    "TLS (rustls)": "header protection and packet keys without rustls's indirections",
    "QUIC (quinn-proto)": "poll_transmit and handle_event for less: fewer timers armed, acknowledgements less often (the ACK frequency "
                          "extension)",
    "allocator": "fewer and smaller allocations in quinn-proto's streams and acknowledgement ranges",
    "copies and zeros": "receive buffers that are not filled twice",
    "the core": "the counts of `benches/callgrind.sh`, operation by operation",
    "the server's own code": "the turn of a shard (`transport/driver.rs`) with `perf annotate`",
}


def aims(results):
    """Every aim that there are figures for: (name, figure as text, met, profile that shows why not)."""
    found = []
    for name, reports in at_half(results):
        p99 = median([latency_ms(report, "pair", "p99") for report in reports])
        if p99 is not None:
            found.append((f"pairing p99 at half of capacity at most {PAIRING_P99_MS:g} ms, {name}", f"{p99:.2f} ms",
                          p99 <= PAIRING_P99_MS, "pairing"))
    found += flatness(rounds(results, "memory"))
    found += against_others(results)
    own = [own_slope(report) for report in rounds(results, "memory")]
    if own:
        kib = median(own)
        found.append((f"at most {OWN_KIB} KiB a session in the load generator", f"{kib:.1f} KiB", kib <= OWN_KIB, None))
    return found


def flatness(reports):
    """From 1,000 sessions on: those before warm the server up."""
    stages = [stage for report in reports for stage in report["stages"] if stage["sessions"] >= 1000]
    sizes = sorted({stage["sessions"] for stage in stages})
    curve = [median([stage["server_cpu_us_per_open"] for stage in stages if stage["sessions"] == size]) for size in sizes]
    if len(curve) < 2:
        return []
    uneven = max(curve) / min(curve) - 1
    name = f"server CPU of opening a session flat within {FLAT:.0%} from {sizes[0]:,} to {sizes[-1]:,} sessions, keep-alives apart"
    return [(name, f"{min(curve):.0f} to {max(curve):.0f} us, {uneven:.0%}", uneven <= FLAT, "opening")]


def at_half(results):
    yield "development", [figures["development 0.5"] for figures in rounds(results, "pairing")]
    yield PRODUCTION, [figures[f"{PRODUCTION} 0.5"] for figures in rounds(results, "pairing")]
    crowds = [figures["0.5"] for figures in rounds(results, "crowd")]
    sessions = max((report["opening"]["counts"].get("opened", 0) for report in crowds), default=0)
    yield f"with {sessions:,} sessions connected", crowds


def against_others(results):
    opening, loads = rounds(results, "open"), rounds(results, "load")
    of = lambda figures, name, key: median([one[name].get(key) for one in figures if name in one])
    others = [name for name in (*STACKS, MATCHBOX) if opening and name in opening[0]]
    if not opening or OWN not in opening[0]:
        return []
    wrong = sum(one[OWN]["failed"] for one in opening + loads) + sum(
        failed(report) for figures in rounds(results, "pairing") + rounds(results, "crowd") for report in figures.values())
    idle, cpu = of(opening, OWN, "idle_kib"), of(opening, OWN, "open_us")
    found = [
        ("no session of the server fails or is lost", f"{wrong}", wrong == 0, None),
        (f"at most {IDLE_KIB} KiB an idle session", f"{idle:.1f} KiB", idle <= IDLE_KIB, "opening"),
    ]
    if BASELINE in others:
        ratio = cpu / of(opening, BASELINE, "open_us")
        name = f"at most {OPEN_RATIO} times the baseline's CPU a session opened"
        found.append((name, f"{ratio:.2f}", ratio <= OPEN_RATIO, "opening"))
    quic = [(of(opening, name, "open_us"), name) for name in others if name in STACKS]
    if quic:
        least, name = min(quic)
        found.append(("less CPU a session opened than every other WebTransport stack",
                      f"{cpu:.0f} us, {name} {least:.0f} us", cpu < least, "opening"))
    relay = [(of(loads, name, "relay_p50_ms"), name) for name in others if name in STACKS and loads]
    if relay:
        (least, name), own = min(relay), of(loads, OWN, "relay_p50_ms")
        found.append(("relay p50 no slower than any other WebTransport stack",
                      f"{own * 1000:.0f} us, {name} {least * 1000:.0f} us", own <= least * 1.02, "relay"))
    return found


def own_slope(report):
    """KiB a session of the load generator, by the first and the last stage."""
    first, last = report["stages"][0], report["stages"][-1]
    return (last["own_rss_bytes"] - first["own_rss_bytes"]) / 1024 / (last["sessions"] - first["sessions"])


def why(results, profiled):
    """Where the time goes where an aim is missed, in lines of a list."""
    report = results.get("profile", {}).get(profiled)
    if not report or not report.get("profile"):
        return []
    profile = report["profile"]
    parts = ", ".join(f"{part['name']} {part['share']:.0%}" for part in profile["parts"][:6])
    entries = ", ".join(f"`{entry['symbol']}` {entry['share']:.1%}" for entry in profile["entries"][:8])
    lines = [f"  - where the server's CPU goes ({profiled}, {profile['samples']} samples): {parts}",
             f"  - at the top: {entries}"]
    steps = [f"{part['name']}: {NEXT[part['name']]}" for part in profile["parts"] if part["name"] in NEXT][:3]
    return lines + ([f"  - would be tried next: {'; '.join(steps)}"] if steps else [])
