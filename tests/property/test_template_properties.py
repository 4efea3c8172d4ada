"""Whatever agents answer and templates say, rendering ends with a value or a template's own error."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from a2a.types import Json
from coordinator.planner.template import (
    MAX_REFERENCE_CHARS,
    BadComparison,
    BadReference,
    Condition,
    ConditionOp,
    MissingReference,
    Reference,
    Scope,
    StepOutput,
    TemplateError,
    holds,
    parse_reference,
    references_in,
    render_data,
    render_text,
    resolve,
)

KEYS = st.sampled_from(["a", "b", "0", "1", "odd key", "a}}", '"', "text", "data", ""]) | st.text(max_size=9)
TEXT = st.text(max_size=30) | st.lists(
    st.sampled_from(
        ["{{", "}}", "\\", "item", "item_index", "steps.1.", "data", ".a", "[0]", '["', '"]', " ", "x", "é"]
    ),
    max_size=12,
).map("".join)
SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
PATHS = st.lists(st.integers(-1, 3) | KEYS, max_size=5).map(tuple)
GRAMMATICAL_PATHS = st.lists(st.integers(0, 999) | st.text(max_size=20), max_size=8).map(tuple)
# What the grammar can spell, and what only code could build.
REFERENCES = st.one_of(
    st.builds(Reference, st.just("item"), st.none(), GRAMMATICAL_PATHS),
    st.just(Reference("item_index", None, ())),
    st.builds(
        lambda step, output, path: Reference("steps", step, (output, *path)),
        st.integers(1, 999),
        st.sampled_from(["data", "artifacts"]),
        GRAMMATICAL_PATHS,
    ),
    st.builds(Reference, st.just("steps"), st.integers(1, 9), st.just(("text",))),
)
ANY_REFERENCES = st.builds(
    Reference, st.sampled_from(["steps", "item", "item_index"]), st.none() | st.integers(-1, 3), PATHS
)
OUTPUTS = st.builds(StepOutput, TEXT, JSON, st.dictionaries(KEYS, JSON, max_size=3))
SCOPES = st.builds(
    Scope, st.dictionaries(st.integers(0, 3), OUTPUTS, max_size=3), JSON, st.none() | st.integers(0, 9)
)


def _outcome(act: Callable[[], Json]) -> Json | TemplateError:
    try:
        return act()
    except TemplateError as exc:
        return exc


@given(REFERENCES)
@settings(max_examples=200, deadline=None)
def test_the_canonical_spelling_reads_back_equal(reference: Reference) -> None:
    spelled = str(reference)
    assume(len(spelled) <= MAX_REFERENCE_CHARS)
    assert parse_reference(spelled) == reference
    assert references_in(f"a{{{{ {spelled} }}}}}}b") == [reference]


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_a_text_without_braces_is_rendered_as_it_is(text: str) -> None:
    assume("{{" not in text)
    assert render_text(text, Scope({})) == text
    assert references_in(text) == []


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_with_a_short_sentence(text: str) -> None:
    bare = _outcome(lambda: parse_reference(text))
    assert isinstance(bare, Reference | BadReference)
    if isinstance(bare, BadReference):
        assert len(str(bare)) < 400
        assert str(bare).isprintable()
    inside = _outcome(lambda: references_in(text))
    assert isinstance(inside, list | BadReference)
    assert not isinstance(inside, BadReference) or inside.text in text


@given(JSON, TEXT)
@settings(max_examples=200, deadline=None)
def test_substituted_text_is_never_rendered_again(item: Json, said: str) -> None:
    scope = Scope({1: StepOutput(said, item, {"a": said})}, item, 0)
    assert render_text("<{{steps.1.text}}|{{steps.1.artifacts.a}}>", scope) == f"<{said}|{said}>"
    assert render_data({"a": ["{{item}}"]}, scope) == {"a": [item]}
    spelled = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    assert render_text("{{item}}!", scope) == f"{spelled}!"


@given(JSON, SCOPES)
@settings(max_examples=200, deadline=None)
def test_rendering_gives_a_value_or_a_template_error(template: Json, scope: Scope) -> None:
    rendered = _outcome(lambda: render_data(template, scope))
    if not isinstance(rendered, TemplateError):
        assert json.dumps(rendered)
        assert isinstance(_outcome(lambda: render_text(str(template), scope)), str | TemplateError)


@given(ANY_REFERENCES | REFERENCES, SCOPES)
@settings(max_examples=200, deadline=None)
def test_any_reference_leads_to_a_value_or_to_a_short_reason(reference: Reference, scope: Scope) -> None:
    outcome = _outcome(lambda: resolve(reference, scope))
    if isinstance(outcome, TemplateError):
        assert isinstance(outcome, MissingReference)
        assert outcome.reference == reference
        assert len(str(outcome)) < 700
        assert str(outcome).isprintable()


@given(ANY_REFERENCES | st.just(Reference("item", None, ())), st.sampled_from(ConditionOp), JSON, SCOPES)
@settings(max_examples=200, deadline=None)
def test_a_condition_always_has_an_answer_or_a_template_error(
    reference: Reference, op: ConditionOp, value: Json, scope: Scope
) -> None:
    outcome = _outcome(lambda: holds(Condition(reference, op, value), scope))
    is_there = holds(Condition(reference, ConditionOp.exists), scope)
    if isinstance(outcome, MissingReference):
        assert not is_there
    assert isinstance(outcome, bool | MissingReference | BadComparison)
    if op in (ConditionOp.exists, ConditionOp.missing):
        assert outcome is (is_there is (op is ConditionOp.exists))


@given(JSON, JSON)
@settings(max_examples=200, deadline=None)
def test_equal_means_equal_json(left: Json, right: Json) -> None:
    def answer(op: ConditionOp, one: Json, other: Json) -> bool:
        return holds(Condition(Reference("item", None, ()), op, other), Scope({}, one, 0))

    assert answer(ConditionOp.eq, left, json.loads(json.dumps(left)))
    assert answer(ConditionOp.eq, left, right) is answer(ConditionOp.eq, right, left)
    assert answer(ConditionOp.ne, left, right) is not answer(ConditionOp.eq, left, right)
    assert answer(ConditionOp.contains, [right, left], left)
    assert answer(ConditionOp.one_of, left, [right, left])
