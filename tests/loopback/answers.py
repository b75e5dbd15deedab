"""What an ordinary answer says, before either API wraps it: text, JSON after a schema, or a tool call.

Everything is a function of the request's body, so that equal bodies get equal answers in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, shake_128
from typing import Any, Protocol

from pydantic_core import to_json

from tests.loopback.behaviour import Behaviour, Fault

OFF_TOPIC = "I would rather talk about the weather."
OFF_TOPIC_TOKENS = {"I": 0.9, "The": 0.06, "Well": 0.04}
LETTER = (
    "you could wait a day before that letter goes out and ask someone who has been there what they would do "
    "now it is late so sleep first then write down two reasons for it one against call your friend eat well "
    "walk home slowly breathe once more"
)
WORDS = LETTER.split()


@dataclass(frozen=True, slots=True)
class Request:
    """A request for an answer, as far as both APIs agree. `number` is its place in the phase's schedule."""

    number: int
    raw: bytes
    body: Any
    headers: Mapping[str, str]
    key: str | None
    digest: bytes

    @property
    def id(self) -> str:
        return f"{self.number:06d}{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire. `fault` is the name that it is recorded under, None for an ordinary answer."""

    status: int
    body: bytes
    fault: str | None = None
    headers: str = ""
    content_type: str = "application/json"


class Api(Protocol):
    """What the module of an API has to offer."""

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """The key that was sent, where this API looks for it."""

    def invalid(self, request: Request) -> Answer | None:
        """The 400 that the real API would give, if it would."""

    def unsupported(self, name: str) -> Answer:
        """The 400 for a parameter that a model does not take."""

    def failure(self, fault: str, request: Request) -> Answer:
        """One of the failures that have a status of their own."""

    def error(self, status: int, message: str) -> Answer:
        """A mistake in the request."""

    def completion(self, request: Request, behaviour: Behaviour, fault: Fault | None) -> Answer:
        """A 200, as it should be or spoilt by the fault."""

    def model_list(self, models: Sequence[str]) -> bytes:
        """The answer to GET /v1/models."""


@dataclass(frozen=True, slots=True)
class Said:
    """The answer of a model. `text` is None where only the tool is called; `cut` says that there was more to it."""

    text: str | None
    tool: tuple[str, str] | None = None
    cut: bool = False
    first_token: Mapping[str, float] | None = None

    @property
    def tokens(self) -> int:
        return tokens((self.text or "") + "".join(self.tool or ()))


def said(
    behaviour: Behaviour,
    digest: bytes,
    fault: Fault | None,
    schema: Mapping[str, Any] | None,
    limit: int | None,
    has_tools: bool = False,
    wants_logprobs: bool = False,
) -> Said:
    """The words, by the first of these rules that fits.

    NO_LABEL talks about the weather. Offered tools are called if the behaviour has a tool call (LENGTH cuts a text). A schema is followed, with
    `reply` in its enum if it is one of the values; a `reply` that is itself an object stands as it is. Who asks for
    log-probabilities gets the likeliest first token. All else is the reply, or some words by digest.

    An answer that fills `limit` is cut there, as a model is that had no token left to end with.
    """
    first_token = behaviour.logprobs if wants_logprobs else None
    if fault == Fault.NO_LABEL:
        return limited(OFF_TOPIC, limit, OFF_TOPIC_TOKENS if first_token else None)
    if behaviour.tool_call and has_tools and fault != Fault.LENGTH:
        return Said(None, behaviour.tool_call)
    if schema is not None and not (behaviour.reply or "").startswith("{"):
        text = to_json(instance(schema, entropy(digest), behaviour.reply)).decode()
    elif behaviour.reply is None and first_token:
        text = max(first_token, key=first_token.__getitem__)
    else:
        text = some_words(digest, behaviour.words) if behaviour.reply is None else behaviour.reply
    if fault == Fault.LENGTH:
        return Said(text[: (len(text) + 1) // 2], None, True, first_token)
    return limited(text, limit, first_token)


def limited(text: str, limit: int | None, first_token: Mapping[str, float] | None) -> Said:
    if limit is None or tokens(text) < limit:
        return Said(text, None, False, first_token)
    return Said(text[: 4 * limit], None, True, first_token)


def tokens(text: str) -> int:
    return max(1, len(text) // 4)


def some_words(digest: bytes, words: int) -> str:
    text = " ".join(WORDS[byte % len(WORDS)] for byte in shake_128(digest).digest(words))
    return text[:1].upper() + text[1:] + "."


def another(digest: bytes, index: int) -> bytes:
    """The digest of the index-th answer to one request."""
    return blake2b(b"%d" % index, key=digest, digest_size=8).digest() if index else digest


def entropy(digest: bytes) -> Iterator[int]:
    """Whole numbers without end, for one choice each."""
    number = 0
    while True:
        number += 1
        yield int.from_bytes(blake2b(b"%d" % number, key=digest, digest_size=8).digest())


def instance(schema: Mapping[str, Any], choices: Iterator[int], preferred: str | None = None) -> Any:
    """Something that the schema allows; `preferred` wherever an enum has it. Enough of JSON schema for structured output."""
    if "const" in schema:
        return schema["const"]
    if values := schema.get("enum"):
        return preferred if preferred in values else values[next(choices) % len(values)]
    match schema.get("type"):
        case "object":
            return {name: instance(of, choices, preferred) for name, of in schema.get("properties", {}).items()}
        case "array":
            return [instance(schema.get("items", {}), choices, preferred)]
        case "integer" | "number":
            low = schema.get("minimum", 0)
            return low + next(choices) % (int(schema.get("maximum", low + 9) - low) + 1)
        case "boolean":
            return bool(next(choices) % 2)
        case "null":
            return None
    return some_words(next(choices).to_bytes(8), 4)


def schema_error(schema: Any, place: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str] | None:
    """What strict structured output of both providers will not take: an object that does not forbid further properties."""
    if not isinstance(schema, dict):
        return place, "type"
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return place, "additionalProperties"
    for name, of in schema.get("properties", {}).items():
        if found := schema_error(of, (*place, "properties", name)):
            return found
    return schema_error(schema["items"], (*place, "items")) if "items" in schema else None


def text_of(content: Any) -> str:
    """The words of a message's content: a string, parts or blocks, or nothing."""
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content if isinstance(content, list) else ()
    return "".join(p.get("text") or text_of(p.get("content")) for p in parts if isinstance(p, dict))
