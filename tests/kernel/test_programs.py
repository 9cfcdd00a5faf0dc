#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers and runtimes under load: attached to and detached from again and again.

No client may see an error, no probe may be left, and where a program counts
its memory itself, the profiler must agree. HEAPSONDE_CYCLES says how often;
programs that are neither installed nor fetched are skipped.
"""

import os
import socket
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import *           # noqa: E402,F403

CYCLES = int(os.environ.get("HEAPSONDE_CYCLES") or 5)


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Load:
    """Threads that ask a server over and over, and keep what went wrong."""

    def __init__(self, ask, threads=2):
        self.ask, self.errors, self.count, self.over = ask, [], 0, False
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.over:
            try:
                self.ask()
                self.count += 1
            except Exception as e:      # whatever a client would call an error
                self.errors.append(repr(e))

    def end(self):
        self.over = True
        for t in self.threads:
            t.join()
        check(not self.errors, f"{len(self.errors)} client errors, the first {self.errors[:1]}")
        check(self.count > 0, "no request was answered")


def get(port, path="/"):
    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            if answer.status != 200 or not answer.read():
                raise ValueError(answer.status)
    return ask


def cycles(pid, ask, options=(), seen=True):
    """Attaches and detaches under load; returns the report that saw most."""
    load = Load(ask)
    try:
        allocations, fullest = 0, None
        # On a busy machine few requests may fall into a short watch: then once for longer.
        for seconds in [0.2] * CYCLES + [4]:
            if seconds > 1 and (not seen or fullest.totals["alloc_count"] > 100):
                break
            out = heapsonde("report", "-p", pid, "-d", seconds, "--json", "--limit", "0",
                            "-q", *options)
            check_equal(f"status of report ({out.stderr.strip()[:200]})", out.returncode, 0)
            report = Report(json.loads(out.stdout))
            check_consistent(report)
            check_account(report.data["memory"])
            allocations += report.totals["alloc_count"]
            if not fullest or report.totals["alloc_count"] > fullest.totals["alloc_count"]:
                fullest = report
    finally:
        load.end()
    check(allocations > 0 or not seen, "no allocation was seen")
    wait_unprobed(pid)
    remark(f"{CYCLES} times under {load.count} requests, {allocations} allocations seen")
    return fullest


def check_ends(report):
    """Pools: next to nothing of what was allocated is live after some requests."""
    totals = report.totals
    check(totals["alloc_count"] > 100, f"{totals['alloc_count']} allocations only")
    check(totals["live_count"] < totals["alloc_count"] / 5,
          f"{totals['live_count']} of {totals['alloc_count']} blocks are live")


def serve(argv, port, **kwargs):
    server = spawn(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=open(scratch("server.err"), "w"), **kwargs)
    wait_until(f"{argv[0]} answers", lambda: answers(port) or server.poll() is not None,
               timeout=30)
    if server.poll() is not None:
        with open(scratch("server.err")) as f:
            raise Failure(f"{argv[0]} ended: {f.read().strip()[-200:]}")
    return server


def redis():
    port = free_port()
    server = serve([need("redis-server"), "--port", str(port), "--save", "", "--dir", scratch(),
                    "--enable-debug-command", "local"], port)
    cli = [need("redis-cli"), "-p", str(port)]

    def used():
        info = run([*cli, "info", "memory"]).stdout
        return int(re.search(r"^used_memory:(\d+)", info, re.M)[1])

    return server.pid, cli, used


@case(timeout=200)
def redis_under_load():
    pid, cli, _ = redis()

    def ask():
        out = subprocess.run([*cli, "eval", "for i = 1, 500 do redis.call('set', "
                              "'k' .. (i % 97), string.rep('x', i)) end return 'OK'", "0"],
                             stdout=subprocess.PIPE, timeout=30, check=True)
        if out.stdout.strip() != b"OK":
            raise ValueError(out.stdout)
    cycles(pid, ask)


@case(timeout=100)
def yrmcds_on_tcmalloc():
    """A server of memcached's protocol, linked with tcmalloc."""
    port, other = free_port(), free_port()
    with open(scratch("conf"), "w") as f:
        f.write(f"virtual_ip = 127.0.0.1\nport = {port}\nrepl_port = {other}\nworkers = 2\n"
                f"log.threshold = warning\ntemp_dir = \"{scratch()}\"\nbuckets = 10000\n"
                "max_connections = 100\nmemory_limit = 256M\n")
    server = serve([need("yrmcdsd"), "-f", scratch("conf")], port)
    out = json.loads(heapsonde("doctor", "-p", server.pid, "--json").stdout)
    check("tcmalloc" in [o["allocator"] for o in out["targets"][0]["objects"]], "no tcmalloc")

    def ask():
        with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
            stream = s.makefile("rwb")
            for i in range(200):
                value = b"x" * (i * 7 % 1000)
                stream.write(b"set k%d 0 0 %d\r\n%s\r\n" % (i % 97, len(value), value))
                stream.flush()
                if stream.readline() != b"STORED\r\n":
                    raise ValueError("another answer")
    cycles(server.pid, ask)


@case(timeout=100)
def redis_counts_the_same():
    """used_memory counts what jemalloc rounds sizes up to: at most a quarter more."""
    pid, cli, used = redis()
    run([*cli, "debug", "populate", "10", "warm", "10"])
    before = used()
    watch = Watch(pid)
    check_equal("answer", run([*cli, "debug", "populate", "20011", "key", "333"]).stdout.strip(),
                "OK")
    after = used()
    report = watch.finish()
    check_complete(report)
    live, grown = report.kind_totals("heap")["live_bytes"], after - before
    check(live > 20011 * 333, f"{live} live bytes")
    check(live <= grown <= live * 1.25, f"used_memory grew by {grown}, live_bytes is {live}")
    remark(f"used_memory grew by {grown}, live_bytes is {live}")


PYTHON_BLOCKS = """
import sys
def work():
    return [(i, str(i), [i]) for i in range(5003)]
kept = []
sys.stdout.write(f"ready {__import__('os').getpid()}\\n"); sys.stdout.flush()
sys.stdin.readline()
before = sys.getallocatedblocks()
kept.append(work())
after = sys.getallocatedblocks()
sys.stdout.write('{"sites":[], "blocks": %d}\\n' % (after - before)); sys.stdout.flush()
sys.stdin.readline()
"""


@case()
def python_objects():
    """sys.getallocatedblocks() counts what lives in Python's own allocator."""
    w = Workload("python3", argv=[need("python3"), "-c", PYTHON_BLOCKS])
    watch = Watch(w.pid, "--allocator", "cpython")
    blocks = w.work()["blocks"]
    report = watch.finish()
    check_complete(report)
    live = report.kind_totals("heap")["live_count"]
    check(blocks > 10000, f"Python counts {blocks} blocks")
    remark(f"Python counts {blocks} more blocks, {live} are live")
    if abs(live - blocks) > blocks / 50:
        raise Failure(f"Python counts {blocks} more blocks, {live} are live")


@case(timeout=100)
def python_server():
    port = free_port()
    server = serve([need("python3"), "-m", "http.server", "--bind", "127.0.0.1", str(port)],
                   port, cwd="/etc/alternatives")
    cycles(server.pid, get(port))


@case(timeout=100)
def node_server():
    port = free_port()
    server = serve([need("node"), "-e", "require('http').createServer((q, a) => a.end("
                    f"JSON.stringify(process.memoryUsage()))).listen({port}, '127.0.0.1')"], port)
    cycles(server.pid, get(port))


JAVA = """
import com.sun.net.httpserver.*;
class Server {
    public static void main(String[] args) throws Exception {
        var address = new java.net.InetSocketAddress("127.0.0.1", Integer.parseInt(args[0]));
        var server = HttpServer.create(address, 0);
        server.createContext("/", exchange -> {
            byte[] body = String.join(",", System.getProperties().stringPropertyNames()).getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }
}
"""


@case(timeout=150)
def java_server():
    port = free_port()
    with open(scratch("Server.java"), "w") as f:
        f.write(JAVA)
    java = need("java")
    if run([java, "--list-modules"]).stdout.find("jdk.compiler") < 0:
        raise Skip("this java cannot run a source file")
    server = serve([java, "-Xmx64m", scratch("Server.java"), str(port)], port)
    cycles(server.pid, get(port))


@case(timeout=100)
def nginx_worker():
    port = free_port()
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        os.mkdir(scratch(name))
    with open(scratch("index.html"), "w") as f:
        f.write("<p>hello\n")
    temporary = "".join(f"{k}_temp_path {scratch(v)};" for k, v in
                        {"client_body": "body", "proxy": "proxy", "fastcgi": "fastcgi",
                         "uwsgi": "uwsgi", "scgi": "scgi"}.items())
    with open(scratch("nginx.conf"), "w") as f:
        f.write(f"daemon off; master_process off; pid {scratch('pid')}; events {{}}\n"
                f"error_log {scratch('error.log')};\n"
                f"http {{ access_log off; {temporary}\n"
                f"  server {{ listen 127.0.0.1:{port}; root {scratch()}; }} }}\n")
    server = serve([need("nginx"), "-c", scratch("nginx.conf"), "-e", scratch("error.log")], port)
    cycles(server.pid, get(port, "/index.html"))


@case(timeout=100)
def apache_worker():
    port = free_port()
    apache = need("apache2")
    modules = glob_modules()
    with open(scratch("index.html"), "w") as f:
        f.write("<p>hello\n")
    with open(scratch("apache.conf"), "w") as f:
        f.write(f"ServerName localhost\nListen 127.0.0.1:{port}\nPidFile {scratch('pid')}\n"
                f"DefaultRuntimeDir {scratch()}\nErrorLog {scratch('error.log')}\n"
                f"LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n"
                f"LoadModule authz_core_module {modules}/mod_authz_core.so\n"
                f"LoadModule dir_module {modules}/mod_dir.so\n"
                f"Mutex pthread\nDocumentRoot {scratch()}\n")
    server = serve([apache, "-X", "-d", scratch(), "-f", scratch("apache.conf")], port)
    # What a request takes from its pool ends with it; malloc sees none of that.
    report = cycles(server.pid, get(port, "/index.html"), ["--allocator", "apr"])
    check_ends(report)


def glob_modules():
    import glob
    found = glob.glob(os.path.join(BUILD, "targets/*/usr/lib/apache2/modules")) + \
        glob.glob("/usr/lib/apache2/modules")
    if not found:
        raise Skip("apache's modules are not there")
    return found[0]


@case(timeout=150)
def postgres_backend():
    """One backend, in the midst of queries; the client is psql."""
    initdb = shutil.which("initdb") or next(iter(sorted(
        p for p in ("/usr/lib/postgresql/%d/bin/initdb" % v for v in range(13, 20))
        if os.path.exists(p))), None)
    if not initdb:
        raise Skip("postgres is not installed")
    bin_dir, port = os.path.dirname(os.path.realpath(initdb)), free_port()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    os.chmod(scratch(), 0o777)
    out = run([*nobody, initdb, "-D", scratch("db"), "-A", "trust", "-U", "me", "-E", "UTF8",
               "--locale=C", "--no-sync"], cwd="/")
    check_equal(f"status of initdb ({out.stderr.strip()[:200]})", out.returncode, 0)
    serve([*nobody, f"{bin_dir}/postgres", "-D", scratch("db"), "-p", str(port), "-k", "/tmp",
           "-h", "127.0.0.1"], port, cwd="/")
    client = [need("psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "me", "-d", "postgres",
              "-qAt", "-v", "ON_ERROR_STOP=1"]
    # It listens before it takes anybody in.
    wait_until("postgres takes queries",
               lambda: run([*client, "-c", "select 1"]).stdout == "1\n", timeout=30)
    psql = spawn(client, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    lock = threading.Lock()

    def query(sql):
        with lock:
            psql.stdin.write(sql.encode() + b";\n")
            psql.stdin.flush()
            return psql.stdout.readline().decode().strip()

    # A query holds its rows to its end, and the watch may end in its midst: few rows.
    def ask():
        if query("select count(*) from (select string_agg(i::text, ',') from "
                 "generate_series(1, 300) i group by i % 97) t") != "97":
            raise ValueError("another answer")
    report = cycles(int(query("select pg_backend_pid()")), ask, ["--allocator", "postgresql"])
    check_ends(report)


if __name__ == "__main__":
    main()
