#!/usr/bin/env bash
# Renders the Mermaid blocks of docs/architecture.md to SVG, with mermaid-cli and a Chromium that is already installed.
set -euo pipefail
cd "$(dirname "$0")"
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "Chromium is needed to render the diagrams; install it and run this again." >&2
  exit 1
}
settings=$(mktemp --suffix=.json)
trap 'rm -f "$settings"' EXIT
printf '{"executablePath": "%s", "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]}' "$chromium" >"$settings"
export PUPPETEER_SKIP_DOWNLOAD=1
npx --yes @mermaid-js/mermaid-cli@11 --quiet --puppeteerConfigFile "$settings" --input ../architecture.md --output architecture.svg \
  --backgroundColor white
