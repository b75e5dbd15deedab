"""A server on 127.0.0.1 that speaks OpenAI's and Anthropic's chat APIs and misbehaves on a seeded schedule.

Tests of hosted engines ask it instead of the providers: it refuses what they refuse, in their own words, fails as they fail,
when it was told to, and remembers who asked what and when.

    with serving(Behaviour(first=[Fault.RATE_LIMITED], reply="fine")) as server:
        client = AsyncOpenAI(base_url=server.openai_url, api_key="any")
"""

from tests.loopback.behaviour import Behaviour, Fault
from tests.loopback.record import Record, Seen
from tests.loopback.serving import Served, Server, serving, serving_in_process

__all__ = ["Behaviour", "Fault", "Record", "Seen", "Served", "Server", "serving", "serving_in_process"]
