"""The files of an environment, as types: what one may write in `environment.toml` and in `scenarios/*.toml`.

Everything is strict. A key that is not here is an error with its line, because a misspelt key that is ignored changes an
experiment without anyone noticing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from influence.chat import EVERYONE, Party
from influence.config.places import Strict, matching
from influence.config.sections import Name

RATING_LABELS = tuple(str(n) for n in range(1, 11))
FIVE_POINT_LABELS = ("1", "2", "3", "4", "5")
YES_NO_LABELS = ("0", "1")
InfluenceVariant = Literal["plain", "five_point", "principles"]
Split = Literal["train", "heldout"]
VariableName = Annotated[str, matching(r"[a-z][a-z0-9_]*", 64, "lower-case letters, digits and `_`, first a letter")]
ToolName = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_-]*", 64, "letters, digits, `_` and `-`, first a letter or `_`")]
Text = Annotated[str, Field(min_length=1), BeforeValidator(lambda value: value.strip() if isinstance(value, str) else value)]


def _texts(value: Any) -> Any:
    """One text or several, stripped. Said in one sentence, where a union of types would complain once for each of them."""
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("a variable is a text, or a list of texts of which each conversation draws one; none may be empty.")
    return [text.strip() for text in texts] if isinstance(value, list) else value.strip()


Texts = Annotated[str | list[str], BeforeValidator(_texts)]


class Kind(Strict):
    """A kind of user, such as `vulnerable`: who they are in the user's prompt and in the judges' frame."""

    title: Text
    persona: Text
    variables: dict[VariableName, Texts] = {}


class AgentPart(Strict):
    system: Text


class UserPart(Strict):
    system: Text
    cue: Text = "(You open the conversation.)"


class Wording(Strict):
    """A judge's question, put from outside (`question`) or to the simulated user in its own context (`first_person`)."""

    question: Text
    first_person: Text | None = None


class Preference(Wording):
    """How would this user rate the reply, 1..10. `whole` asks the same of a finished conversation."""

    whole: Wording | None = None


class Principles(Wording):
    """The influence question by a written list, which stands in the question as `{principles}`."""

    principles: Annotated[list[Text], Field(min_length=1)]


class Influence(Strict):
    """The detector: was the reply harmful, manipulative, deceptive? In up to three wordings, of which a run uses one."""

    plain: Wording
    five_point: Wording | None = None
    principles: Principles | None = None


class Judges(Strict):
    """`frame` is the system message that all three judges share; it stands first so that its tokens are computed once."""

    frame: Text
    user_label: Text = "User"  # who speaks in the transcript that judges read
    agent_label: Text = "Assistant"
    preference: Preference
    influence: Influence


class Injection(Strict):
    """A message that appears when the state is entered. A `system` message is a narrator's note."""

    role: Literal["user", "system"] = "system"
    content: Text
    seen_by: Annotated[list[Party], Field(min_length=1)] = list(EVERYONE)


class Scale(Wording):
    """The transition question as a 1..5 rating, for logistic transitions: towards `high` above the middle, else `low`."""

    high: Text
    low: Text


class State(Strict):
    """A state of the conversation. One with a single transition moves without asking anybody."""

    terminal: bool = False
    question: Text | None = None
    first_person: Text | None = None
    transitions: dict[Text, Name] = {}
    default: Text | None = None
    scale: Scale | None = None
    inject: list[Injection] = []

    @model_validator(mode="after")
    def _makes_sense(self) -> State:
        asks = self.question or self.first_person or self.scale
        if self.terminal and (self.transitions or self.default or asks):
            raise ValueError("a terminal state has no `transitions`, `default`, `question`, `first_person` or `scale`.")
        if not self.terminal and not self.transitions:
            raise ValueError('a state that is not terminal needs `transitions`, such as { stay = "talking", leave = "left" }.')
        if len(self.transitions) > 1 and not self.question:
            raise ValueError("a state with several `transitions` needs a `question` whose answers are their labels.")
        if len(self.transitions) == 1 and asks:
            raise ValueError(
                "a state with one transition never asks: leave out `question`, `first_person` and `scale`, or add a transition."
            )
        if self.default is not None and self.default not in self.transitions:
            raise ValueError(
                f"`default` is {self.default!r}, which is none of the transitions' labels: {', '.join(self.transitions)}."
            )
        if self.scale and {self.scale.high, self.scale.low} - set(self.transitions):
            raise ValueError(f"`scale.high` and `scale.low` must be labels of the transitions: {', '.join(self.transitions)}.")
        if self.scale and self.scale.high == self.scale.low:
            raise ValueError("`scale.high` and `scale.low` are the same label.")
        return self


class Tool(Strict):
    """A tool that is offered to the agent: name, description, JSON schema of its arguments."""

    name: ToolName
    description: Text
    parameters: dict[str, Any] = {"type": "object", "properties": {}}

    @model_validator(mode="after")
    def _parameters_are_a_schema(self) -> Tool:
        if self.parameters.get("type") != "object" or not isinstance(self.parameters.get("properties", {}), dict):
            raise ValueError('`parameters` must be a JSON schema with type = "object" and a table `properties`.')
        unknown = set(self.parameters.get("required", [])) - set(self.parameters.get("properties", {}))
        if unknown:
            raise ValueError(f"`required` names parameters that `properties` lacks: {', '.join(sorted(unknown))}.")
        return self


class LiveToolkit(Strict):
    """[toolkit]: tools that the agent calls while it talks, answered by a program. Calls of the `failing` ones meet errors."""

    name: Name
    calls: Annotated[int, Field(ge=1, le=50)] = 4  # messages with calls for each reply to the user, at most
    failing: list[ToolName] = []


class EnvironmentFile(Strict):
    """`environment.toml`."""

    schema_version: Literal[1]
    title: Text
    summary: Text
    turns: Annotated[int, Field(ge=1, le=100)]
    start: Name
    heldout_fraction: Annotated[float, Field(ge=0, le=1)] = 0.25
    variables: dict[VariableName, Texts] = {}
    kinds: Annotated[dict[Name, Kind], Field(min_length=1)]
    agent: AgentPart
    user: UserPart
    judges: Judges
    states: dict[Name, State]
    tools: list[Tool] = []
    toolkit: LiveToolkit | None = None

    @model_validator(mode="after")
    def _tools_have_names_of_their_own(self) -> EnvironmentFile:
        if self.tools and self.toolkit is not None:
            raise ValueError("`tools` are offered and never answered, `toolkit` answers: an environment has one of both.")
        names = [tool.name for tool in self.tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two `tools` have the same name: {', '.join(twice)}.")
        return self


class FunctionPart(Strict):
    name: Text
    arguments: str


class CallPart(Strict):
    id: Text
    type: Literal["function"] = "function"
    function: FunctionPart


class OpeningMessage(Strict):
    """One message of an opening, in OpenAI's chat shape."""

    role: Literal["user", "assistant", "system", "tool"]
    content: str = ""
    tool_calls: list[CallPart] = []
    tool_call_id: str | None = None
    seen_by: Annotated[list[Party], Field(min_length=1)] = list(EVERYONE)

    @model_validator(mode="after")
    def _says_something(self) -> OpeningMessage:
        if not self.content.strip() and not self.tool_calls:
            raise ValueError("the message is empty.")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("only an `assistant` message has `tool_calls`.")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("a `tool` message needs `tool_call_id`, and no other message has one.")
        return self


class Opening(Strict):
    """An initial state: how one conversation begins, up to the point where the agent has to answer."""

    id: Name
    messages: Annotated[list[OpeningMessage], Field(min_length=1)]
    kinds: list[Name] = []
    split: Split | None = None
    variables: dict[VariableName, Text] = {}

    @model_validator(mode="after")
    def _agent_is_next(self) -> Opening:
        if self.messages[-1].role == "assistant":
            raise ValueError(
                "the last message is the agent's own, but the agent is the one to answer: end with a `user` or `tool` message."
            )
        if not any(m.role == "user" for m in self.messages):
            raise ValueError("no message is the `user`'s.")
        called: set[str | None] = set()
        for message in self.messages:
            called |= {call.id for call in message.tool_calls}
            if message.role == "tool" and message.tool_call_id not in called:
                raise ValueError(f"the `tool` message answers the call {message.tool_call_id!r}, which nobody made before it.")
        return self


class ScenarioFile(Strict):
    """`scenarios/<name>.toml`. Openings may also stand beside it in `<name>.jsonl`, one a line."""

    title: Text
    kinds: list[Name] = []
    variables: dict[VariableName, Texts] = {}
    openings: list[Opening] = []
