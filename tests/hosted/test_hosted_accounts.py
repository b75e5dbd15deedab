"""Where a provider is and which key opens it, and that no key is ever said, because keys end up in logs by accident."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from influence import redaction
from influence.config.model_names import parse_model_name
from influence.engines.hosted.accounts import Account, account_for, model_id, provider_of
from influence.errors import ConfigError
from influence.redaction import keep_secret, redact, redact_data

KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch, tmp_path):
    """No keys in the environment, no `.env` here, and nothing that earlier tests kept secret."""
    for variable in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(redaction, "_secrets", [])


@pytest.fixture
def env(monkeypatch):
    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def account(name: str) -> Account:
    return account_for(parse_model_name(name))


def refused(name: str) -> str:
    with pytest.raises(ConfigError) as error:
        account(name)
    return str(error.value)


# names


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openai/ft:gpt-4o:us::1", "openai", "ft:gpt-4o:us::1"),
        ("anthropic/claude-haiku-5-5", "anthropic", "claude-haiku-5-5"),
        ("openai-api/my-server/x/y", "openai-api/my-server", "x/y"),
        ("openai-api/openai/gpt-4o", "openai-api/openai", "gpt-4o"),
    ],
)
def test_a_name_says_the_provider_and_what_that_calls_the_model(name, provider, model):
    parsed = parse_model_name(name)
    assert (provider_of(parsed), model_id(parsed)) == (provider, model)


@pytest.mark.parametrize(
    ("name", "prefix", "dialect", "url"),
    [
        ("openai/gpt-4o", "OPENAI", "openai", "https://api.openai.com/v1"),
        ("anthropic/claude-haiku-5-5", "ANTHROPIC", "anthropic", "https://api.anthropic.com"),
    ],
)
def test_the_big_providers_need_a_key_and_are_where_they_are_unless_somebody_says_otherwise(env, name, prefix, dialect, url):
    env(**{f"{prefix}_API_KEY": KEY})
    assert account(name) == Account(name.partition("/")[0], dialect, url, KEY, f"{prefix}_API_KEY")
    env(**{f"{prefix}_BASE_URL": "http://localhost:9/proxy/"})
    assert account(name).base_url == "http://localhost:9/proxy"


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("my-server", "MY_SERVER"), ("Local.2", "LOCAL_2"), ("openai", "OPENAI"), ("a b", "A_B"), ("9", "9")],
)
def test_another_server_is_found_under_its_own_name(env, name, prefix):
    env(**{f"{prefix}_API_KEY": KEY, f"{prefix}_BASE_URL": "http://localhost:8000/v1"})
    expected = Account(f"openai-api/{name}", "openai", "http://localhost:8000/v1", KEY, f"{prefix}_API_KEY")
    assert account(f"openai-api/{name}/x/y") == expected


def test_a_server_of_ones_own_may_be_open_to_everybody(env):
    env(HOME_BASE_URL="http://localhost:8000/v1")
    assert account("openai-api/home/x").key == "none"
    assert redact("none of this is a key") == "none of this is a key"


# the file beside the environment


def test_a_file_here_is_read_beside_the_environment_which_wins(env, tmp_path):
    (tmp_path / ".env").write_text(f"# keys\nexport OPENAI_API_KEY='{KEY}'\nOPENAI_BASE_URL=http://localhost:1/v1\n")
    assert (account("openai/x").key, account("openai/x").base_url) == (KEY, "http://localhost:1/v1")
    env(OPENAI_API_KEY="sk-from-the-environment")
    assert (account("openai/x").key, account("openai/x").base_url) == ("sk-from-the-environment", "http://localhost:1/v1")
    assert "OPENAI_BASE_URL" not in os.environ


def test_an_empty_variable_is_none(env, tmp_path):
    env(OPENAI_API_KEY="", OPENAI_BASE_URL="")
    assert "set OPENAI_API_KEY" in refused("openai/x")
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=http://localhost:1/v1\n")
    assert (account("openai/x").key, account("openai/x").base_url) == (KEY, "http://localhost:1/v1")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=\n")
    assert "set OPENAI_API_KEY" in refused("openai/x")


def test_a_file_here_that_is_no_text_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"# cl\xe9\nOPENAI_API_KEY=sk-0123456789\n")
    assert refused("openai/x") == "the file .env here cannot be read as text."


# what is missing or cannot be used


@pytest.mark.parametrize("name", ["openai/x", "anthropic/x"])
def test_a_key_that_is_missing_is_named_with_the_places_where_it_may_stand(name):
    variable = f"{name.partition('/')[0].upper()}_API_KEY"
    assert refused(name) == f"set {variable} in the environment, or in a file .env here."


def test_a_server_without_an_address_is_asked_for_one(env):
    env(MY_SERVER_API_KEY=KEY)
    assert refused("openai-api/my-server/x") == "set MY_SERVER_BASE_URL to where the server is, such as http://localhost:8000/v1."


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://localhost/v1",
        "http://",
        "http:///v1",
        "https://:80/v1",
        "secret-words",
        "//host/v1",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://host:-1/v1",
        "http://[::1/v1",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_repeated(env, url):
    env(MY_SERVER_BASE_URL=url, OPENAI_BASE_URL=url, OPENAI_API_KEY=KEY)
    for name, variable in (("openai-api/my-server/x", "MY_SERVER_BASE_URL"), ("openai/x", "OPENAI_BASE_URL")):
        assert refused(name) == f"{variable} is not a URL such as http://localhost:8000/v1."


@pytest.mark.parametrize("url", ["http://me:pass-word-1@host/v1", "https://pass-word-1@host/v1", "http://a@pass-word-1@host/"])
def test_an_address_that_holds_a_password_is_refused_without_being_repeated(env, url):
    env(HOME_BASE_URL=url, OPENAI_BASE_URL=url, OPENAI_API_KEY=KEY)
    for name, prefix in (("openai-api/home/x", "HOME"), ("openai/x", "OPENAI")):
        assert refused(name) == (f"{prefix}_BASE_URL holds a user or a password. A server's key goes into {prefix}_API_KEY.")


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY} ", f"{KEY}\r\nX: y", f"{KEY}é", f"{KEY}\t", "\x7f" + KEY])
def test_a_key_that_no_header_takes_is_refused_without_being_repeated(env, key):
    env(OPENAI_API_KEY=key)
    assert refused("openai/x").startswith("OPENAI_API_KEY holds characters that no key has")
    assert KEY not in refused("openai/x")


# what is shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host:8000/v1/?token=abc#part", "https://host:8000/v1"),
        ("http://host/", "http://host"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_a_place_is_shown_without_its_query(env, url, shown):
    env(HOME_BASE_URL=url)
    assert account("openai-api/home/x").place == shown


def test_an_account_does_not_show_its_key(env):
    env(OPENAI_API_KEY=KEY)
    assert KEY not in repr(account("openai/x"))
    assert "OPENAI_API_KEY" in repr(account("openai/x"))


def test_whoever_reads_a_key_keeps_it_out_of_all_texts(env):
    env(OPENAI_API_KEY=KEY, HOME_BASE_URL="http://localhost/v1", HOME_API_KEY="another-key-of-mine")
    text = f"{KEY} another-key-of-mine http://localhost/v1"
    assert redact(text) == text
    account("openai/x")
    account("openai-api/home/x")
    assert redact(text) == "[key] [key] http://localhost/v1"


# blotting out


@pytest.mark.parametrize("placeholder", ["none", "EMPTY", "sk-1234", ""])
def test_what_is_too_short_to_be_a_key_is_left_in_texts(placeholder):
    keep_secret(placeholder)
    assert redact(f"none EMPTY sk-1234 {placeholder}") == f"none EMPTY sk-1234 {placeholder}"


@given(st.text("abcxyz-09", min_size=8, max_size=12), st.lists(st.text(max_size=8), max_size=5))
def test_no_text_holds_a_key_and_the_rest_of_it_stays(secret, parts):
    assume(not any(secret in part for part in parts) and secret not in "".join(parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_secrets", [])
        keep_secret(secret)
        text = secret.join(parts)
        assume(text.split(secret) == parts or not parts)
        assert redact(text) == "[key]".join(parts)


@pytest.mark.parametrize("order", [1, -1])
def test_a_key_that_begins_another_leaves_nothing_of_it_behind(order):
    for secret in ["sk-abcdefgh", "sk-abcdefgh-and-more", "sk-abcdefgh-and-more-still"][::order]:
        keep_secret(secret)
    assert redact("sk-abcdefgh-and-more-still sk-abcdefgh-and-more sk-abcdefgh") == "[key] [key] [key]"


@pytest.mark.parametrize("key", ["abc/def+ghi=jkl", 'quo"ted\\key', "tab\tand more", "plain-key-1"])
def test_a_key_is_known_however_it_is_spelled(key):
    keep_secret(key)
    for spelled in (key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, safe="")):
        assert redact(f"<{spelled}>") == "<[key]>"


def test_data_holds_no_key_in_its_texts_nor_in_its_names():
    keep_secret(KEY)
    data = {"a": [f"my {KEY}", 1, None, {KEY: f"{KEY}{KEY}"}], "b": "plain", "c": 2.5, "d": True}
    assert redact_data(data) == {"a": ["my [key]", 1, None, {"[key]": "[key][key]"}], "b": "plain", "c": 2.5, "d": True}
    assert redact_data(data["c"]) == 2.5
