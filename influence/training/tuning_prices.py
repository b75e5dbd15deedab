"""What a fine-tuned model is going to cost to ask, which a maximum of dollars has to know before it is asked.

The catalogue has such models by the pattern of their names: they cost more than what they were tuned from, so the price of
that is never taken for theirs.
"""

from __future__ import annotations

from influence.config.model_names import ModelName
from influence.config.sections import BudgetSection, HostedSection
from influence.engines.hosted.catalogue import Catalogue
from influence.errors import ConfigError


def check_tuned_price(name: ModelName, hosted: HostedSection, budget: BudgetSection) -> None:
    """Before anything is paid for: what is tuned from `name` will have a price, if it needs one. Raises ConfigError.

    OpenAI's names begin with what was tuned. How another server names its models is seen when it has made one.
    """
    if name.scheme == "openai" and not name.base.startswith("ft:"):
        require_price(f"openai/ft:{name.base}:", hosted, budget)


def require_price(model: str, hosted: HostedSection, budget: BudgetSection) -> None:
    """Raises ConfigError where a maximum of dollars is set and nobody has said what `model` costs."""
    if budget.max_cost is None or Catalogue(hosted.catalogue).prices(model) is not None:
        return
    entry = f"a price for it, or for a pattern such as {pattern_of(model)}"
    if hosted.catalogue:
        remedy = f"Write {entry}, into {hosted.catalogue}, or limit budget.max_tokens instead."
    else:  # a run that has begun without such a file cannot be given one
        remedy = (
            f"Limit budget.max_tokens instead, or begin a run whose hosted.catalogue names a file with {entry} "
            "(presets/models/hosted.toml shows the form; it has the dated models that OpenAI tunes)."
        )
    raise ConfigError(f"budget.max_cost: nobody has said what the fine-tuned model {model} costs to ask.\n    {remedy}")


def pattern_of(model: str) -> str:
    """A pattern for all models that are tuned from what this one was tuned from: "openai/ft:gpt-4.1-mini:*"."""
    before, tuned, rest = model.partition("/ft:")
    return f"{before}{tuned}{rest.partition(':')[0]}:*" if tuned else f"{model.rpartition('/')[0]}/*"
