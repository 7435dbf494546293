"""The parts of benches/bench.py."""
