"""The scripted agent as a process of its own, which a test kills."""

from tests.support.scripted_agent import ScriptedAgent

app = ScriptedAgent().agent.app()
