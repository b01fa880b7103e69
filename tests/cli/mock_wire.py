"""The mock's replies as bytes: streams, faults, limits, profiles. Standard library only.
   mock_wire.py CFBENCH -> lines "ok NAME" or "not ok NAME: why" """
import gzip, json, os, socket, subprocess, sys, tempfile, threading, time

CFBENCH, bad = sys.argv[1], 0


class Mock:
    def __init__(self, *options):
        self.dir = tempfile.TemporaryDirectory()
        port = os.path.join(self.dir.name, "port")
        self.p = subprocess.Popen([CFBENCH, "mock", "--port-file", port, "--quiet", *options])
        for _ in range(400):
            if os.path.exists(port) and os.path.getsize(port):
                break
            time.sleep(0.025)
        self.port = int(open(port).read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()
        self.dir.cleanup()


class Reply:
    """status, headers (lower case), body without chunk frame, raw pieces as they arrived with their times, how it ended."""

    def __init__(self, port, path, body, headers=(), timeout=10, method=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        s = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *headers]
        start = time.monotonic()
        s.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        self.pieces, raw, self.end = [], b"", "whole"
        while not self.whole(raw):
            try:
                piece = s.recv(1 << 20)
            except ConnectionResetError:
                self.end = "reset"
                break
            except socket.timeout:
                self.end = "timeout"
                break
            if not piece:
                self.end = "closed"
                break
            self.pieces.append((time.monotonic() - start, piece))
            raw += piece
        s.close()
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in lines[1:]}
        self.chunks = self.split(rest) if "transfer-encoding" in self.headers else [rest]
        self.body = b"".join(self.chunks)
        try:
            self.json = json.loads(self.body)
        except ValueError:
            self.json = None

    @staticmethod
    def whole(raw):
        head, sep, rest = raw.partition(b"\r\n\r\n")
        if not sep:
            return False
        low = head.lower()
        if b"transfer-encoding: chunked" in low:
            return rest.endswith(b"0\r\n\r\n")
        at = low.index(b"content-length:")
        return len(rest) >= int(low[at + 15:].split(b"\r\n")[0])

    @staticmethod
    def split(rest):
        chunks = []
        while rest:
            size, sep, rest = rest.partition(b"\r\n")
            if not sep or int(size, 16) == 0:
                break
            chunks.append(rest[:int(size, 16)])
            rest = rest[int(size, 16) + 2:]
        return chunks

    def events(self):
        """The data of all events, by the rules of the format: any line end, comments dropped."""
        text = self.body.decode().replace("\r\n", "\n")
        return [line[6:] for block in text.split("\n\n") for line in block.split("\n") if line.startswith("data: ")]

    def content(self):
        return self.json["choices"][0]["message"]["content"]

    def streamed(self, member="content"):
        chunks = [json.loads(e) for e in self.events() if e != "[DONE]"]
        return "".join(c["choices"][0]["delta"].get(member) or "" for c in chunks if c.get("choices"))


def ask(prompt="q", **more):
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def chat(m, prompt="q", headers=(), timeout=10, path="/v1/chat/completions", **more):
    return Reply(m.port, path, ask(prompt, **more), headers, timeout)


def case(name, fn):
    global bad
    try:
        fn()
        print("ok", name, flush=True)
    except Exception as e:  # noqa: BLE001: a test must say why and go on
        bad = 1
        import traceback
        line = traceback.extract_tb(e.__traceback__)[-1].lineno if not isinstance(e, AssertionError) else traceback.extract_tb(e.__traceback__)[-1].line
        print(f"not ok {name}: {type(e).__name__} {e} ({line})", flush=True)


PLAIN = "模拟回答 8e35c2cd"  # sha256("q")


# ---- streams ----

def stream_form():
    with Mock() as m:
        r = chat(m, stream=True, stream_options={"include_usage": True})
        assert r.status == 200 and r.headers["content-type"].startswith("text/event-stream")
        e = r.events()
        assert e[-1] == "[DONE]"
        chunks = [json.loads(x) for x in e[:-1]]
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert {c["object"] for c in chunks} == {"chat.completion.chunk"} and len({c["id"] for c in chunks}) == 1
        assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == len(PLAIN)
        assert chunks[-2]["choices"][0]["finish_reason"] == "stop" and chunks[-2]["usage"] is None
        assert r.streamed() == PLAIN, r.streamed()
        r = chat(m, stream=True)
        assert "usage" not in json.loads(r.events()[-2]) and r.streamed() == PLAIN
        r = chat(m, stream=True, max_tokens=1)
        assert r.streamed() == PLAIN[:4] and json.loads(r.events()[-2])["choices"][0]["finish_reason"] == "length"


def stream_pace():
    with Mock("--mock-ttft", "0.1", "--mock-tokens-per-s", "50") as m:
        r = chat(m, stream=True)
        assert r.pieces[0][0] >= 0.1 and r.pieces[-1][0] >= 0.1 + len(PLAIN) / 50, r.pieces[-1][0]
        assert len(r.pieces) >= 3 and r.streamed() == PLAIN
        r = chat(m)
        assert r.pieces[0][0] >= 0.1 + len(PLAIN) / 50


def stream_faults():
    script = tempfile.NamedTemporaryFile("w", suffix=".jsonl")
    text = "这一段话全是汉字没有别的"
    print(json.dumps({"prompt_sha256": "594e519ae499312b29433b7dd8a97ff068defcba9755b6d5d00e84c524d67b06", "content": text}), file=script, flush=True)
    with Mock("--mock-control", "--replies", script.name) as m:
        def fault(spec, prompt="q"):
            assert Reply(m.port, "/mock/control", {"faults": spec + ":1"}).status == 200
            return chat(m, prompt, stream=True)
        r = fault("cut")
        assert r.end == "closed" and "[DONE]" not in r.body.decode(errors="replace")
        r = fault("reset")
        assert r.end == "reset"
        r = fault("sse-error")
        assert r.end == "whole" and "error" in json.loads(r.events()[-1]) and "[DONE]" not in r.events() and r.streamed() == PLAIN[:len(PLAIN) // 2]
        r = fault("sse-nodone")
        assert r.end == "whole" and "[DONE]" not in r.events()
        r = fault("sse-ping")
        assert b": ping\n\n" in r.body and r.streamed() == PLAIN
        r = fault("sse-crlf")
        assert b"\r\n\r\n" in r.body and b"\n\n" not in r.body and r.streamed() == PLAIN
        r = fault("sse-split", "z")
        assert r.streamed() == text and b"\\u" in r.body
        inside = 0
        for chunk in r.chunks:
            try:
                chunk.decode()
            except UnicodeDecodeError:
                inside += 1
        assert inside > 0 and any(c.endswith(b"\\") for c in r.chunks), "no chunk ended within a character or an escape"
        r = fault("badjson")
        assert r.end == "whole" and "[DONE]" not in r.events()
        assert fault("empty").streamed() == ""
        r = fault("html")
        assert b"<html>" in r.body
        r = fault("429")
        assert r.status == 429 and r.json["error"]["code"] == "rate_limit_exceeded"


# ---- faults of whole replies ----

def faults():
    with Mock("--mock-control") as m:
        def fault(spec, headers=(), timeout=10):
            assert Reply(m.port, "/mock/control", {"faults": spec + ":1"}).status == 200
            return chat(m, headers=headers, timeout=timeout)
        for s in (400, 401, 402, 403, 404, 408, 409, 413, 500, 503, 504, 529):
            r = fault(str(s))
            assert r.status == s and r.json["error"]["message"] and r.end == "whole", s
        r = fault("502")
        assert r.status == 502 and b"<html>" in r.body
        assert fault("429").headers["retry-after"] == "1"
        assert "retry-after" not in fault("429-bare").headers
        r = fault("429-ms")
        assert r.headers["retry-after-ms"] == "300" and "retry-after" not in r.headers
        assert fault("429-float").headers["retry-after"] == "0.5"
        from email.utils import parsedate_to_datetime
        wait = parsedate_to_datetime(fault("429-date").headers["retry-after"]).timestamp() - time.time()
        assert -1 < wait <= 2.5, wait
        r = fault("429-quota")
        assert r.status == 429 and r.json["error"]["code"] == "insufficient_quota"
        assert fault("context").json["error"]["code"] == "context_length_exceeded"
        r = fault("filter400")
        assert r.status == 400 and r.json["error"]["code"] == "content_filter" and "innererror" in r.json["error"]
        assert fault("reset").end == "reset"
        r = fault("stall", timeout=0.5)
        assert r.end == "timeout" and r.status == 200 and r.body
        r = fault("hang", timeout=0.3)
        assert r.end == "timeout" and not r.pieces
        r = fault("badchunk")
        assert r.end == "closed" and r.headers["transfer-encoding"] == "chunked" and r.json is None
        r = fault("type")
        assert r.headers["content-type"] == "text/plain" and r.content() == PLAIN
        r = fault("gzip", headers=("Accept-Encoding: deflate, gzip",))
        assert r.headers["content-encoding"] == "gzip" and json.loads(gzip.decompress(r.body))["choices"][0]["message"]["content"] == PLAIN
        r = fault("gzip")
        assert "content-encoding" not in r.headers and r.content() == PLAIN
        assert len(fault("huge").body) == 17 << 20
        r = fault("error200")
        assert r.status == 200 and "error" in r.json and "choices" not in r.json
        assert fault("null").content() is None
        assert fault("parts").content() == [{"type": "text", "text": PLAIN}]
        r = fault("control")
        assert r.content() == "\u2028\t" + PLAIN + "\x01\x1b[31m\x7f\x85\u2029\r\n" and "\u2028".encode() in r.body
        r = fault("thinking")
        assert r.content() == "" and r.json["choices"][0]["finish_reason"] == "length"
        assert r.json["usage"]["completion_tokens_details"]["reasoning_tokens"] == r.json["usage"]["completion_tokens"] > 0


# ---- limits ----

def limits():
    with Mock("--mock-rpm", "60", "--mock-tpm", "60000") as m:
        rs = [chat(m, f"{i}") for i in range(4)]
        assert [r.status for r in rs] == [200, 200, 429, 429], [r.status for r in rs]
        h = rs[2].headers
        assert h["retry-after"] == "1" and 0 < int(h["retry-after-ms"]) <= 1000
        assert h["x-ratelimit-limit-requests"] == "60" and h["x-ratelimit-remaining-requests"] == "0"
        assert h["x-ratelimit-limit-tokens"] == "60000" and h["x-ratelimit-reset-requests"].endswith("s")
    with Mock("--mock-tpm", "60") as m:
        rs = [chat(m, "x" * 2), chat(m, "y" * 100)]
        assert rs[0].status == 200 and rs[1].status == 429 and rs[1].json["error"]["type"] == "tokens"
    with Mock("--mock-quota", "2") as m:
        rs = [chat(m, f"{i}") for i in range(3)]
        assert [r.status for r in rs] == [200, 200, 429] and rs[2].json["error"]["type"] == "insufficient_quota"


# ---- profiles ----

def profiles():
    with Mock("--mock-profile", "openai", "--mock-reasoning", "hidden", "--mock-prefix-cache") as m:
        r = chat(m, max_tokens=5, **{"model": "o3-mini"})
        assert r.status == 400 and r.json["error"]["param"] == "max_tokens" and r.json["error"]["code"] == "unsupported_parameter"
        r = chat(m, temperature=0, **{"model": "gpt-5.1"})
        assert r.status == 400 and r.json["error"]["param"] == "temperature" and r.json["error"]["code"] == "unsupported_value"
        assert chat(m, temperature=1, max_completion_tokens=500, **{"model": "o3"}).status == 200
        r = chat(m, temperature=0, max_tokens=500, **{"model": "gpt-4o"})
        u = r.json["usage"]
        assert r.content() == PLAIN and u["completion_tokens_details"]["reasoning_tokens"] == u["completion_tokens"] - len(PLAIN)
        long = "a" * 4096
        first, second = chat(m, long + "1").json["usage"], chat(m, long + "2").json["usage"]
        assert first["prompt_tokens_details"]["cached_tokens"] == 0 and 3800 < second["prompt_tokens_details"]["cached_tokens"] <= 4097
        r = chat(m, max_tokens=2, **{"model": "gpt-4o"})
        assert r.content() == "" and r.json["choices"][0]["finish_reason"] == "length" and r.json["usage"]["completion_tokens"] == 8
    with Mock("--mock-profile", "azure", "--mock-key", "k", "--mock-faults", "filter400:1") as m:
        path = "/openai/deployments/dep/chat/completions?api-version=2024-10-21"
        assert chat(m, path=path).status == 401
        assert chat(m, path=path.partition("?")[0], headers=("api-key: k",)).status == 404
        r = chat(m, path=path, headers=("api-key: k",))
        assert r.status == 400 and r.json["error"]["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    with Mock("--mock-profile", "openrouter", "--mock-reasoning", "field", "--mock-rpm", "6000", "--mock-latency", "0.3") as m:
        r = chat(m, path="/api/v1/chat/completions", stream=True)
        assert r.body.startswith(b": OPENROUTER PROCESSING\n\n") and r.pieces[0][0] < 0.2 and r.streamed() == PLAIN
        assert "想" in r.streamed("reasoning") and r.headers["x-ratelimit-limit"] == "6000"
        r = chat(m, path="/api/v1/chat/completions")
        assert r.body[:1].isspace() and r.content() == PLAIN and r.json["choices"][0]["message"]["reasoning"]
    with Mock("--mock-profile", "openrouter", "--mock-faults", "error200:1") as m:
        r = chat(m)
        assert r.status == 200 and r.json["error"]["code"] == 502
    with Mock("--mock-profile", "vllm", "--mock-context", "100", "--mock-reasoning", "field") as m:
        r = chat(m, "x" * 80, max_tokens=30)
        assert r.status == 400 and r.json["object"] == "error" and r.json["code"] == 400 and "maximum context length is 100" in r.json["message"]
        r = chat(m)
        assert r.json["choices"][0]["message"]["reasoning_content"] and r.content() == PLAIN
        assert Reply(m.port, "/v1/models", None).json["data"][0]["max_model_len"] == 100
    with Mock("--mock-profile", "llamacpp", "--mock-context", "50") as m:
        r = chat(m, "x" * 80)
        assert r.status == 400 and r.json["error"]["type"] == "exceed_context_size_error" and r.json["error"]["n_ctx"] == 50
        assert chat(m).json["timings"]["predicted_n"] == len(PLAIN)
    with Mock("--mock-profile", "deepseek", "--mock-latency", "0.6", "--mock-reasoning", "field") as m:
        r = chat(m)
        assert r.body.startswith(b"\n\n") and r.content() == PLAIN and r.json["choices"][0]["message"]["reasoning_content"]
        assert r.pieces[0][0] < 0.4 <= r.pieces[-1][0]
        r = chat(m, stream=True)
        assert r.body.startswith(b": keep-alive\n\n") and r.streamed() == PLAIN and r.streamed("reasoning_content")
    for name in ("sglang", "ollama", "dashscope"):
        with Mock("--mock-profile", name, "--mock-reasoning", "think") as m:
            path = "/compatible-mode/v1/chat/completions" if name == "dashscope" else "/v1/chat/completions"
            r = chat(m, path=path)
            assert r.content().startswith("<think>\n") and r.content().endswith("\n</think>\n\n" + PLAIN), name
            assert chat(m, path=path, stream=True).streamed() == r.content(), name


# ---- connections ----

def connections():
    with Mock() as m:
        body = json.dumps(ask()).encode()
        s = socket.create_connection(("127.0.0.1", m.port), timeout=5)
        one = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for i in range(0, len(one), 7):  # byte by byte, nearly
            s.sendall(one[i:i + 7])
        half = len(one) // 2
        s.sendall(one * 2 + one[:half])  # pipelined
        time.sleep(0.05)
        s.sendall(one[half:])
        chunked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        s.sendall(chunked + b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 9]), body[i:i + 9]) for i in range(0, len(body), 9)))
        time.sleep(0.05)
        s.sendall(b"0\r\n\r\n")
        got = b""
        while piece := s.recv(65536):
            got += piece
        assert got.count(b"HTTP/1.1 200 OK") == 5, got[:300]
        s = socket.create_connection(("127.0.0.1", m.port), timeout=5)
        s.sendall(b"nonsense\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 400")
        s = socket.create_connection(("127.0.0.1", m.port), timeout=5)
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(body)
        assert s.recv(4096).startswith(b"HTTP/1.1 200")


def embeddings():
    with Mock("--mock-embed-dim", "24") as m:
        r = Reply(m.port, "/v1/embeddings", {"model": "m", "input": ["a", "b", "a"]})
        v = [d["embedding"] for d in r.json["data"]]
        assert [len(x) for x in v] == [24] * 3 and v[0] == v[2] != v[1] and abs(sum(x * x for x in v[0]) - 1) < 1e-6
        r = Reply(m.port, "/v1/embeddings", {"model": "m", "input": "a", "dimensions": 3})
        assert len(r.json["data"][0]["embedding"]) == 3


def many_streams():
    with Mock("--mock-tokens-per-s", "100") as m:
        bad_ones = []

        def one(i):
            r = chat(m, f"p{i}", stream=True)
            if r.end != "whole" or r.events()[-1] != "[DONE]":
                bad_ones.append((i, r.end))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(100)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not bad_ones, bad_ones


for name, fn in (("streams: form", stream_form), ("streams: pace", stream_pace), ("streams: faults", stream_faults), ("faults of whole replies", faults),
                 ("limits and their headers", limits), ("profiles", profiles), ("connections: pieces, pipelines, chunks, nonsense", connections),
                 ("embeddings", embeddings), ("many streams at once", many_streams)):
    case("mock: " + name, fn)
sys.exit(bad)
