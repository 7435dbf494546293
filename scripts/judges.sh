#!/usr/bin/env bash
# What others think of the site over HTTPS: testssl.sh of its TLS, MDN's HTTP Observatory of its headers. Nothing found, grade A+, in half a minute.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --workspace --no-run --quiet
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; fi; rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 90 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth 2> "$work/openssl.log"
read -r site redirect < <(python3 -c '
import socket
ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(port.getsockname()[1] for port in ports))')
cat > "$work/anoncam.toml" << END
listen = "127.0.0.1:0"
# Not on loopback alone, so that it speaks TLS.
site = "0.0.0.0:$site"
redirect = "127.0.0.1:$redirect"
public_url = "https://localhost"
origins = ["https://localhost:$site"]
cert = "cert.pem"
key = "key.pem"
shards = 1

[operator]
name = "Example Ltd"
country = "Ireland"
contact = "privacy@example.com"
END
# The policy that these settings make is adopted, as an operator does who has read it.
adopted=$(target/debug/anoncam policy "$work/anoncam.toml" | sed -n 's/^ *\(policy = .*\)/\1/p')
echo "$adopted" >> "$work/anoncam.toml"
target/debug/anoncam --config "$work/anoncam.toml" > "$work/output" &
server=$!
for _ in $(seq 300); do
  grep -q 'is ready' "$work/output" && break
  kill -0 "$server" || exit 1
  sleep 0.1
done

NODE_EXTRA_CA_CERTS=$work/cert.pem node tests/judges/observatory.mjs localhost "$site" "$redirect"

# Protocols, suites, forward secrecy, preferences, certificate, headers, and every known attack.
testssl --quiet --color 0 --warnings off --ip 127.0.0.1 --jsonfile "$work/tls.json" -p -s -f -P -S -h -U "localhost:$site" > "$work/testssl.log" || true
python3 - "$work/tls.json" << 'END'
import json, sys

# What is so on this machine, or does not apply.
EXPECTED = {
    "cert_chain_of_trust": "the certificate is made here",
    "cert_revocation": "and nobody revokes it",
    "DNS_CAArecord": "localhost has no name server",
    "BREACH": "what is compressed holds no secret and repeats nothing of a request",
}
findings = json.load(open(sys.argv[1]))
assert len(findings) > 60, f"testssl.sh looked at {len(findings)} things only"
wrong = [one for one in findings if one["severity"] not in ("OK", "INFO") and one["id"] not in EXPECTED]
for one in wrong:
    print(f"FAILED {one['severity']:8} {one['id']}: {one['finding']}")
print(f"testssl.sh: {len(findings)} looked at, {len(wrong)} found")
sys.exit(1 if wrong else 0)
END
