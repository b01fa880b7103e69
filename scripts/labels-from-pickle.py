#!/usr/bin/env python3
"""Turn CFBenchmark's labels_info.pkl into labels.json without running the pickle.

usage: labels-from-pickle.py LABELS_INFO.pkl [LABELS.json]

A pickle is a program; loading one can run anything. This walks its opcodes and
understands only those that build a dict of lists of strings. Everything else is
refused. Writes to standard output if no second file is named.

Exit codes: 0 done, 1 wrong use or a file that cannot be opened, 2 refused.
"""

import io
import json
import os
import pickletools
import sys
import tempfile

MAX_BYTES = 1 << 20
STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
# Framing and memo writes. Memo reads are refused: they could repeat a long text
# without end, and a plain label file has none.
NO_EFFECT = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT"}
MARK = object()


class Refused(Exception):
    pass


def pop_to_mark(stack):
    for i in range(len(stack) - 1, -1, -1):
        if stack[i] is MARK:
            items = stack[i + 1:]
            del stack[i:]
            return items
    raise Refused("items without a mark")


def set_items(target, items):
    if type(target) is not dict or len(items) % 2:
        raise Refused("not a dict of lists")
    for key, value in zip(items[::2], items[1::2]):
        if type(key) is not str or type(value) is not list:
            raise Refused("not a dict of lists")
        if key in target:
            raise Refused(f"task {key!r} comes twice")
        target[key] = value


def append(target, items):
    if type(target) is not list or not all(type(item) is str for item in items):
        raise Refused("not a list of strings")
    target.extend(items)


def read_labels(data):
    stack = []
    end = None
    for opcode, arg, pos in pickletools.genops(io.BytesIO(data)):
        name = opcode.name
        if name in STRINGS:
            stack.append(arg)
        elif name in NO_EFFECT:
            pass
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("APPENDS", "SETITEMS"):
            items = pop_to_mark(stack)
            if not stack:
                raise Refused(f"{name} without a target at byte {pos}")
            (append if name == "APPENDS" else set_items)(stack[-1], items)
        elif name == "APPEND" and len(stack) >= 2:
            item = stack.pop()
            append(stack[-1], [item])
        elif name == "SETITEM" and len(stack) >= 3:
            value = stack.pop()
            key = stack.pop()
            set_items(stack[-1], [key, value])
        elif name == "STOP":
            end = pos + 1
        else:
            raise Refused(f"opcode {name} at byte {pos} has no place in a list of labels")
    if end != len(data):
        raise Refused("bytes after the end of the pickle")
    if len(stack) != 1 or type(stack[0]) is not dict:
        raise Refused("not one dict of lists")
    for task, labels in stack[0].items():
        if len(set(labels)) != len(labels):
            raise Refused(f"task {task!r} has a label twice")
    return stack[0]


def write_atomically(path, data):
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".labels-")
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main(argv):
    if len(argv) not in (2, 3) or argv[1].startswith("-"):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 1
    source = argv[1]
    try:
        with open(source, "rb") as f:
            data = f.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Refused(f"larger than {MAX_BYTES} bytes")
        labels = read_labels(data)
        ordered = {task: sorted(labels[task]) for task in sorted(labels)}
        # No line end after the last brace: the published labels.json has none.
        text = json.dumps(ordered, ensure_ascii=False, indent=1).encode("utf-8")
        if len(argv) == 3:
            write_atomically(argv[2], text)
        else:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
    except OSError as e:
        print(f"labels-from-pickle: {e}", file=sys.stderr)
        return 1
    except (Refused, ValueError) as e:  # genops and encoding report ValueError
        print(f"labels-from-pickle: {source}: refused, nothing was run: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
