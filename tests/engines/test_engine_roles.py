"""From model names to engines: roles that name one base model share it, adapter or not."""

from __future__ import annotations

import asyncio

import pytest

from influence.config.sections import EngineSection
from influence.engines import opening
from influence.engines.devices import Gpu
from influence.engines.opening import Engines
from influence.engines.scripted import ScriptedEngine
from influence.engines.vllm import VllmEngine
from influence.errors import ConfigError, EngineError

ON_CPU = EngineSection(gpus=[])


@pytest.fixture
def script(tmp_path):
    def write(name: str) -> str:
        path = tmp_path / f"{name}.toml"
        path.write_text("[[replies]]\ntexts = ['hello']\n")
        return f"scripted/{path}"

    return write


def test_roles_that_name_one_model_share_one_engine(script):
    one, other = script("one"), script("other")
    roles = Engines({"agent": one, "user": one, "preference": other}, ON_CPU).roles
    assert roles["agent"].engine is roles["user"].engine
    assert roles["agent"].engine is not roles["preference"].engine
    assert [role.name for role in roles.values()] == [one, one, other]


def test_adapters_belong_to_roles_and_not_to_engines():
    """The agent's adapter and the base weights of the others live on the same replicas."""
    engines = Engines({"agent": "vllm/org/model:/adapters/3", "user": "vllm/org/model", "judge": "vllm/org/other"}, ON_CPU)
    agent, user, judge = (engines.roles[role] for role in ("agent", "user", "judge"))
    assert agent.engine is user.engine
    assert isinstance(agent.engine, VllmEngine)
    assert (agent.adapter, user.adapter, judge.adapter) == ("/adapters/3", None, None)
    assert agent.engine.model == "org/model"
    assert agent.engine.settings.adapters
    assert isinstance(judge.engine, VllmEngine)
    assert not judge.engine.settings.adapters


def test_embedded_is_one_model_with_and_without_an_adapter(monkeypatch, tmp_path):
    monkeypatch.setattr(opening, "model_folder", lambda: tmp_path)
    engines = Engines({"agent": "embedded:/adapters/3", "user": "embedded"}, ON_CPU)
    assert engines.roles["agent"].engine is engines.roles["user"].engine
    assert engines.roles["agent"].adapter == "/adapters/3"
    assert engines.roles["user"].engine.model == str(tmp_path)


def test_the_section_reaches_the_engine(monkeypatch):
    monkeypatch.setattr(opening, "usable_cores", lambda: [0, 1, 2, 3])
    section = EngineSection(
        gpus=[], replicas=2, max_model_len=1024, max_num_seqs=9, kv_cache_gb=1.5, dtype="float32", max_loras=4
    )
    engine = Engines({"agent": "vllm/org/model"}, section).roles["agent"].engine
    assert isinstance(engine, VllmEngine)
    settings = engine.settings
    assert (settings.max_model_len, settings.max_num_seqs, settings.kv_cache_gb) == (1024, 9, 1.5)
    assert (settings.dtype, settings.max_loras) == ("float32", 4)
    assert [placement.device for placement in engine.placements] == ["cpu", "cpu"]


def test_devices_that_are_not_there_are_an_error(monkeypatch):
    monkeypatch.setattr(opening, "visible_gpus", lambda: [])
    with pytest.raises(ConfigError, match="GPU 0 is not there"):
        Engines({"agent": "vllm/org/model"}, EngineSection(gpus=[0]))


class Recorded(ScriptedEngine):
    """A scripted model that notes when it is opened and closed."""

    events: list[str] = []

    async def open(self) -> None:
        self.events.append(f"open {self.name}")
        if "broken" in self.name:
            raise EngineError("it does not start")

    async def close(self) -> None:
        self.events.append(f"close {self.name}")


@pytest.fixture
def events(monkeypatch):
    monkeypatch.setattr(opening, "ScriptedEngine", Recorded)
    monkeypatch.setattr(Recorded, "events", [])
    return Recorded.events


def test_each_engine_is_opened_and_closed_once(script, events):
    async def use() -> None:
        async with Engines({"agent": script("one"), "user": script("one"), "judge": script("other")}, ON_CPU):
            assert [event.split()[0] for event in events] == ["open", "open"]

    asyncio.run(use())
    assert sorted(event.split()[0] for event in events) == ["close", "close", "open", "open"]
    assert len(set(events)) == 4


def test_when_one_does_not_start_all_are_closed(script, events):
    async def use() -> None:
        async with Engines({"agent": script("one"), "user": script("broken")}, ON_CPU):
            raise AssertionError("not reached")

    with pytest.raises(EngineError, match="it does not start"):
        asyncio.run(use())
    assert sum(event.startswith("close") for event in events) == 2


def test_room_and_description(script):
    engines = Engines({"agent": script("one"), "user": script("one")}, ON_CPU)
    assert engines.conversations_at_once(500) == 256
    described = engines.describe()
    assert described.keys() == {"agent", "user"}
    assert described["agent"]["engine"] == "scripted"
    assert len(described["agent"]["digest"]) == 64


FOUR_GPUS = [Gpu(number, "H100", 80) for number in range(4)]


def test_the_agent_may_have_gpus_of_its_own(monkeypatch):
    """For models too large to share: the agent's replicas on some GPUs, everybody else's on the rest."""
    monkeypatch.setattr(opening, "visible_gpus", lambda: FOUR_GPUS)
    section = EngineSection(gpus=[0, 1, 2, 3], agent_gpus=[3], gpu_memory_utilization=0.8)
    roles = Engines({"agent": "vllm/org/model", "user": "vllm/org/model"}, section, learner="agent").roles
    agent, user = roles["agent"].engine, roles["user"].engine
    assert [placement.label for placement in agent.placements] == ["GPU 3"]
    assert [placement.label for placement in user.placements] == ["GPU 0", "GPU 1", "GPU 2"]
    assert (agent.settings.adapters, user.settings.adapters) == (True, False)
    assert agent.settings.gpu_memory_utilization == user.settings.gpu_memory_utilization == 0.8  # neither shares its GPUs


@pytest.mark.parametrize(
    ("gpus", "own", "words"),
    [
        ([0, 1], [2], "engine.agent_gpus: 2 is not among what the engine may use"),
        ([0, 1], [0, 1], "must leave GPUs for user and judges"),
        ([0, 1], [], "have one for the agent"),
        ([], [0], "no GPU"),
    ],
)
def test_gpus_of_its_own_must_be_there_and_leave_some(monkeypatch, gpus, own, words):
    monkeypatch.setattr(opening, "visible_gpus", lambda: FOUR_GPUS)
    with pytest.raises(ConfigError, match=words):
        Engines({"agent": "vllm/org/model", "user": "vllm/org/model"}, EngineSection(gpus=gpus, agent_gpus=own))


def test_the_role_that_learns_gets_room_for_adapters():
    roles = Engines({"agent": "vllm/org/model", "judge": "vllm/org/other"}, ON_CPU, learner="agent").roles
    assert roles["agent"].engine.settings.adapters
    assert not roles["judge"].engine.settings.adapters
