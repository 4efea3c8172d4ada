"""Mistakes in the declaration of a skill are told where they are made."""

from typing import Any

import pytest

from a2a import Agent, Request


def made() -> Agent:
    return Agent(name="One", description="One skill.", version="1")


def declare(agent: Agent, function: Any) -> None:
    agent.skill(id="only", description="The only skill.", tags=["only"])(function)


async def echo(request: Request) -> str:
    return request.text


def test_an_id_that_is_taken_is_refused() -> None:
    agent = made()
    declare(agent, echo)
    with pytest.raises(ValueError, match="'only' already"):
        declare(agent, echo)


def test_a_function_that_is_not_async_is_refused() -> None:
    def speak(request: Request) -> str:
        return request.text

    with pytest.raises(TypeError, match="`async def`"):
        declare(made(), speak)


def test_a_method_and_an_object_that_can_be_called_are_skills() -> None:
    class Speaker:
        async def speak(self, request: Request) -> str:
            return request.text

        async def __call__(self, request: Request) -> str:
            return request.text

    for function in (Speaker().speak, Speaker()):
        agent = made()
        declare(agent, function)
        assert list(agent.skills) == ["only"]
