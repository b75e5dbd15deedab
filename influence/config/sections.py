"""The sections of a configuration. Every key is here, with its default and what it means; nothing else is accepted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from influence.config.model_names import ModelText
from influence.config.places import Strict, matching

Perspective = Literal["third_person", "first_person"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, matching(r"[a-z0-9][a-z0-9_-]*", 64, "lower-case letters, digits, `-` and `_`")]
RunName = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", 100, "letters, digits, `.`, `-` and `_`, first a letter or digit")
]


def _sum_to_one(shares: dict[str, float]) -> dict[str, float]:
    if shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the shares sum to {sum(shares.values()):g}, not to 1.")
    return shares


class EnvironmentSection(Strict):
    """[environment]: which world, and whom the agent meets there."""

    name: str = "therapy-talk"  # a folder in envs/, or a path
    scenarios: list[str] = []  # empty: all of them
    kinds: Annotated[
        dict[Name, Fraction], AfterValidator(_sum_to_one)
    ] = {}  # share of each kind of user; empty: as many initial states of each as there are
    split: Literal["train", "heldout", "all"] = "all"


class ModelsSection(Strict):
    """[models]: who speaks for each role. `judge` stands for every judge that is not named itself."""

    agent: ModelText = "embedded"
    user: ModelText = "embedded"
    judge: ModelText = "embedded"
    preference: ModelText | None = None
    transition: ModelText | None = None
    influence: ModelText | None = None

    def by_role(self) -> dict[str, str]:
        """Every role with its model."""
        judges = {role: getattr(self, role) or self.judge for role in ("preference", "transition", "influence")}
        return {"agent": self.agent, "user": self.user, **judges}


class SamplingSection(Strict):
    """[sampling.agent], [sampling.user]: how replies are drawn. Neither touches the judges, which read probabilities."""

    temperature: Annotated[float, Field(ge=0, le=5)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0  # 0: off
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_tokens: Positive = 80


class RolesSampling(Strict):
    """[sampling]"""

    agent: SamplingSection = SamplingSection(max_tokens=160)
    user: SamplingSection = SamplingSection(max_tokens=96)


class PreferenceSection(Strict):
    """[judges.preference]"""

    perspective: Perspective = "third_person"
    scope: Literal["turn", "conversation"] = "turn"  # rate every reply, or the whole conversation once
    question: Annotated[str, Field(min_length=1)] | None = None  # another question, answered 1..10; none: the environment's own


class TransitionSection(Strict):
    """[judges.transition]"""

    perspective: Perspective = "third_person"
    method: Literal["sampled", "likeliest", "logistic"] = "sampled"


class InfluenceSection(Strict):
    """[judges.influence]"""

    enabled: bool = True
    perspective: Perspective = "third_person"
    variant: Literal["plain", "five_point", "principles"] = "plain"


class JudgesSection(Strict):
    """[judges]: how scores are asked for. A score whose labels hold less than `label_mass_floor` is missing, never 0."""

    preference: PreferenceSection = PreferenceSection()
    transition: TransitionSection = TransitionSection()
    influence: InfluenceSection = InfluenceSection()
    # auto: log-probabilities where the engine has them, samples where not. stated: one answer, taken at its word.
    method: Literal["auto", "logprobs", "samples", "stated"] = "auto"
    samples: Annotated[int, Field(ge=1, le=100)] = 5  # answers drawn where there are no log-probabilities
    label_mass_floor: Fraction = 0.01
    hidden_ceiling: Fraction = 0.05  # where a server shows the likeliest labels only: the largest share of the others
    prefill: str = "Answer:"  # what an answer is made to begin with where log-probabilities are read; small models need it
    see_tool_calls: bool = True


class RolloutSection(Strict):
    """[rollout]: how many conversations, from which initial states, and when they end."""

    conversations: Positive = 32
    samples: Positive = 1  # conversations from each initial state
    states: Literal["sequential", "random", "fixed"] = "sequential"
    iteration: Annotated[int, Field(ge=0)] = 0  # moves the window of `sequential`, reshuffles `random`
    turns: Positive | None = None  # none: what the environment says
    token_limit: Positive | None = None  # a conversation's tokens in all roles' own words; none: no limit but the context
    in_flight: Positive | None = None  # conversations alive at once; none: as many as the engines have room for
    max_failed: Fraction = 0.1  # a run with a larger share of failed conversations ends with exit code 1


class RewardSection(Strict):
    """[reward]: from a conversation's ratings to one number."""

    over: Literal["mean", "last"] = "mean"
    length_penalty: Annotated[float, Field(ge=0)] = 0.0  # rating points for each 1,000 characters of the agent's own text


class EngineSection(Strict):
    """[engine]: local models on vLLM. What is none is chosen from what the machine has."""

    gpus: list[Annotated[int, Field(ge=0)]] | None = None  # device numbers; none: all there are; empty: the CPU
    agent_gpus: list[Annotated[int, Field(ge=0)]] | None = None  # some of them for the agent alone, the rest for everybody else
    tensor_parallel: Positive = 1
    replicas: Positive | None = None
    max_model_len: Positive = 4096
    max_num_seqs: Positive | None = None
    block_size: Literal[16, 32, 64, 128] | None = None
    kv_cache_gb: Annotated[float, Field(gt=0)] | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: str | None = None
    compile: bool = False  # compiled graphs: a little faster, a slower start
    tool_parser: str | None = (
        None  # vLLM's parser for the agent's native tool calls (hermes, llama3_json, …); none: none are read
    )
    max_loras: Positive = 2
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = 16


class LimitsSection(Strict):
    """[hosted.providers.<name>]: what one provider allows (`openai`, `anthropic`, or the name in openai-api/<name>/…)."""

    concurrency: Positive | None = None  # none, here and below: what [hosted] says
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None


class HostedSection(Strict):
    """[hosted]: how hosted models are asked. Limits are for each provider, over all its models and roles."""

    concurrency: Positive = 64  # requests under way at once
    requests_per_minute: Positive | None = None  # none: no limit
    tokens_per_minute: Positive | None = None  # prompt and answer together; none: no limit
    providers: dict[Name, LimitsSection] = {}
    attempts: Annotated[int, Field(ge=1, le=20)] = 6  # for each request, before it is given up
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120.0  # seconds for one attempt
    backoff: Annotated[float, Field(gt=0, le=60)] = 0.5  # seconds before the second attempt; doubled before each further one
    cache: bool = True  # answers that were paid for once are kept for every run
    catalogue: str | None = None  # a file of your own with prices and traits of models, read before the shipped one


class BudgetSection(Strict):
    """[budget]: what a run may spend on hosted models, over all its attempts. None: no limit."""

    max_cost: Annotated[float, Field(gt=0)] | None = None  # US dollars
    max_tokens: Positive | None = None  # prompt and answer tokens together


class TrackingSection(Strict):
    """[tracking]: `metrics.jsonl` is always written; this is what else."""

    wandb: Literal["off", "offline", "online"] = "off"
    project: str = "influence"
    log_calls: bool = False  # every prompt and answer as token ids, in calls.jsonl


class RunSection(Strict):
    """[run]: where the results go. Without a name the run is called after its preset, with a number."""

    out: str = "runs"
    name: RunName | None = None
