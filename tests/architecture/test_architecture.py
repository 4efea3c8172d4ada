"""Rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter

from a2a.settings import AgentSettings
from agent_servers.api.settings import ApiAgentSettings
from agent_servers.research.settings import ResearchSettings
from coordinator.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("a2a", "models", "coordinator", "agent_servers")
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts
)
MAX_LINES = 400
MAX_BODY_LINES = 50
FORBIDDEN_NAMES = {"utils", "common", "helpers", "core", "misc"}


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_a_file_stays_small_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)), "a module opens with what it owns"


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_a_function_body_stays_small(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            assert lines <= MAX_BODY_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_only_settings_read_the_environment(path: Path) -> None:
    if path.name != "settings.py":
        assert not re.search(r"os\.(environ|getenv)", path.read_text())


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_nothing_is_left_for_later(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError", path.read_text())


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [_relative(path) for path in SOURCES if {path.stem, path.parent.name} & FORBIDDEN_NAMES]
    assert named == []


def test_a_folder_holds_two_files_or_more() -> None:
    folders = {path.parent for path in SOURCES if path.parent.name not in ("migrations", "generated")}
    lonely = [_relative(folder) for folder in folders if len(list(folder.glob("*.py"))) < 2]
    assert lonely == []


def test_every_setting_is_explained_in_the_example_environment_with_its_default() -> None:
    """And nothing else stands there."""
    example = (ROOT / ".env.example").read_text()
    listed = dict(re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
    defaults = _defaults()
    assert listed.keys() == defaults.keys()
    for name, default in defaults.items():
        if isinstance(default, bool | int | float):
            assert TypeAdapter(type(default)).validate_python(listed[name]) == default, name


def _defaults() -> dict[str, object]:
    """Every variable with its default, groups taken apart."""
    found: dict[str, object] = {}
    for settings in (AgentSettings, ApiAgentSettings, ResearchSettings, Settings):
        prefix = str(settings.model_config.get("env_prefix", ""))
        for name, field in settings.model_fields.items():
            if isinstance(field.default, BaseModel):
                inner = type(field.default).model_fields.items()
                found |= {f"{name}_{key}".upper(): value.default for key, value in inner}
            else:
                found[f"{prefix}{name}".upper()] = field.default
    return found
