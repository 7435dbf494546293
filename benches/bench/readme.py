"""The figures of the readme, between two marks: the same run as the document's."""

from . import aims
from .loads import latency_ms
from .machine import ROOT
from .servers import BASELINE, MATCHBOX, OWN, STACKS
from .text import median, rounds

BEGIN, END = "<!-- figures of `make bench` -->\n", "<!-- end of figures -->\n"


def write(results):
    path = ROOT / "README.md"
    text = path.read_text()
    if BEGIN in text and END in text:
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        path.write_text(before + BEGIN + "".join(f"{line}\n" for line in lines(results)) + END + after)


def lines(results):
    about = results["about"]
    rows = [*peers(results), *pairing(results)]
    return ["", f"Measured on {about['date']} on a {about['machine']}, by `make bench` ([all figures](docs/BENCHMARKS.md)).", "",
            "| what | figure |", "| --- | --- |", *(f"| {name} | {figure} |" for name, figure in rows), ""]


def peers(results):
    opening, loads = rounds(results, "open"), rounds(results, "load")
    if not opening or not loads:
        return []
    of = lambda found, name, key: median([one[name].get(key) for one in found if name in one]) or float("nan")
    sessions = opening[0][OWN]["sessions"]
    least = min(of(opening, name, "open_us") for name in STACKS)
    cpu, base = of(opening, OWN, "open_us"), of(opening, BASELINE, "open_us")
    rows = [
        (f"memory of an idle session, {sessions:,} of them (freed memory is wiped)",
         f"{of(opening, OWN, 'idle_kib'):.1f} KiB; quinn + h3 + h3-webtransport: {of(opening, BASELINE, 'idle_kib'):.1f}"),
        ("server CPU a session opened", f"{cpu:.0f} us, {cpu / base:.2f} of quinn + h3 + h3-webtransport, {cpu / least:.2f} of the next best stack"),
    ]
    frames = f"{of(loads, OWN, 'frames_a_second'):,.0f}"
    if MATCHBOX in loads[0]:
        frames += f"; matchbox_server: {of(loads, MATCHBOX, 'frames_a_second'):,.0f}"
    return [*rows, ("frames of 100 bytes relayed a second, one shard", frames)]


def pairing(results):
    for name, reports in aims.at_half(results):
        values = [median([latency_ms(report, "pair", key) for report in reports]) for key in ("p50", "p99")]
        if None not in values:
            yield f"pairing at half of capacity, {name}, p50 and p99", f"{values[0]:.2f} and {values[1]:.2f} ms"
