#!/usr/bin/env bash
# Makes docs/images/report.png: the top of the demo's report, as a browser shows it; and writes the demo's table into README.md.
# Usage: scripts/readme-picture.sh [CFBENCH [PICTURE]]
# Needs chromium and fonts with Chinese characters; installs them with apt-get where it may.
set -euo pipefail
cd "$(dirname "$0")/.."
cfbench=${1:-./cfbench}
picture=${2:-docs/images/report.png}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ] || ! fc-list 2>/dev/null | grep -qi cjk; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "readme-picture: install chromium and fonts-noto-cjk first" >&2
        exit 1
    fi
    apt-get -q update >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends chromium fonts-noto-cjk fontconfig >/dev/null
    browser=$(command -v chromium)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
NO_COLOR=1 scripts/demo.sh "$cfbench" "$work/demo" >"$work/table" 2>/dev/null
# The window's height is the crop: overview, and the first task down to its histogram.
timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$work/profile" --hide-scrollbars --blink-settings=preferredColorScheme=1 \
    --window-size=1100,1225 --screenshot="$work/report.png" "file://$work/demo/report.html" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
size=$(wc -c <"$work/report.png")
if [ "$size" -gt 300000 ]; then
    echo "readme-picture: $size bytes are too many for a README (300000)" >&2
    exit 1
fi
mkdir -p "$(dirname "$picture")"
mv "$work/report.png" "$picture"
echo "$picture: $size bytes"
python3 - "$work/table" <<'EOF'
import re, sys
with open(sys.argv[1], encoding="utf-8") as f:
    table = re.search(r"^ +─+ rows.*?^all .*?\n", f.read(), re.S | re.M).group(0)
with open("README.md", encoding="utf-8") as f:
    text = f.read()
new, n = re.subn(r"(In the terminal:\n\n```\n).*?(```\n)", lambda m: m.group(1) + table + m.group(2), text, flags=re.S)
if n != 1:
    sys.exit("readme-picture: README.md has no table of the demo")
if new != text:
    with open("README.md", "w", encoding="utf-8") as f:
        f.write(new)
    print("README.md: table renewed")
EOF
