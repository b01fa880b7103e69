#!/usr/bin/env bash
# The whole main job on the bundled sample suite, against the built-in mock model: ask, store, score, report.
set -eu
cfbench=${1:-./cfbench}
out=${2:-cfbench-out/demo}
rm -rf "$out"
mkdir -p "$out"
echo "cfbench run --suite sample --mock: 8 tasks, few-shot, 4 workers, one wrong answer in five"
"$cfbench" run --suite datasets/sample --mock --mock-latency 0.02 --mock-error-rate 0.2 --api-rate-limit 0 --out "$out"
echo
echo "Open $out/report.html in a browser. The run itself is $out/run.db; CFBenchmark's files are in"
echo "$out/cfbenchmark-response/ and $out/cfbenchmark-scores/."
