"""docs/registry.md and docs/extensions/registration.md against the code: figures, words, paths."""

import re
from pathlib import Path

import pytest

from a2a.registration import EXTENSION_URI
from coordinator.app import create_app
from coordinator.health import machine, probes
from coordinator.registry import directory, proving, registration, store, upkeep
from coordinator.settings import AgentSettings, Settings
from models.states import Admission, HealthState, Proof

DOCS = Path(__file__).parents[2] / "docs"
REGISTRY = " ".join((DOCS / "registry.md").read_text().split())
EXTENSION = (DOCS / "extensions" / "registration.md").read_text()
DEFAULTS = AgentSettings()


@pytest.mark.parametrize("word", [*HealthState, *Admission, *Proof])
def test_every_state_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in REGISTRY


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (machine.BREAKER_PAUSE_S, "After {:.0f} seconds a deep probe tries it."),
        (machine.LONGEST_BREAKER_PAUSE_S / 60, "the pause doubles, up to {:.0f} minutes"),
        (proving.MAX_AT_ONCE, "At most {} runs are made at once"),
        (store.KEPT_REPORTS, "The last {} reports are kept"),
        (store.HISTORY_ROWS, "the last {} pieces of evidence"),
        (upkeep.DUTY_LEASE_S, "an expiry time of {:.0f} seconds"),
        (registration.MAX_AT_ONCE, "{} registrations are looked at at once"),
        (registration.MAX_WAITING, "and {} may wait"),
        (probes.MAX_PER_SWEEP, "A sweep begins {} probes"),
        (probes.MAX_FAILING_AT_ONCE, "and {} of those that fail"),
        (DEFAULTS.max_agents, "`AGENTS_MAX_AGENTS` ({:,})"),
        (DEFAULTS.heartbeat_interval_s, "`AGENTS_HEARTBEAT_INTERVAL_S` ({:.0f})"),
        (DEFAULTS.probe_interval_s, "`AGENTS_PROBE_INTERVAL_S` ({:.0f})"),
        (DEFAULTS.deep_probe_interval_s, "`AGENTS_DEEP_PROBE_INTERVAL_S` ({:.0f})"),
        (DEFAULTS.canary_min_calls, "after {} calls (`AGENTS_CANARY_MIN_CALLS`)"),
        (DEFAULTS.canary_margin, "more than {} (`AGENTS_CANARY_MARGIN`)"),
        (DEFAULTS.history_days, "`AGENTS_HISTORY_DAYS` ({})"),
    ],
)
def test_a_figure_on_the_page_is_that_of_the_code(figure: float, said: str) -> None:
    assert said.format(figure) in REGISTRY


def test_words_for_figures_are_right() -> None:
    assert machine.FAILURES_TO_DOWN == proving.DOUBTS == 3
    assert machine.SUCCESSES_TO_UP == 2
    assert directory.KEPT_S == probes.RETRY_S == 1.0
    assert (proving.AGAIN_AFTER_FAILURE_S, proving.LONGEST_AGAIN_S) == (60.0, 3_600.0)


def test_every_path_of_the_extensions_page_is_there() -> None:
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    named = re.findall(r"`(GET|POST|PATCH|DELETE) (/api/agents[^`? ]*)", EXTENSION)
    assert len(named) >= 8
    for method, path in named:
        assert method.lower() in paths[re.sub(r"\{\w+\}", "{agent_id}", path)], path


def test_every_setting_that_the_pages_name_exists() -> None:
    example = (DOCS.parent / ".env.example").read_text()
    named = set(re.findall(r"\b(?:AGENTS|AGENT|COORDINATOR)_[A-Z_]+[A-Z]\b", REGISTRY + EXTENSION))
    assert {name for name in named if f"{name}=" not in example} == set()
    assert EXTENSION_URI in EXTENSION
