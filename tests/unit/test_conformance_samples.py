"""What is sent to try an agent: made of its card, and never what its skills do not take."""

import io
import wave
import zipfile
from typing import Any

import pytest
from pypdf import PdfReader

from a2a.card_types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from coordinator.conformance.sample_files import sample_file
from coordinator.conformance.samples import MAX_SKILLS, MAX_TEXT_CHARS, SIDE_EFFECT_TAGS, Sample, samples_of


def skill(skill_id: str = "s", **more: Any) -> AgentSkill:
    return AgentSkill(**{"id": skill_id, "name": "Weather", "description": "Tell it", "tags": ["w"], **more})


def card(*skills: AgentSkill, modes: list[str] | None = None) -> AgentCard:
    interface = AgentInterface(url="http://127.0.0.1:1", protocol_binding="JSONRPC", protocol_version="1.0")
    return AgentCard(
        name="A",
        description="",
        version="1",
        supported_interfaces=[interface],
        capabilities=AgentCapabilities(),
        default_input_modes=["text/plain"] if modes is None else modes,
        default_output_modes=["text/plain"],
        skills=list(skills),
    )


def only(*skills: AgentSkill, modes: list[str] | None = None) -> Sample:
    (sample,) = samples_of(card(*skills, modes=modes)).tried
    return sample


def reasons(*skills: AgentSkill, modes: list[str] | None = None) -> list[str]:
    samples = samples_of(card(*skills, modes=modes))
    assert samples.tried == ()
    return [one.reason for one in samples.left_out]


def test_text_is_the_first_example() -> None:
    sample = only(skill(examples=["weather in Oslo", "weather in Rome"]))
    assert [part.text for part in sample.parts] == ["weather in Oslo"]
    assert sample.parts[0].media_type is None


def test_without_an_example_the_text_is_made_of_name_and_description() -> None:
    assert only(skill()).parts[0].text == "Weather: Tell it"


def test_an_empty_example_is_none() -> None:
    assert only(skill(examples=[" "])).parts[0].text == "Weather: Tell it"
    assert only(skill(examples=["", "weather in Oslo"])).parts[0].text == "weather in Oslo"


def test_the_message_names_the_skill_and_is_another_each_time() -> None:
    sample = only(skill("forecast"))
    first, second = sample.message(), sample.message()
    assert first.metadata == {"skillId": "forecast"}
    assert first.message_id != second.message_id


@pytest.mark.parametrize("mode", ["text/plain; charset=utf-8", "TEXT/PLAIN", "text/*", "*/*", "*", "text"])
def test_text_is_taken_in_many_words(mode: str) -> None:
    assert only(skill(input_modes=[mode])).parts[0].text


def test_a_card_without_modes_is_taken_to_take_text() -> None:
    assert only(skill(), modes=[]).parts[0].text


def test_markdown_is_named_where_no_other_text_is_taken() -> None:
    assert only(skill(input_modes=["text/markdown"])).parts[0].media_type == "text/markdown"
    assert only(skill(input_modes=["text/markdown", "text/plain"])).parts[0].media_type is None


def test_the_skills_modes_stand_above_the_cards() -> None:
    assert only(skill(input_modes=["text/plain"]), modes=["application/json"]).parts[0].text


@pytest.mark.parametrize("modes", [["application/json"], ["application/json", "text/plain"]])
def test_an_example_that_is_json_is_sent_as_data_where_json_is_taken(modes: list[str]) -> None:
    sample = only(skill(input_modes=modes, examples=["about Oslo", '{"city": "Oslo"}']))
    assert [part.data for part in sample.parts] == [{"city": "Oslo"}]


@pytest.mark.parametrize(
    "example", ["Oslo", "42", '"Oslo"', '{"x": NaN}', "[" * 100_000, '{"a":' * 200 + "1" + "}" * 200]
)
def test_what_is_no_sendable_json_is_never_sent_to_an_agent_that_takes_json_alone(example: str) -> None:
    found = reasons(skill(input_modes=["application/json"], examples=[example[:8_000]]))
    assert found == ["it takes JSON, and no example on its card is JSON"]


def test_json_stays_text_where_only_text_is_taken() -> None:
    assert only(skill(examples=['{"city": "Oslo"}'])).parts[0].text == '{"city": "Oslo"}'


def test_a_file_goes_with_the_text_where_both_are_taken() -> None:
    sample = only(skill(input_modes=["text/plain", "text/csv"], examples=["mean of the column"]))
    assert sample.parts[0].text == "mean of the column"
    assert (sample.parts[1].media_type, sample.parts[1].filename) == ("text/csv", "sample.csv")


def test_a_file_goes_alone_where_no_text_is_taken() -> None:
    sample = only(skill(input_modes=["image/*"], examples=["what is on it?"]))
    assert [part.media_type for part in sample.parts] == ["image/png"]


def test_one_file_is_enough() -> None:
    assert len(only(skill(input_modes=["text/csv", "application/pdf"])).parts) == 1


def test_a_type_that_we_cannot_make_is_said() -> None:
    assert reasons(skill(input_modes=["model/gltf+json"])) == [
        "it takes model/gltf+json, of which we have no sample"
    ]


@pytest.mark.parametrize("tag", sorted(SIDE_EFFECT_TAGS))
def test_a_skill_that_changes_something_is_left_out(tag: str) -> None:
    assert reasons(skill(tags=["mail", tag])) == ["its tags say that it changes something"]


@pytest.mark.parametrize("tag", ["Side_Effects", " WRITE ", "side effect"])
def test_the_spelling_of_a_tag_does_not_matter(tag: str) -> None:
    assert reasons(skill(tags=[tag]))


def test_a_tag_that_only_holds_the_word_says_nothing() -> None:
    assert only(skill(tags=["writer", "rewrite"]))


def test_a_few_skills_are_tried_those_with_examples_first() -> None:
    skills = [skill(f"bare-{n}") for n in range(3)] + [skill(f"shown-{n}", examples=["x"]) for n in range(2)]
    tried = [sample.skill_id for sample in samples_of(card(*skills)).tried]
    assert tried == ["shown-0", "shown-1", "bare-0"]
    assert len(tried) == MAX_SKILLS


def test_a_long_example_is_cut() -> None:
    text = only(skill(examples=["x" * 8_000])).parts[0].text
    assert text is not None
    assert len(text) == MAX_TEXT_CHARS


def test_a_card_without_skills_gives_nothing() -> None:
    samples = samples_of(card())
    assert (samples.tried, samples.left_out) == ((), ())


def content(media_type: str) -> bytes:
    made = sample_file(media_type)
    assert made is not None
    return made.content


def test_the_sample_pdf_has_a_page_that_reads() -> None:
    reader = PdfReader(io.BytesIO(content("application/pdf")), strict=True)
    assert "Oslo had 4 degrees" in reader.pages[0].extract_text()


def test_the_sample_sound_and_archive_open() -> None:
    with wave.open(io.BytesIO(content("audio/wav"))) as sound:
        assert sound.getnframes() == 800
    with zipfile.ZipFile(io.BytesIO(content("application/zip"))) as archive:
        assert archive.testzip() is None


def test_the_sample_image_is_a_whole_png() -> None:
    image = content("image/png")
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert image.endswith(b"IEND\xaeB`\x82")
