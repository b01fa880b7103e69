# Servers of Python's ssl, each with a certificate of its own.
import ssl
from ask import *

SAMPLE, CERTS = "datasets/sample", os.environ["CERTS"]
number = 0


def out_dir():
    global number
    number += 1
    return f"{T}/run{number}"


class Secure(Stub):
    def __init__(self, answer, cert, client=None, newest=None):
        super().__init__(answer)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(f"{CERTS}/{cert}.pem", f"{CERTS}/{cert}.key")
        if newest: ctx.maximum_version = newest
        if client:
            ctx.load_verify_locations(f"{CERTS}/{client}.pem")
            ctx.verify_mode = ssl.CERT_REQUIRED
        # the handshake in the connection's own thread, not in that which accepts
        self.server.socket = ctx.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_port}/v1"


def fine(body, number): return 200, {}, chat("fine")


def long(body, number): return 200, {}, chat("x" * 200000)


def closing(body, number): return 200, {"Connection": "close"} if number % 3 == 0 else {}, chat("fine")


def trusted(cert, *more): return ["--ca-file", f"{CERTS}/{cert}.pem", "--max-retries", "0", "--quiet", *more]


def n_rows(out): return len(Store(out).replies)


def main(way, *more):
    for name, newest in (("TLS 1.3", None), ("TLS 1.2", ssl.TLSVersion.TLSv1_2)):
        with check(f"{way}: every row is answered over {name}"):
            with Secure(fine, "here", newest=newest) as s:
                out = out_dir()
                r = ask(SAMPLE, s.url, out, *trusted("here", *more))
                assert r.code == 0 and len(s.calls) == n_rows(out) > 100, (r.code, r.err, len(s.calls))
                by_name = s.url.replace("127.0.0.1", "localhost")
                r = ask(SAMPLE, by_name, out_dir(), *trusted("here", "--limit", "1", *more))
                assert r.code == 0, (r.code, r.err)
    with check(f"{way}: replies of many records, and connections that close after some of them"):
        for answer in (long, closing):
            with Secure(answer, "here") as s:
                out = out_dir()
                r = ask(SAMPLE, s.url, out, *trusted("here", "--in-flight", "8", *more))
                assert r.code == 0 and len(s.calls) == n_rows(out), (r.code, r.err)
                assert all(len(x["content"]) in (4, 200000) for x in Store(out).replies.values())
    with check(f"{way}: a server that nobody vouches for, or that is not the one in the address, gets no call"):
        for cert, ca in (("here", "elsewhere"), ("elsewhere", "elsewhere")):
            with Secure(fine, cert) as s:
                out = out_dir()
                r = ask(SAMPLE, s.url, out, *trusted(ca, *more))
                assert r.code == 4 and "--ca-file" in r.err and len(s.calls) == 0, (r.code, r.err, len(s.calls))
                assert set(Store(out).classes()) == {"tls"}, Store(out).classes()
    with check(f"{way}: a client's certificate is shown where it is asked for"):
        with Secure(fine, "here", client="client") as s:
            r = ask(SAMPLE, s.url, out_dir(), *trusted("here", "--client-cert", f"{CERTS}/client.pem", "--client-key", f"{CERTS}/client.key", *more))
            assert r.code == 0, (r.code, r.err)
            n = len(s.calls)
            r = ask(SAMPLE, s.url, out_dir(), *trusted("here", *more))
            assert r.code in (3, 4) and len(s.calls) == n, (r.code, r.err)
    with check(f"{way}: a server without TLS, and one that says nothing, end the run"):
        with Stub(fine) as s:
            r = ask(SAMPLE, s.url.replace("http:", "https:"), out_dir(), *trusted("here", *more))
            assert r.code == 4 and len(s.calls) == 0, (r.code, r.err)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
            r = ask(SAMPLE, url, out_dir(), *trusted("here", "--connect-timeout", "0.3", "--limit", "1", *more))
            assert r.code == 4 and r.seconds < 60, (r.code, r.err, r.seconds)


main("own sockets")
main("by libcurl", "--header", "TE: trailers")  # a header that leaves a call to libcurl
finish()
