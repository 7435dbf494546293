"""docs/BENCHMARKS.md and its plots, from what was measured. Nothing in it is written by hand."""

from . import aims, readme, sections

INTRO = """# Benchmarks

Written by `make bench` (`benches/bench.py`), as a whole: every figure is of one run of that command, by `anoncam-loadgen`
([LOADGEN.md](LOADGEN.md)). Medians over the rounds ({rounds}), with the lowest and the highest where they differ; whatever is compared
took turns within each round. Latency counts from the moment at which something was meant to happen, not from when it was sent.
"""


def write(options, results, directory):
    plots = directory / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    parts = [INTRO.format(rounds=options.rounds), conditions(results), verdicts(options, results)]
    for section in (sections.peers, sections.idle, sections.pairing, sections.following, sections.relay, sections.floors,
                    sections.instructions, sections.profiles):
        text = section(options, results, plots)
        if text:
            parts.append(text)
    parts.append(sections.repeat(options, results))
    path = directory / "BENCHMARKS.md"
    path.write_text("\n".join(part.rstrip() + "\n" for part in parts))
    if not options.quick:
        readme.write(results)
    print(path.read_text())


def conditions(results):
    about = results.get("about")
    if not about:
        return ""
    unsound, all_of = sections.soundness(results)
    text = f"{about['date']}, {about['machine']}; server on one core, load generator on the other."
    if unsound:
        text += (f"\n\n**{len(unsound)} of {all_of} runs were not sound**: the generator or the machine was the limit there, and those "
                 f"figures are a lower bound of what the server can do. The first said: \"{unsound[0]}\".")
    elif all_of:
        text += f" All {all_of} runs were sound: no limit of the generator was met."
    return text


def verdicts(options, results):
    # What a debug build costs says nothing about the aims.
    found = aims.aims(results) if options.profile == "release" else []
    if not found:
        return ""
    lines = ["## Aims", ""]
    for name, figure, met, profiled in found:
        lines.append(f"- {'met' if met else '**missed**'}: {name}: {figure}")
        if not met and profiled:
            lines += aims.why(results, profiled)
    return "\n".join(lines)
