"""The server as a process of its own, for benchmarks: prints {"url": …} when it listens and stops on SIGTERM.

python -m tests.loopback --port 0 --behaviour '{"latency": 0.2, "faults": {"rate_limited_wait": 0.05}}'
Its figures stand at GET /stats?slots=500.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable

from tests.loopback.behaviour import Behaviour, behaviour_from_json
from tests.loopback.protocol import Phase, Shared, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.loopback", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 is any that is free")
    parser.add_argument("--behaviour", default="{}", help="fields of Behaviour, as JSON")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes, too")
    options = parser.parse_args()
    try:
        behaviour = behaviour_from_json(options.behaviour)
    except ValueError as error:
        parser.error(str(error))
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(until_stopped(behaviour, options.port, options.with_parent))


async def until_stopped(behaviour: Behaviour, port: int, with_parent: bool) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    await serve(Shared(Phase(behaviour)), port, announce, stop)


def announce(port: int) -> None:
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
