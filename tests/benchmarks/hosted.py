"""Hosted models: is our loop the bottleneck, and does a run survive a bad day?

Throughput: a server with 200 ms latency and 500 places; the real command against a bare aiohttp client that sends the
command's own requests as fast as it can. The storm: 2,000 conversations while a fifth of all requests fail in mixed ways.
The server is a process of its own, whose counts are the ones reported.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.overhead import memory_while
from tests.loopback import Behaviour, Fault, serving_in_process

SLOTS, LATENCY = 500, 0.2
REQUESTS = 40_000
LABELS = {"1": 0.1, "2": 0.1, "7": 0.3, "10": 0.1, "0": 0.1, "stay": 0.2, "leave": 0.1}
STORM = {
    Fault.RATE_LIMITED: 0.02,
    Fault.RATE_LIMITED_WAIT: 0.02,
    Fault.SERVER_ERROR: 0.02,
    Fault.BAD_GATEWAY: 0.02,
    Fault.OVERLOADED: 0.02,
    Fault.RESET: 0.02,
    Fault.STALLED: 0.005,
    Fault.TRICKLE: 0.005,
    Fault.TRUNCATED: 0.02,
    Fault.EMPTY_CHOICES: 0.01,
    Fault.WRONG_SHAPE: 0.01,
    Fault.LENGTH: 0.01,
    Fault.CONTENT_FILTER: 0.005,
    Fault.NO_LABEL: 0.01,
    Fault.CONTEXT_TOO_LONG: 0.005,
}
STORM_REQUESTS_A_MINUTE = 30_000


def hosted(runs: int) -> list[tuple[str, str]]:
    """All figures, medians over the runs."""
    ours, bare = list[tuple[float, float]](), list[tuple[float, float]]()
    for _ in range(runs):
        ours.append(throughput())
        bare.append(bare_client(bodies()))
        words = [f"{rate:.0f} requests/s, {share:.0%} of the places busy" for rate, share in (ours[-1], bare[-1])]
        print(f"hosted: {words[0]}; bare client: {words[1]}", flush=True)
    (rate, share), (bare_rate, bare_share) = ([median(column) for column in zip(*rows, strict=True)] for rows in (ours, bare))
    return [
        (
            f"places busy, server of {LATENCY * 1000:.0f} ms and {SLOTS} places",
            f"{share:.0%}; by a bare aiohttp client {bare_share:.0%}",
        ),
        ("requests/s of `simulate` there, of the bare client", f"{rate:.0f}, {bare_rate:.0f}: {rate / bare_rate:.0%}"),
        *storm(),
    ]


def throughput() -> tuple[float, float]:
    """Requests a second, and the share of places busy over the middle half of the run, as the server counts them."""
    with serving_in_process(Behaviour(latency=LATENCY, logprobs=LABELS)) as server, tempfile.TemporaryDirectory() as folder:
        command = simulate(folder, REQUESTS // 8, "--set", f"hosted.concurrency={SLOTS}")
        done = subprocess.run(command, env=environment(server.openai_url), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        stats = server.stats(SLOTS)
    return stats["requests"] / stats["seconds"], stats["busy"]


def bodies() -> list[bytes]:
    """What the command sends."""
    with serving_in_process(Behaviour(logprobs=LABELS)) as server, tempfile.TemporaryDirectory() as folder:
        subprocess.run(simulate(folder, 100, "--log-calls"), env=environment(server.openai_url), check=True, capture_output=True)
        lines = (Path(folder) / "run" / "calls.jsonl").read_text().splitlines()
    return [json.dumps(json.loads(line)["request"]).encode() for line in lines]


def bare_client(requests: list[bytes]) -> tuple[float, float]:
    """The same two figures for as little code as possible."""
    with serving_in_process(Behaviour(latency=LATENCY, logprobs=LABELS)) as server:
        asyncio.run(send_all(f"{server.openai_url}/chat/completions", requests))
        stats = server.stats(SLOTS)
    return stats["requests"] / stats["seconds"], stats["busy"]


async def send_all(url: str, requests: list[bytes]) -> None:
    import aiohttp

    waiting = islice(cycle(requests), REQUESTS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for body in waiting:
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    json.loads(await response.read())

        await asyncio.gather(*(worker() for _ in range(SLOTS)))


def storm() -> list[tuple[str, str]]:
    """2,000 conversations with a fifth of the requests failing: nothing lost, nothing twice, no limit broken, no memory eaten."""
    behaviour = Behaviour(logprobs=LABELS, faults=STORM, latency=0.01, seed=3)
    with serving_in_process(behaviour) as server, tempfile.TemporaryDirectory() as folder:
        settings = ["hosted.timeout=1.0", "hosted.backoff=0.05", "rollout.max_failed=0.5", "rollout.in_flight=200"]
        settings.append(f"hosted.requests_per_minute={STORM_REQUESTS_A_MINUTE}")
        command = simulate(folder, 2000, *(part for setting in settings for part in ("--set", setting)))
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment(server.openai_url), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        memory = memory_while(process, Path(folder) / "run" / "trajectories.jsonl")
        seconds = time.perf_counter() - started
        assert process.returncode == 0, process.stderr and process.stderr.read()
        stats = server.stats(SLOTS)
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
        lines = (Path(folder) / "run" / "trajectories.jsonl").read_text().splitlines()
    keys = Counter(json.loads(line)["key"] for line in lines)
    assert len(keys) == 2000, len(keys)
    assert set(keys.values()) == {1}
    ours = summary["hosted"]["openai-api/local"]
    assert ours["requests"] == stats["requests"], (ours, stats)
    assert ours["faults"] == faults_seen(stats["by_fault"]), (ours["faults"], stats["by_fault"])
    assert stats["most_in_any_minute"] <= STORM_REQUESTS_A_MINUTE
    early, late = memory[len(memory) // 10], memory[len(memory) * 9 // 10]  # summing up at the end loads SciPy
    whole = summary["whole"]
    return [
        (
            f"{len(keys):,} conversations, {sum(STORM.values()):.0%} of {stats['requests']:,} requests going wrong",
            f"all ended in {seconds:.0f} s, {whole['failed']} failed, {sum(ours['given_up'].values())} requests given up",
        ),
        (f"most requests in any minute (limit {STORM_REQUESTS_A_MINUTE:,})", f"{stats['most_in_any_minute']:,}"),
        ("memory there, after a tenth and after nine tenths of the time", f"{early / 2**20:.0f} MB, {late / 2**20:.0f} MB"),
    ]


KINDS = {
    Fault.RATE_LIMITED: "rate_limited",
    Fault.RATE_LIMITED_WAIT: "rate_limited",
    Fault.SERVER_ERROR: "server_error",
    Fault.BAD_GATEWAY: "server_error",
    Fault.OVERLOADED: "overloaded",
    Fault.RESET: "connection",
    Fault.STALLED: "timed_out",
    Fault.TRICKLE: "timed_out",
    Fault.TRUNCATED: "malformed",
    Fault.EMPTY_CHOICES: "malformed",
    Fault.WRONG_SHAPE: "malformed",
    Fault.CONTEXT_TOO_LONG: "context_too_long",
}


def faults_seen(by_fault: dict[str, int]) -> dict[str, int]:
    """The server's faults under our names for them; what is an answer (cut, withheld, beside the point) is no fault."""
    seen: Counter[str] = Counter()
    for name, count in by_fault.items():
        if name in KINDS:
            seen[KINDS[Fault(name)]] += count
    return dict(sorted(seen.items()))


def simulate(folder: str, conversations: int, *more: str) -> list[str]:
    command = [sys.executable, "-m", "influence", "simulate", "--model", "openai-api/local/m", "--env", "therapy-talk"]
    command += ["--conversations", str(conversations), "--turns", "3", "--no-cache", "--out", folder, "--name", "run", *more]
    return command


def environment(url: str) -> dict[str, Any]:
    return {**os.environ, "LOCAL_BASE_URL": url, "LOCAL_API_KEY": "sk-benchmark-0123456789"}
