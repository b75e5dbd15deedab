"""`influence train-ei` and `train-kto` as a person runs them, on the real model: small, but everything is done for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from influence.engines.digests import full_digest
from influence.engines.embedded import model_folder
from influence.training.rows import Row, read_rows

SECONDS = 600
SMALL = {
    "rollout.conversations": 12,
    "rollout.samples": 2,
    "rollout.turns": 2,
    "sampling.agent.max_tokens": 24,
    "sampling.user.max_tokens": 16,
    "training.heldout_states": 4,
    "training.heldout_samples": 1,
    "training.kl_replies": 2,
    "selection.within": '"all"',
    "selection.best": 0.25,
    "trainer.batch_size": 2,
    "trainer.device_batch_size": 2,
    "engine.kv_cache_gb": 1.0,
}


def influence(folder: Path, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    values = {**SMALL, **{name.replace("__", "."): value for name, value in settings.items()}}
    options = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "influence", *arguments, "--gpus", "none", *options]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)


@pytest.fixture(scope="module")
def ei(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of two iterations of expert iteration, and what it printed."""
    folder = tmp_path_factory.mktemp("training")
    done = influence(folder, "train-ei", "--iterations", "2", "--name", "ei", "--log-calls")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "runs" / "ei", done.stdout


@pytest.fixture(scope="module")
def kto(ei: tuple[Path, str]) -> tuple[Path, str]:
    """One iteration of KTO on the trajectories that expert iteration began with."""
    start = ei[0] / "iterations" / "001" / "trajectories.jsonl"
    done = influence(
        ei[0].parent.parent, "train-kto", "--iterations", "1", "--name", "kto", "--start-from", str(start), selection__worst=0.25
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return ei[0].parent / "kto", done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(run: Path, iteration: int) -> list[Row]:
    return list(read_rows(run / "iterations" / f"{iteration:03d}" / "dataset.jsonl"))


def agent_calls(run: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """What the engine was asked by the agent in training rollouts, by conversation and turn."""
    return {
        (call["session"], call["turn"]): call
        for call in lines(run / "calls.jsonl")
        if call["role"] == "agent" and "/i0/" not in call["session"]
    }


@pytest.mark.parametrize("iteration", [1, 2])
def test_what_is_trained_on_is_what_the_engine_sampled(ei: tuple[Path, str], iteration: int) -> None:
    calls, dataset = agent_calls(ei[0]), rows(ei[0], iteration)
    assert len(dataset) >= 3
    for row in dataset:
        sampled = [row.token_ids[start:end] for start, end in row.trained]
        assert sampled == [calls[row.trajectory, turn]["output_ids"] for turn in row.turns]
        last = calls[row.trajectory, row.turns[-1]]
        assert row.token_ids == last["prompt_ids"] + last["output_ids"]


def test_each_sampled_turn_is_trained_once(ei: tuple[Path, str]) -> None:
    turns = [(row.trajectory, turn) for row in rows(ei[0], 1) for turn in row.turns]
    assert len(turns) == len(set(turns))
    selected = {one["key"] for one in lines(ei[0] / "iterations/001/selection.jsonl") if one["verdict"] == "positive"}
    lengths = {t["key"]: len(t["turns"]) for t in lines(ei[0] / "iterations/001/trajectories.jsonl")}
    assert sorted(turns) == sorted((key, n) for key in selected for n in range(1, lengths[key] + 1))


def test_kto_is_given_the_sampled_tokens_too(ei: tuple[Path, str], kto: tuple[Path, str]) -> None:
    calls, dataset = agent_calls(ei[0]), rows(kto[0], 1)
    assert {row.label for row in dataset} == {True, False}
    for row in dataset:
        call = calls[row.trajectory, row.turns[0]]
        assert (row.prompt_ids, row.token_ids[len(row.prompt_ids) :]) == (call["prompt_ids"], call["output_ids"])


def test_the_agent_alone_wears_the_newest_adapter(ei: tuple[Path, str]) -> None:
    run = ei[0]
    for call in lines(run / "calls.jsonl"):
        iteration = int(call["session"].split("/i")[-1].split("/")[0])
        if call["role"] != "agent":
            assert call["adapter"] is None
        elif iteration:
            worn = None if iteration == 1 else f"runs/ei/iterations/{iteration - 1:03d}/adapter"
            assert call["adapter"] == worn
    heldout = [lines(run / f"iterations/{n:03d}/heldout.jsonl")[0]["models"]["agent"] for n in range(3)]
    assert heldout == ["embedded", *(f"embedded:runs/ei/iterations/{n:03d}/adapter" for n in (1, 2))]


def test_adapters_load_in_peft_and_change_the_model(ei: tuple[Path, str], kto: tuple[Path, str]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    for run in (ei[0], kto[0]):
        adapter = run / "iterations" / "001" / "adapter"
        assert {path.name for path in adapter.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
        assert not (adapter / "ref").exists()
        base = AutoModelForCausalLM.from_pretrained(str(model_folder()), dtype=torch.float32)
        ids = torch.tensor([rows(run, 1)[0].token_ids])
        with torch.inference_mode():
            before = base(ids).logits.clone()
            after = PeftModel.from_pretrained(base, str(adapter))(ids).logits
        assert (before - after).abs().max() > 1e-3


def test_training_goes_on_from_the_adapter_before(ei: tuple[Path, str]) -> None:
    """A new adapter begins with other random weights; one that is gone on with has moved a little."""
    from safetensors.torch import load_file
    from torch.nn.functional import cosine_similarity

    first, second = (load_file(ei[0] / f"iterations/{n:03d}/adapter/adapter_model.safetensors") for n in (1, 2))
    assert first.keys() == second.keys()
    alike = [cosine_similarity(first[n].flatten().float(), second[n].flatten().float(), 0) for n in first if "lora_A" in n]
    assert min(alike) > 0.99
    assert any((first[name] != second[name]).any() for name in first)


def test_digests_tie_data_and_adapters_together(ei: tuple[Path, str]) -> None:
    states = [json.loads((ei[0] / f"iterations/{n:03d}/iteration.json").read_text()) for n in range(3)]
    assert states[1]["agent"] == "embedded"
    assert states[2]["agent"] == states[1]["trained"] == full_digest(ei[0] / "iterations/001/adapter")
    assert states[2]["trained"] == full_digest(ei[0] / "iterations/002/adapter") != states[1]["trained"]


def test_the_trainer_tells_its_curve(ei: tuple[Path, str], kto: tuple[Path, str]) -> None:
    for run, wanted in ((ei[0], {"loss", "grad_norm", "tokens_per_second"}), (kto[0], {"loss", "kl", "margin", "grad_norm"})):
        steps = [line for line in lines(run / "iterations/001/trainer.jsonl") if "step" in line]
        assert [line["step"] for line in steps] == list(range(1, steps[0]["steps"] + 1))
        assert wanted <= {name for line in steps for name in line}
        facts = json.loads((run / "iterations/001/iteration.json").read_text())["facts"]
        assert facts["trainable_parameters"] > 0
        assert facts["rows"] + facts["rows_too_long"] + facts["rows_left_over"] == len(rows(run, 1))


def test_the_end_of_a_run_says_what_came_of_it(ei: tuple[Path, str]) -> None:
    run, printed = ei
    summary = json.loads((run / "summary.json").read_text())
    assert [one["iteration"] for one in summary["arms"][0]["iterations"]] == [0, 1, 2]
    assert summary["arms"][0]["iterations"][2]["heldout"]["kl_to_base"]["value"] is not None
    assert (run / "training.png").read_bytes().startswith(b"\x89PNG")
    said = " ".join(printed.split())
    assert "held-out reward" in said.lower()
    assert "Next: influence simulate --set models.agent=embedded:runs/ei/iterations/002/adapter" in said


def test_a_finished_run_is_not_trained_again(ei: tuple[Path, str]) -> None:
    again = influence(ei[0].parent.parent, "train-ei", "--iterations", "2", "--name", "ei", "--log-calls")
    assert again.returncode == 2
    assert "is finished and is never overwritten" in again.stderr
