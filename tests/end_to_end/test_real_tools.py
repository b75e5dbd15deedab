"""Episodes with emulated tools on the embedded model: clumsy as it is, every answer fits its tool, every end is a defined one."""

from __future__ import annotations

import asyncio
import json

import jsonschema
import pytest

from influence.chat import Message
from influence.config.commands import EmulateToolsConfig
from influence.config.layers import file_layers, resolve, set_layer
from influence.engines.base import Call, Completion, Finish, Sampling
from influence.refinement.preparing import Tooling, prepare
from influence.tools.answers import answer_schema
from influence.tools.episode import attempt
from influence.tools.loading import load_toolkit
from influence.tools.records import CallOutcome, EpisodeEnd, EpisodeRecord
from influence.tools.schema import object_schema


@pytest.fixture(scope="module")
def tooling() -> Tooling:
    sets = ("tools.cases=['everyday', 'bank']", "tools.most=8", "tools.steps=3", "errors.rounds=[1]")
    return prepare(resolve(EmulateToolsConfig, [*file_layers("emulate-tools"), *map(set_layer, sets)]))


@pytest.fixture(scope="module")
def episodes(real, tooling) -> list[EpisodeRecord]:
    roles = {"agent": real.engines.roles["agent"], "emulator": real.engines.roles["user"]}

    async def all_of_them() -> list[EpisodeRecord]:
        held = (attempt(plan, tooling.rules, roles, lambda role, usage: None) for plan in tooling.planned)
        return await asyncio.gather(*held)

    return real.run(all_of_them())


def test_every_episode_comes_to_a_defined_end_within_its_bounds(tooling, episodes):
    assert len(episodes) == 8
    for episode in episodes:
        assert episode.end in set(EpisodeEnd)
        assert episode.end != EpisodeEnd.AGENT_FAILED, episode.error
        assert len(episode.steps) <= 3
        assert episode.usage["agent"].calls <= 3 * tooling.config.tools.agent_tries
        assert EpisodeRecord.model_validate_json(episode.model_dump_json()) == episode


def test_what_a_tool_is_said_to_return_is_what_it_declares(tooling, episodes):
    specs = {name: tool for one in tooling.assignments for name, (_, tool) in one.tools.items()}
    for episode in episodes:
        for call in episode.calls:
            if call.outcome == CallOutcome.RETURNED:
                jsonschema.validate(json.loads(call.answer), object_schema(specs[call.tool].returns))
            if call.outcome == CallOutcome.EXCEPTION:
                assert call.exception in {fault.name for fault in specs[call.tool].exceptions}


def test_the_engine_holds_an_emulator_to_the_tools_schema(real):
    """Whatever the model would have said: where its answer is not cut off, it fits."""
    kit = load_toolkit("home")
    tools = [(tool, answer_schema(tool, "state", {"home": kit.file.state})) for tool in kit.file.tools]
    smallest = sorted(tools, key=lambda pair: len(json.dumps(pair[1])))[:5]

    async def all_of_them() -> list[Completion]:
        asked = []
        for tool, schema in smallest:
            prompt = [Message("user", f"You are the tool {tool.name}. {tool.description} Answer a call in JSON.")]
            sampling = Sampling(600, temperature=0.3, json_schema=json.dumps(schema))
            asked.append(real.engine.generate(prompt, sampling, Call("emulator", tool.name, 1)))
        return await asyncio.gather(*asked)

    said = real.run(all_of_them())
    whole = [(one, schema) for one, (_, schema) in zip(said, smallest, strict=True) if one.finish == Finish.STOP]
    assert whole
    for one, schema in whole:
        jsonschema.validate(json.loads(one.text), schema)
