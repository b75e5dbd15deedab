"""A conversation as an HTML page: everything that was said and scored is on it, and nothing of it is markup."""

from __future__ import annotations

from simulating import records, simulated

from influence.rollouts.pages import conversation_page


def test_every_message_and_rating_is_on_the_page(tmp_path):
    simulated(tmp_path, "rollout.conversations=1")
    (record,) = records(tmp_path)
    page = conversation_page(record)
    assert record.key in page
    assert f"reward {record.reward:.2f}" in page
    assert page.count("<i>rated") == len(record.turns) > 0
    assert page.count("<b>Agent</b>") == sum(m["role"] == "assistant" for m in record.messages)


def test_what_models_write_is_shown_and_never_markup(tmp_path):
    simulated(tmp_path, "rollout.conversations=1")
    (record,) = records(tmp_path)
    call = {"id": "1", "type": "function", "function": {"name": "<b>", "arguments": '{"a": "<script>"}'}}
    said = [{"role": "assistant", "content": "<img src=x>\nsecond & last", "tool_calls": [call]}]
    page = conversation_page(record.model_copy(update={"messages": said, "turns": [], "reward": None}))
    assert "&lt;img src=x&gt;<br>second &amp; last" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
    assert "reward missing" in page
