"""Secrets in the environment: how their variables are found and read."""

from __future__ import annotations

import pytest

from runner.settings import from_base64, secret_variable


@pytest.mark.parametrize("key", ["token", "TOKEN", "Token"])
@pytest.mark.parametrize("name", ["SECRET_TOKEN", "SECRET_token", "secret_Token"])
def test_neither_the_key_nor_the_name_of_the_variable_has_a_case(key: str, name: str) -> None:
    assert secret_variable({name: "x", "SECRET_OTHER": "y"}, key) == "x"


def test_the_variable_in_capitals_comes_first() -> None:
    assert secret_variable({"SECRET_a": "small", "SECRET_A": "capital"}, "a") == "capital"


def test_a_secret_that_is_not_there_is_none() -> None:
    assert secret_variable({"SECRET_A": "x"}, "b") is None


@pytest.mark.parametrize("text", ["YWI=", "YWI", "YW\nI=\n", "Y\r\nWI"])
def test_base64_may_be_in_lines_and_without_its_padding(text: str) -> None:
    assert from_base64(text) == "ab"


@pytest.mark.parametrize("text", ["%%%", "my pass word", "_-8=", "/w==", "YWI=YWI="])
def test_what_is_no_base64_of_a_text_is_none(text: str) -> None:
    assert from_base64(text) is None
