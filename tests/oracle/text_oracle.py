#!/usr/bin/env python3
"""Compares cfb_text_strip, cfb_text_lower and cfb_text_count_valid with Python's str, for every code point alone and
beside a capital sigma, and for random strings.   text_oracle.py PROGRAM [RANDOM_STRINGS] [SEED]

Code points that this Python's Unicode version does not assign are left out: the library's tables may be newer."""
import random
import subprocess
import sys
import unicodedata


def assigned(cp):
    return not 0xD800 <= cp <= 0xDFFF and unicodedata.category(chr(cp)) != "Cn"


def strings(n_random, seed):
    every = [chr(cp) for cp in range(1, 0x110000) if assigned(cp)]
    for c in every:
        yield c
        yield f"{c}x{c}"
        for frame in ("{}Σ", "a{}Σ", "aΣ{}", "aΣ{}b", "Σ{}", "a{}Σ{}b"):
            yield frame.replace("{}", c)
    rng = random.Random(seed)
    rare = [c for c in every if c.lower() != c or c.isspace() or (c + "Σ").lower()[-1] == "ς"
            or ("a" + c + "Σ").lower()[-1] == "ς"]
    pools = ["ΣσςΑα.'’:\u0301\u00ad aİiIſK", "  \t\u3000\u00a0\u2003\x1c\x85中国，,", rare, every,
             "银行证券，。！ABCabcΣİ 　"]
    for _ in range(n_random):
        pool = rng.choice(pools)
        yield "".join(rng.choice(pool if rng.random() < 0.8 else rng.choice(pools)) for _ in range(rng.randrange(0, 24)))


def main():
    program = sys.argv[1]
    n_random = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    texts = list(strings(n_random, seed))
    done = subprocess.run([program], input=("\0".join(texts) + "\0").encode(), stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().split("\n")[:-1]
    if len(lines) != len(texts):
        sys.exit(f"{program} printed {len(lines)} lines for {len(texts)} strings")
    bad = 0
    for text, line in zip(texts, lines):
        want = f"{text.strip().encode().hex()} {text.lower().encode().hex()} {len(text)}"
        if line != want:
            bad += 1
            if bad <= 20:
                print(f"{text!r}: want {want}, got {line}", file=sys.stderr)
    print(f"text: {len(texts)} strings, {bad} differences (Unicode {unicodedata.unidata_version})")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
