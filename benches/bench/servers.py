"""The servers that are measured: each is started afresh for a load, on its core, and killed after it."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from .machine import free_port, on_core, wait_for

# Where the load on a server in production comes from: its limits count by address.
SOURCES = "127.1.0.1-127.1.0.250"
ORIGIN = "https://chat.example"
OWN = "anoncam"
PRODUCTION = "production"
BASELINE = "h3"
STACKS = [BASELINE, "web-transport-quinn", "wtransport"]
# The baseline without huge pages, as this server is: how much of the difference is theirs.
SMALL_PAGES = "h3, small pages"
BASELINES = [*STACKS, SMALL_PAGES]
WEBSOCKET = "anoncam, WebSocket"
MATCHBOX = "matchbox_server"


def stacks(options):
    """Everything that is compared, in the order in which it takes its turn."""
    chosen = [OWN, PRODUCTION, WEBSOCKET, *(STACKS if not options.quick else [BASELINE])]
    chosen += [MATCHBOX] if shutil.which("matchbox_server") else []
    return chosen + [extra.partition("=")[0] for extra in options.stack]


@contextlib.contextmanager
def running(options, name):
    """A server by name; gives the load generator's arguments for it."""
    if name == MATCHBOX:
        with matchbox(options) as target:
            yield target
        return
    listen, site = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}", f"127.0.0.1:{free_port()}"
    target = ["--url", f"http://{site}"]
    with tempfile.TemporaryDirectory() as directory:
        command = [program(options, name), "--listen", listen, "--site", site]
        if name in BASELINES:
            command += ["--stack", BASELINE if name == SMALL_PAGES else name]
        else:
            command += ["--shards", str(options.shards), "--log", "error"]
        if name == PRODUCTION:
            command += ["--config", str(production(pathlib.Path(directory), listen, command[0]))]
            target = ["--webtransport-url", f"https://{listen}/v1", "--origin", ORIGIN, "--insecure",
                      "--source-addr", SOURCES]
        if name == WEBSOCKET:
            target += ["--transport", "ws"]
        # As many WebSockets as the machine has files for, where a site for people would keep to fewer.
        with process(options, command, site, ANONCAM_MAX_WEBSOCKETS="100000", **pages(name)) as pid:
            yield [*target, "--server-pid", str(pid)]


@contextlib.contextmanager
def matchbox(options):
    """The peer, which says too much about every message unless it is told not to."""
    address = f"127.0.0.1:{free_port()}"
    with process(options, ["matchbox_server", address], address, RUST_LOG="error") as pid:
        yield ["--transport", "ws-matchbox", "--url", f"http://{address}", "--server-pid", str(pid)]


@contextlib.contextmanager
def process(options, command, address, **environment):
    on = on_core(options.server_core, options.realtime)
    started = subprocess.Popen([*on, *command], stdout=subprocess.DEVNULL, env={**os.environ, **environment})
    try:
        wait_for(address, started)
        yield started.pid
    finally:
        started.kill()
        started.wait()


def pages(name):
    """What mimalloc is told about huge pages; the server turns them off for itself."""
    return {"MIMALLOC_ALLOW_THP": "0"} if name == SMALL_PAGES else {}


def program(options, name):
    extra = dict(stack.split("=", 1) for stack in options.stack)
    return extra.get(name) or str(options.binaries / ("anoncam-baseline" if name in BASELINES else "anoncam"))


def production(directory, listen, server):
    """A configuration as for the public: a certificate from files, a public URL, all limits at their defaults.

    But nobody proves work: here everybody comes within seconds, which in life would be a flood.
    """
    key, cert, file = directory / "key.pem", directory / "cert.pem", directory / "anoncam.toml"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", str(key), "-out", str(cert), "-days", "10", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    key.chmod(0o600)
    settings = (f'cert = "{cert}"\nkey = "{key}"\npublic_url = "https://{listen}"\norigins = ["{ORIGIN}"]\nwork_above = 0\n'
                '[operator]\nname = "a benchmark"\ncountry = "nowhere"\ncontact = "nobody"\n')
    file.write_text(settings)
    # The last line of what it prints adopts the privacy policy.
    policy = subprocess.run([server, "policy", file], check=True, capture_output=True, text=True).stdout
    file.write_text(settings + policy.splitlines()[-1].strip() + "\n")
    return file
