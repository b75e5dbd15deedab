"""A local agent and a local user with hosted judges: the usual set-up, with its costs where they arise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from influence.engines.hosted.catalogue import Catalogue
from tests.loopback import Behaviour, serving

SECONDS = 420
JUDGE, SECOND_JUDGE = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"
CONFIG = f"""
command = "simulate"
[models]
judge = "{JUDGE}"
influence = "{SECOND_JUDGE}"
[judges]
samples = 3
[rollout]
conversations = 4
turns = 2
"""
LABELS = {"7": 0.4, "4": 0.3, "10": 0.1, "stay": 0.15}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the run left and what the server saw."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "mixed.toml").write_text(CONFIG)
    with serving(Behaviour(logprobs=LABELS)) as server:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": server.openai_url,
            "OPENAI_API_KEY": "sk-mixed-0123456789abcdef",
            "ANTHROPIC_BASE_URL": server.anthropic_url,
            "ANTHROPIC_API_KEY": "sk-ant-mixed-0123456789abcdef",
        }
        command = [
            sys.executable,
            "-m",
            "influence",
            "simulate",
            "mixed.toml",
            "--gpus",
            "none",
            "--name",
            "run",
            "--no-cache",
            "--json",
        ]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
        assert ended.returncode == 0, ended.stderr
        asked = len(server.requests)
    run = folder / "runs" / "run"
    return {
        "summary": json.loads(ended.stdout),
        "manifest": json.loads((run / "manifest.json").read_text()),
        "trajectories": [json.loads(line) for line in (run / "trajectories.jsonl").read_text().splitlines()],
        "asked": asked,
    }


def test_every_conversation_ends_with_scores_of_both_kinds_of_judge(mixed: dict[str, Any]) -> None:
    assert mixed["summary"]["whole"]["failed"] == 0
    assert len(mixed["trajectories"]) == 4
    for trajectory in mixed["trajectories"]:
        for turn in trajectory["turns"]:
            assert turn["preference"]["method"] == "logprobs"
            assert turn["influence"]["method"] == "samples"
            assert turn["influence"]["answers"] == 3
            assert turn["token_ids"]  # the agent is the local model


def test_costs_stand_with_the_roles_that_made_them(mixed: dict[str, Any]) -> None:
    usage, catalogue = mixed["summary"]["usage"], Catalogue()
    for role in ("agent", "user"):
        assert (usage[role]["model"], usage[role]["cost"], usage[role]["unpriced"]) == ("embedded", 0.0, 0)
        assert usage[role]["completion_tokens"] > 0
    for role, model in (("preference", JUDGE), ("transition", JUDGE), ("influence", SECOND_JUDGE)):
        prices, used = catalogue.prices(model), usage[role]
        assert prices is not None
        assert used["unpriced"] == 0
        expected = (used["prompt_tokens"] * prices.input + used["completion_tokens"] * prices.output) / 1e6
        assert used["cost"] == pytest.approx(expected, rel=1e-9)
        assert used["cost"] > 0
    by_model = mixed["summary"]["usage_by_model"]
    assert by_model[JUDGE]["cost"] == pytest.approx(usage["preference"]["cost"] + usage["transition"]["cost"])
    assert by_model["embedded"]["cost"] == 0


def test_the_records_the_summary_the_manifest_and_the_server_agree(mixed: dict[str, Any]) -> None:
    summary, attempt = mixed["summary"], mixed["manifest"]["attempts"][0]
    for role, used in summary["usage"].items():
        in_records = [t["usage"][role] for t in mixed["trajectories"] if role in t["usage"]]
        for number in ("calls", "prompt_tokens", "completion_tokens", "cost"):
            assert sum(record[number] for record in in_records) == pytest.approx(used[number])
            assert attempt["usage"][role][number] == pytest.approx(used[number])
    hosted_calls = sum(summary["usage"][role]["calls"] for role in ("preference", "transition", "influence"))
    assert hosted_calls == mixed["asked"] == sum(p["requests"] for p in summary["hosted"].values())
    assert attempt["spent"]["cost"] == pytest.approx(sum(used["cost"] for used in summary["usage"].values()))
    assert summary["spent"] == attempt["spent"]
    assert mixed["manifest"]["models"]["preference"]["prices"]["date"]
