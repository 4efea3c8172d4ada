"""What a reference may say, what it resolves to, how it is rendered, and when a condition holds."""

from __future__ import annotations

import pytest

from a2a.types import Json
from coordinator.planner.template import (
    MAX_LEVELS,
    MAX_REFERENCE_CHARS,
    MAX_REFERENCES,
    MAX_RENDERED_CHARS,
    MAX_SEGMENTS,
    BadComparison,
    BadReference,
    Condition,
    ConditionOp,
    MissingReference,
    Reference,
    Scope,
    StepOutput,
    TemplateTooLarge,
    holds,
    parse_reference,
    references_in,
    render_data,
    render_text,
    resolve,
)

DATA = {
    "total": 3,
    "share": 0.5,
    "none": None,
    "done": True,
    "rows": [{"name": "Oslo", "0": "zero"}, {"name": "Rome"}],
    "odd key": "odd",
    'a}}"b': "very odd",
    "7": "seven",
}
SCOPE = Scope(
    {1: StepOutput("", None, {}), 2: StepOutput("All done.", DATA, {"chart": {"type": "bar"}})},
    item={"city": "Oslo"},
    item_index=4,
)
NO_ITEM = Scope(SCOPE.steps)


def _nested(levels: int) -> Json:
    value: Json = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("steps.2.data.total", Reference("steps", 2, ("data", "total"))),
        ("steps.2.data.rows[0].name", Reference("steps", 2, ("data", "rows", 0, "name"))),
        ("steps.2.data.rows.0.name", Reference("steps", 2, ("data", "rows", "0", "name"))),
        ("steps.12.text", Reference("steps", 12, ("text",))),
        ("steps.2.artifacts.chart", Reference("steps", 2, ("artifacts", "chart"))),
        ('steps.2.data["odd key"]', Reference("steps", 2, ("data", "odd key"))),
        ('steps.2.data["a\\"\\u00e9\\n"]', Reference("steps", 2, ("data", 'a"é\n'))),
        ("steps.2.data.größe-1", Reference("steps", 2, ("data", "größe-1"))),
        ("item", Reference("item", None, ())),
        ("item[3].city", Reference("item", None, (3, "city"))),
        ("item_index", Reference("item_index", None, ())),
        ("  item\n", Reference("item", None, ())),
    ],
)
def test_a_reference_of_the_grammar_is_read(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert references_in(f"a {{{{ {text} }}}} b") == [reference]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "name", "items", "step.2.text", "Item", "item-index", "item_index.x", "steps", "steps.2"),
        *("steps.two.data", "steps.0.data", "steps.02.data", "steps.\u0662.data", "steps[2].data"),
        *("steps.2.status", "steps.2.text.x", "steps.9999999999.data", "steps.2.", "steps..data"),
        *(
            "item.",
            "item..a",
            "item[-1]",
            "item[01]",
            "item[ 0 ]",
            "item[a]",
            "item['a']",
            'item["a]',
            "item[]",
        ),
        *('item["a\\q"]', 'item["\n"]', "item.a b", "item + 1", "item|upper", "item()", "{{item}}", "item}}"),
        *("item[1234567890]", "item.a\x00", "__class__", "item.*"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse_reference(text)
    assert caught.value.text == text


@pytest.mark.parametrize(
    "template", ["{{}}", "{{name}}", "a {{item", "{{item} }", "{{{item}}}", "{{ item ", "{{"]
)
def test_braces_around_no_reference_are_never_passed_silently(template: str) -> None:
    with pytest.raises(BadReference):
        references_in(template)
    with pytest.raises(BadReference):
        render_text(template, SCOPE)


def test_a_bad_reference_is_quoted_as_written_and_the_way_out_is_named() -> None:
    with pytest.raises(BadReference) as caught:
        references_in("Dear {{ first.name }}, hello")
    assert caught.value.text == "{{ first.name }}"
    assert str(caught.value) == (
        '"{{ first.name }}" is not a reference: it is not of the form steps.2.text, steps.2.data.total, '
        'steps.2.artifacts.chart, item, item.city or item_index; write "\\{{" for plain braces.'
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("item[-1] and more", 'it cannot go on with "[-1] and more"'),
        ('item["a"', 'it cannot go on with "["a""'),
    ],
)
def test_the_place_where_a_reference_breaks_off_is_named(text: str, reason: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse_reference(text)
    assert caught.value.reason == reason


def test_a_reference_that_is_too_long_or_too_deep_is_refused() -> None:
    fits = "item." + "a" * (MAX_REFERENCE_CHARS - 5)
    assert str(parse_reference(fits)) == fits
    assert len(parse_reference("item" + "[0]" * MAX_SEGMENTS).path) == MAX_SEGMENTS
    assert len(parse_reference("steps.2.data" + "[0]" * (MAX_SEGMENTS - 1)).path) == MAX_SEGMENTS
    for text in (fits + "a", "item" + "[0]" * (MAX_SEGMENTS + 1), "steps.2.data" + "[0]" * MAX_SEGMENTS):
        with pytest.raises(BadReference, match="it is over 500 characters or 32 segments"):
            parse_reference(text)


def test_references_are_found_in_order_in_nested_values_but_not_in_keys() -> None:
    value = {"{{nonsense": ["{{item}}", 3, {"a": "{{steps.1.text}} {{item_index}}"}], "b": "{{steps.2.data}}"}
    found = ["item", "steps.1.text", "item_index", "steps.2.data"]
    assert [str(reference) for reference in references_in(value)] == found


def test_more_references_than_allowed_are_refused_in_one_text_and_in_all() -> None:
    assert len(references_in("{{item}}" * MAX_REFERENCES)) == MAX_REFERENCES
    for value in ("{{item}}" * (MAX_REFERENCES + 1), ["{{item}}"] * (MAX_REFERENCES + 1)):
        with pytest.raises(TemplateTooLarge, match="more than 200 references"):
            references_in(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("steps.2.data.total", 3),
        ("steps.2.data.none", None),
        ("steps.2.data.rows[1].name", "Rome"),
        ("steps.2.data.rows.1.name", "Rome"),
        ("steps.2.data.rows[0].0", "zero"),
        ("steps.2.data.7", "seven"),
        ('steps.2.data["a}}\\"b"]', "very odd"),
        ("steps.2.data", DATA),
        ("steps.2.text", "All done."),
        ("steps.1.text", ""),
        ("steps.2.artifacts.chart.type", "bar"),
        ("steps.2.artifacts", {"chart": {"type": "bar"}}),
        ("item", {"city": "Oslo"}),
        ("item.city", "Oslo"),
        ("item_index", 4),
    ],
)
def test_a_reference_leads_to_its_value(text: str, value: Json) -> None:
    assert resolve(parse_reference(text), SCOPE) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("steps.3.text", "step 3 has not completed"),
        ("steps.1.data", "step 1 has no data"),
        ("steps.1.data.total", "step 1 has no data"),
        ("steps.1.artifacts", "step 1 has no artifacts"),
        ("steps.2.artifacts.map", 'step 2 has no artifact "map"; it has "chart"'),
        ("steps.2.artifacts.chart.x", 'step 2\'s artifacts.chart has no "x"; it has "type"'),
        ("steps.2.data.rows[0].town", 'step 2\'s data.rows[0] has no "town"; it has "name", "0"'),
        ("steps.2.data.rows[2]", "step 2's data.rows has 2 elements"),
        ("steps.2.data.rows.2.name", "step 2's data.rows has 2 elements"),
        ("steps.2.data.rows.00", "step 2's data.rows has 2 elements"),
        ("steps.2.data.rows.name", "step 2's data.rows has 2 elements"),
        ("steps.2.data.total.x", "step 2's data.total is a number"),
        ("steps.2.data.none.x", "step 2's data.none is null"),
        ("steps.2.data.rows[0].name[0]", "step 2's data.rows[0].name is a string"),
        ("item.town", 'item has no "town"; it has "city"'),
        ("item[0]", 'item has no [0]; it has "city"'),
        ("item.city.x", "item.city is a string"),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_is_there(text: str, reason: str) -> None:
    with pytest.raises(MissingReference) as caught:
        resolve(parse_reference(text), SCOPE)
    assert caught.value.reason == reason
    assert str(caught.value) == f'"{text}" leads to nothing: {reason}.'


@pytest.mark.parametrize(
    ("item", "reason"), [([], "item has no elements"), ({}, 'item has no "0"; it has no keys')]
)
def test_an_empty_value_is_said_to_be_empty(item: Json, reason: str) -> None:
    with pytest.raises(MissingReference) as caught:
        resolve(parse_reference("item.0"), Scope({}, item, 0))
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["item", "item.city", "item_index"])
def test_outside_for_each_there_is_no_item(text: str) -> None:
    with pytest.raises(MissingReference) as caught:
        resolve(parse_reference(text), NO_ITEM)
    assert caught.value.reason == "there is no item, because the step has no for_each"


def test_a_negative_index_does_not_count_from_the_end() -> None:
    with pytest.raises(MissingReference, match="item has 1 element"):
        resolve(Reference("item", None, (-1,)), Scope({}, ["a"], 0))


def test_an_item_may_be_null() -> None:
    assert resolve(parse_reference("item"), Scope({}, None, 0)) is None


def test_the_reason_names_five_keys_and_stays_short_and_on_one_line_whatever_they_are() -> None:
    hostile = {f'{place} say "yes".\n\u202e\x1b[2J' + "very long " * 400: 1 for place in range(9)}
    with pytest.raises(MissingReference) as caught:
        resolve(parse_reference("item.name"), Scope({}, hostile, 0))
    text = str(caught.value)
    assert text.count("say") == 5
    assert text.endswith(" and more.")
    assert "0 say 'yes'." in text
    assert len(text) < 400
    assert text.isprintable()


def test_strings_are_rendered_as_they_are_and_other_values_as_compact_json() -> None:
    template = (
        "{{steps.2.text}} {{ steps.2.data.total }} {{steps.2.data.none}} {{steps.2.data.done}} {{item}}"
    )
    assert render_text(template, SCOPE) == 'All done. 3 null true {"city":"Oslo"}'
    assert render_text("{{item_index}}", SCOPE) == "4"
    assert render_text("{{item}}", Scope({}, ["ü", 0.5], 0)) == '["ü",0.5]'


def test_a_backslash_keeps_literal_braces() -> None:
    assert render_text("\\{{item}} {{item_index}} \\{{{{item_index}}}}", SCOPE) == "{{item}} 4 {{4}}"
    assert render_text("\\{{ \n", SCOPE) == "{{ \n"
    assert references_in("\\{{item}} \\{{ nonsense") == []
    assert render_data(["\\{{item}}"], SCOPE) == ["{{item}}"]


def test_single_braces_and_closing_braces_are_text() -> None:
    assert render_text('{"a": {{item_index}}} }} {x} \\', SCOPE) == '{"a": 4} }} {x} \\'


def test_a_string_that_is_exactly_one_reference_gets_the_value_with_its_type() -> None:
    value = {
        "rows": "{{steps.2.data.rows}}",
        "n": ["{{ steps.2.data.total }}"],
        "note": "n={{steps.2.data.total}}",
    }
    assert render_data(value, SCOPE) == {"rows": DATA["rows"], "n": [3], "note": "n=3"}
    assert render_data(" {{steps.2.data.total}}", SCOPE) == " 3"
    assert render_data("{{steps.2.data.none}}", SCOPE) is None


def test_what_is_no_string_stays_as_it_is() -> None:
    value: Json = {"{{item}}": [1, 0.5, True, None, "", {}]}
    assert render_data(value, SCOPE) == value


def test_what_an_agent_says_in_braces_is_never_rendered() -> None:
    attack = "{{steps.2.data.total}} \\{{ {{nonsense}} {{"
    scope = Scope({**SCOPE.steps, 3: StepOutput(attack, [attack], {})}, attack, 0)
    assert render_text("{{steps.3.text}}|{{item}}", scope) == f"{attack}|{attack}"
    assert render_data({"a": "{{steps.3.data}}", "b": "{{item}}"}, scope) == {"a": [attack], "b": attack}
    split = Scope({}, ["{", "{item}}"], 0)
    assert render_text("{{item[0]}}{{item[1]}}", split) == "{{item}}"


def test_a_missing_reference_fails_the_rendering() -> None:
    for template in ("{{steps.1.data}}", "a {{steps.1.data}}"):
        with pytest.raises(MissingReference):
            render_data([template], SCOPE)


def test_a_text_up_to_the_limit_is_rendered_and_one_over_it_refused() -> None:
    most = Scope({}, "x" * MAX_RENDERED_CHARS, 0)
    assert render_text("{{item}}", most) == most.item
    assert render_text(most.item, most) == most.item
    for template in ("{{item}}.", "{{item}}{{item}}", most.item + "."):
        with pytest.raises(TemplateTooLarge) as caught:
            render_text(template, most)
        assert caught.value.limit == MAX_RENDERED_CHARS
        assert str(caught.value) == "The template comes to more than 200000 characters."


@pytest.mark.parametrize(
    "item", ["x" * 1001, ["x"] * 1001, {"x" * 1001: 1}, 10**1001, {"\n" * 1001: 1}, [[]] * 1001]
)
def test_many_references_do_not_multiply_a_long_value(item: Json) -> None:
    scope = Scope({}, item, 0)
    with pytest.raises(TemplateTooLarge):
        render_data(["{{item}}"] * MAX_REFERENCES, scope)
    with pytest.raises(TemplateTooLarge):
        render_text("{{item}}" * MAX_REFERENCES, scope)


def test_the_limit_of_a_text_counts_what_json_adds() -> None:
    with pytest.raises(TemplateTooLarge):
        render_text("{{item}}", Scope({}, ["\n" * (MAX_RENDERED_CHARS // 2)], 0))


def test_nesting_is_bounded_in_templates_and_in_what_they_take() -> None:
    assert render_data(_nested(MAX_LEVELS), SCOPE) == _nested(MAX_LEVELS)
    assert render_data("{{item}}", Scope({}, _nested(MAX_LEVELS), 0)) == _nested(MAX_LEVELS)
    for value, item in (
        (_nested(MAX_LEVELS + 1), 0),
        ("{{item}}", _nested(5000)),
        ("a {{item}}", _nested(5000)),
        (["{{item}}"], _nested(MAX_LEVELS)),
    ):
        with pytest.raises(TemplateTooLarge, match="more than 64 levels of nesting"):
            render_data(value, Scope({}, item, 0))


@pytest.mark.parametrize(
    ("text", "op", "value"),
    [
        ("steps.2.data.total", "eq", 3),
        ("steps.2.data.total", "eq", 3.0),
        ("steps.2.data.none", "eq", None),
        ("steps.2.data.rows", "eq", [{"0": "zero", "name": "Oslo"}, {"name": "Rome"}]),
        ("steps.2.text", "ne", ""),
        ("steps.2.data.total", "gt", 2.5),
        ("steps.2.data.total", "ge", 3),
        ("steps.2.data.share", "lt", 1),
        ("item.city", "le", "Oslo"),
        ("steps.2.text", "contains", "done"),
        ("steps.2.data.rows", "contains", {"name": "Rome"}),
        ("item", "contains", "city"),
        ("item.city", "in", ["Rome", "Oslo"]),
        ("steps.2.data.none", "exists", None),
        ("steps.1.data", "missing", None),
        ("steps.3.text", "missing", None),
    ],
)
def test_a_condition_holds(text: str, op: str, value: Json) -> None:
    assert holds(Condition(parse_reference(text), ConditionOp(op), value), SCOPE)


@pytest.mark.parametrize(
    ("text", "op", "value"),
    [
        ("steps.2.data.done", "eq", 1),
        ("steps.2.data.total", "eq", "3"),
        ("steps.2.data.none", "eq", False),
        ("steps.2.data.rows", "eq", [{"name": "Oslo"}, {"name": "Rome"}]),
        ("steps.2.data.rows", "eq", []),
        ("item", "eq", "Oslo"),
        ("item", "eq", {"city": ["Oslo"]}),
        ("steps.2.data.total", "ne", 3.0),
        ("steps.2.data.total", "gt", 3),
        ("steps.2.data.total", "lt", 3),
        ("item.city", "gt", "Oslo"),
        ("steps.2.data.rows", "contains", "Rome"),
        ("item", "contains", "Oslo"),
        ("steps.2.data.done", "in", [1, "true"]),
        ("steps.2.data.total", "in", []),
        ("steps.3.text", "exists", None),
        ("steps.2.data.rows[2]", "exists", None),
        ("item", "missing", None),
    ],
)
def test_a_condition_does_not_hold(text: str, op: str, value: Json) -> None:
    assert not holds(Condition(parse_reference(text), ConditionOp(op), value), SCOPE)


@pytest.mark.parametrize("left", [True, [True], {"a": [True]}])
def test_true_is_not_one_at_any_depth(left: Json) -> None:
    one = {bool: 1, list: [1], dict: {"a": [1]}}[type(left)]
    assert not holds(Condition(parse_reference("item"), ConditionOp.eq, one), Scope({}, left, 0))


@pytest.mark.parametrize(
    ("text", "op", "value", "found", "kind"),
    [
        ("steps.2.data.total", "gt", "2", "a number", "a string"),
        ("steps.2.data.done", "ge", 0, "a boolean", "a number"),
        ("steps.2.data.done", "lt", False, "a boolean", "a boolean"),
        ("steps.2.data.none", "le", None, "null", "null"),
        ("steps.2.data.rows", "lt", [], "a list", "a list"),
        ("item", "gt", 1, "an object", "a number"),
        ("steps.2.data.total", "contains", 3, "a number", "a number"),
        ("steps.2.text", "contains", 3, "a string", "a number"),
        ("item", "contains", None, "an object", "null"),
        ("item.city", "in", "Oslo", "a string", "a string"),
    ],
)
def test_kinds_that_do_not_go_together_are_refused(
    text: str, op: str, value: Json, found: str, kind: str
) -> None:
    with pytest.raises(BadComparison) as caught:
        holds(Condition(parse_reference(text), ConditionOp(op), value), SCOPE)
    assert str(caught.value) == f'"{text}" is {found}, which "{op}" cannot compare with {kind}.'


@pytest.mark.parametrize(
    "op", [op for op in ConditionOp if op not in (ConditionOp.exists, ConditionOp.missing)]
)
def test_comparing_what_is_missing_fails(op: ConditionOp) -> None:
    with pytest.raises(MissingReference):
        holds(Condition(parse_reference("steps.1.data.x"), op, []), SCOPE)


def test_a_value_of_any_depth_is_compared() -> None:
    deep = Scope({}, _nested(5000), 0)
    assert holds(Condition(parse_reference("item"), ConditionOp.eq, _nested(5000)), deep)
    assert holds(Condition(parse_reference("item"), ConditionOp.ne, _nested(4999)), deep)


@pytest.mark.parametrize("unit", ["{{", "{{item", "{{item.a", '{{item["', "{{ ", '{{item["\\'])
def test_a_long_hostile_template_is_refused_at_once(unit: str) -> None:
    with pytest.raises(BadReference):
        references_in(unit * (MAX_RENDERED_CHARS // len(unit)))


@pytest.mark.parametrize("unit", ["\\{{", "[0]", "\\", "{ ", "}}"])
def test_a_long_text_of_almost_references_is_read_at_once(unit: str) -> None:
    assert references_in(unit * (MAX_RENDERED_CHARS // len(unit))) == []
