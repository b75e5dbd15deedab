"""How well real conversations share their prefixes, measured through the engine's own cached-token counts."""

from __future__ import annotations

from itertools import pairwise

from influence.config.commands import SimulateConfig
from influence.config.layers import Layer, resolve
from influence.engines.sharing import PrefixTree
from influence.rollouts.conversation import converse
from influence.rollouts.progress import Progress
from influence.rollouts.records import TrajectoryRecord
from influence.rollouts.scheduler import run_all
from influence.rollouts.simulation import prepare
from tests.conftest import RealEngine

JUDGES = ("preference", "transition", "influence")


def hold(real: RealEngine, conversations: int) -> list[TrajectoryRecord]:
    data = {"rollout": {"conversations": conversations}, "judges": {"transition": {"method": "likeliest"}}}
    work = prepare(resolve(SimulateConfig, [Layer("test", data)]))
    done: list[TrajectoryRecord] = []
    real.forget()

    async def all_of_them() -> None:
        roles, rules, progress = real.engines.roles, work.rules, Progress(conversations)
        await run_all(work.planned, lambda p: converse(p, work.environment, roles, rules, progress), done.append, 64)

    real.run(all_of_them())
    return done


def test_three_judges_cost_less_than_one_and_a_half(real: RealEngine) -> None:
    trajectories = hold(real, 8)
    assert all(not t.failed for t in trajectories)
    costs: dict[tuple[str, int], list[int]] = {}
    for call in real.calls:
        if call.call.role in JUDGES:
            costs.setdefault((call.call.session, call.call.turn), []).append(len(call.prompt_ids) - call.cached_tokens)
    assert sum(len(t.turns) for t in trajectories) == len(costs)
    assert all(len(three) == 3 for three in costs.values())
    assert sum(map(sum, costs.values())) < 1.5 * sum(map(max, costs.values()))


def test_prompts_are_computed_about_once(real: RealEngine) -> None:
    hold(real, 8)
    tree = PrefixTree()
    for call in real.calls:
        tree.add(call.prompt_ids, call.output_ids, call.cached_tokens, call.adapter)
    assert tree.ratio is not None
    assert 1.0 <= tree.ratio < 1.25  # `make bench` measures 128 conversations; a handful shares a little less


def test_agent_and_user_prompts_only_grow_at_their_end(real: RealEngine) -> None:
    hold(real, 4)
    for role in ("agent", "user"):
        talks: dict[str, list[tuple[int, list[int]]]] = {}
        for call in real.calls:
            if call.call.role == role:
                talks.setdefault(call.call.session, []).append((call.call.turn, [*call.prompt_ids]))
        grown = 0
        for prompts in talks.values():
            ordered = [prompt for _, prompt in sorted(prompts)]
            for earlier, later in pairwise(ordered):
                assert later[: len(earlier)] == earlier
                grown += 1
        assert grown > 0
