"""Requests with the plan they should get, alone and among 200 skills of strangers."""

from __future__ import annotations

import pytest

from coordinator.planner.errors import UnknownTaskType
from coordinator.planner.match import SkillIndex
from coordinator.planner.plan import Attachment, Strategy
from coordinator.planner.rules import plan_by_rules
from coordinator.registry.offers import SkillOffer
from tests.unit.planner_offers import COMPARE, FORECAST, NETWORK, SHIPPED, strangers

Steps = list[tuple[str, tuple[int, ...]]]

CSV = Attachment("seattle-weather.csv", "text/csv")
NOTES = Attachment("notes.md", "text/markdown")
MAIN = (
    "Research how agents register with the coordinator and summarise it, "
    "then analyse the attached weather data"
)
UNKNOWN: Steps = []

# request, files, (skill, steps it depends on) per step; UNKNOWN when no agent can do a part of it
CASES: list[tuple[str, tuple[Attachment, ...], Steps]] = [
    (MAIN, (CSV,), [("research", ()), ("summarise", (1,)), ("analyse", ())]),
    (
        "research Raft and Paxos, then compare them and write a summary",
        (),
        [("research", ()), ("research", ()), ("compare", (1, 2)), ("summarise", (3,))],
    ),
    ("Research agents and registries", (), [("research", ())]),
    ("Research leases, then heartbeats", (), [("research", ()), ("research", (1,))]),
    ("Investigate how push notifications are signed", (), [("research", ())]),
    ("Look up what happens when a lease expires", (), [("research", ())]),
    ("Find passages about retries in the docs", (), [("research", ())]),
    ("What do the documents say about leases?", (), [("research", ())]),
    ("How do agents register with the coordinator?", (), [("research", ())]),
    ("Research how agents register and call each other", (), [("research", ())]),
    ("Research how to analyse and summarise data", (), [("research", ())]),
    ("Research how agents\nregister with the\ncoordinator", (), [("research", ())]),
    ("I need you to research leases. I need it by Monday.", (), [("research", ())]),
    ("Please summarise the attached notes in three sentences", (NOTES,), [("summarise", ())]),
    ("Summarize notes.md and be brief", (NOTES,), [("summarise", ())]),
    ("tl;dr of notes.md", (NOTES,), [("summarise", ())]),
    ("Give me a short summary of the attached document", (NOTES,), [("summarise", ())]),
    ("Could you sum up the document?", (NOTES,), [("summarise", ())]),
    (
        "Summarise the following text: Agents register. Then they run. Order a pizza.",
        (),
        [("summarise", ())],
    ),
    ('Summarise "fetch the csv and then analyse it"', (), [("summarise", ())]),
    ("Analyze the attached data", (CSV,), [("analyse", ())]),
    ("analyse seattle-weather.csv, with a chart, for 2014 only", (CSV,), [("analyse", ())]),
    ("Find outliers and missing values in seattle-weather.csv", (CSV,), [("analyse", ())]),
    ("Plot the temperature by month", (CSV,), [("analyse", ())]),
    ("Show me the missing values", (CSV,), [("analyse", ())]),
    ("Is there a trend in this data?", (CSV,), [("analyse", ())]),
    ("I have a csv of weather data. Please analyse it. Thanks!", (CSV,), [("analyse", ())]),
    ("Analyse the csv and plot it", (CSV,), [("analyse", ())]),
    (
        "Analyse and summarise the attached csv",
        (CSV,),
        [("analyse", ()), ("summarise", (1,))],
    ),
    (
        "Profile the csv, then research outliers and summarise the findings",
        (CSV,),
        [("analyse", ()), ("research", (1,)), ("summarise", (2,))],
    ),
    ("Fetch https://api.example.com/v1.0/rates", (), [("fetch", ())]),
    ("Download the JSON from https://a.example/b.c", (), [("fetch", ())]),
    ("Get the current rates from https://a.example/b", (), [("fetch", ())]),
    ("Call the API at https://a.example/b?x=1 and plot it", (), [("fetch", ()), ("analyse", (1,))]),
    ("fetch https://a.example/b, analyse the data", (), [("fetch", ()), ("analyse", (1,))]),
    ("weather in Bergen tomorrow", (), [("forecast", ())]),
    ("What's the weather in Paris?", (), [("forecast", ())]),
    ("Look up the weather in Oslo", (), [("forecast", ())]),
    (
        "1. Research leases 2. analyse seattle-weather.csv 3. summarise both",
        (CSV,),
        [("research", ()), ("analyse", ()), ("summarise", (1, 2))],
    ),
    (
        "Do the following:\n- research leases\n- analyse the csv\n\nThen write a summary",
        (CSV,),
        [("research", ()), ("analyse", ()), ("summarise", (1, 2))],
    ),
    (
        "Research:\n- leases\n- heartbeats\nand then summarise both",
        (),
        [("research", ()), ("research", ()), ("summarise", (1, 2))],
    ),
    (
        "Research leases. Analyse the csv. Finally, write a report on the findings",
        (CSV,),
        [("research", ()), ("analyse", ()), ("summarise", (1, 2))],
    ),
    (
        "Research leases, analyse the csv and summarise the research",
        (CSV,),
        [("research", ()), ("analyse", ()), ("summarise", (1,))],
    ),
    (
        "Forecast the weather for Oslo; research leases; after that, sum everything up",
        (),
        [("forecast", ()), ("research", ()), ("summarise", (1, 2))],
    ),
    ("fold my laundry", (), UNKNOWN),
    ("book me a flight", (), UNKNOWN),
    ("book a flight to Paris", (), UNKNOWN),
    ("order a pizza and summarise the menu", (), UNKNOWN),
    ("summarise the menu and order a pizza", (), UNKNOWN),
    ("find my keys", (), UNKNOWN),
    ("find the data in my attic", (), UNKNOWN),
    ("get me a coffee", (), UNKNOWN),
    ("call my mother", (), UNKNOWN),
    ("write a poem about agents and documents", (), UNKNOWN),
    ("clean the kitchen, then analyse the csv", (CSV,), UNKNOWN),
    ("my data", (), UNKNOWN),
    ("write a report", (), UNKNOWN),
    ("plot a murder", (), UNKNOWN),
    ("buy milk in one place", (), UNKNOWN),
    ("laundry", (), UNKNOWN),
    ("Fasse das Dokument zusammen", (), UNKNOWN),
    ("请总结这个文件", (), UNKNOWN),
    ("asdf qwer", (), UNKNOWN),
]
BOTH: Steps = [("research", ()), ("research", (1,)), ("summarise", (1, 2))]
ASK: Steps = [("research", ())]
TABLE: Steps = [("analyse", ())]
SHORTENED: Steps = [("research", ()), ("summarise", (1,))]
CASES += [
    ("1. Research leases\n2. Research heartbeats\n3. Summarise both", (), BOTH),
    ("1. Research leases\n2. Research heartbeats\n3. Summarise them", (), BOTH),
    ("Research leases. Then research heartbeats. Then summarise the findings", (), BOTH),
    ("First research leases, then research heartbeats, finally write a summary", (), BOTH),
    ("Research leases, then research heartbeats and write a summary", (), BOTH),
    ("Research leases, then research heartbeats and summarise both", (), BOTH),
    ("what is the meaning of life", (), ASK),  # the documents do not say, and the agent says so
    *(
        (request, (), ASK)
        for request in (
            "How do agents register?",
            "What happens when the coordinator dies?",
            "Why does Parley use SQLite by default?",
            "Explain how leases work",
            "Tell me about the planner",
            "Search the docs for heartbeat",
            "Describe the architecture",
            "Find information about leases",
            "Read the docs and tell me how leases work",
            "Can you tell me how leases work",
            "Answer from the docs: how do heartbeats work?",
            "I want to know how leases work",
            "Which database does Parley use?",
            "Does the coordinator keep its state in SQLite?",
        )
    ),
    ("How do agents register, and analyse the csv", (CSV,), [*ASK, *TABLE]),
    *(
        (request, (CSV,), TABLE)
        for request in (
            "What was the hottest day",
            "What's in this file?",
            "How many rows are in the attached file?",
            "Describe the attached dataset",
            "Explore the data and tell me what's interesting",
            "Compute the average temp_max per month",
            "I have a csv. What was the hottest day?",
            "Summarise the attached csv",
            "Give me a summary of this data",
            "Summarise seattle-weather.csv",
            "Summarise",
        )
    ),
    ("Summarise how agents register", (), SHORTENED),
    ("Summarize the architecture", (), SHORTENED),
    ("Give me a summary of the architecture", (), SHORTENED),
    ("Research how agents register in two bullet points", (), SHORTENED),
    ("Research how agents register, in three sentences", (), SHORTENED),
    ("Explain how leases work in about 100 words", (), SHORTENED),
    ("Research how agents register and give me three bullet points", (), SHORTENED),
    ("Summarise the findings", (), [("summarise", ())]),
    *(
        (request, (), UNKNOWN)
        for request in (
            *("hello", "hello there", "2+2", "how are you?"),
            *("write a haiku", "order a pizza", "tell me a joke", "answer the phone"),
            "how about a pizza",
        )
    ),
    ("book me a flight", (CSV,), UNKNOWN),
    ("order a pizza", (CSV,), UNKNOWN),
]
# With no agent that compares or translates texts.
NO_SUCH_AGENT: list[tuple[str, tuple[Attachment, ...], Steps]] = [
    ("Compare SQLite and PostgreSQL in Parley", (), ASK),
    (
        "Research Raft and Paxos, then compare them",
        (),
        [("research", ()), ("research", ()), ("summarise", (1, 2))],
    ),
    ("Research leases. Research heartbeats. Then compare both", (), [*ASK, *ASK, ("summarise", (1, 2))]),
    ("Research leases, then research heartbeats, then compare them", (), BOTH),
    ("Compare temperature by weather type", (CSV,), TABLE),
    ("translate it to French", (), UNKNOWN),
    ("research leases and translate it to French", (), UNKNOWN),
]
# Wanted, but not reached by rules (see docs/planning.md); they count as wrong.
KNOWN_LIMITS: list[tuple[str, tuple[Attachment, ...], Steps]] = [
    ("Fetch https://a.example/b and defenestrate my cat", (), UNKNOWN),
]
ALL_CASES = CASES + KNOWN_LIMITS
FLOOR = 0.96


def _plan(request: str, files: tuple[Attachment, ...], index: SkillIndex) -> Steps:
    try:
        plan = plan_by_rules(request, index, files, Strategy.auto)
    except UnknownTaskType:
        return UNKNOWN
    return [(step.skill_id, step.depends_on) for step in plan.steps]


@pytest.mark.parametrize("others", [(), strangers()], ids=["alone", "among_strangers"])
def test_at_least_96_percent_of_the_requests_get_the_plan_a_reader_expects(
    others: tuple[SkillOffer, ...],
) -> None:
    index = SkillIndex((*NETWORK, COMPARE, *others))
    wrong = [
        f"{request!r}: wanted {wanted}, got {got}"
        for request, files, wanted in ALL_CASES
        if (got := _plan(request, files, index)) != wanted
    ]
    share = 1 - len(wrong) / len(ALL_CASES)
    report = "\n".join(wrong)
    assert share >= FLOOR, f"{share:.1%} of {len(ALL_CASES)} right:\n{report}"


@pytest.mark.parametrize("request_text", [case[0] for case in CASES if case[2] == UNKNOWN])
def test_an_out_of_scope_request_matches_nothing_even_among_strangers(request_text: str) -> None:
    index = SkillIndex((*NETWORK, COMPARE, *strangers()))
    assert _plan(request_text, (), index) == UNKNOWN


@pytest.mark.parametrize("network", [NETWORK, (*SHIPPED, FORECAST)], ids=["plain", "shipped"])
@pytest.mark.parametrize(("request_text", "files", "wanted"), NO_SUCH_AGENT)
def test_what_needs_a_missing_agent_is_done_another_way_or_refused(
    network: tuple[SkillOffer, ...], request_text: str, files: tuple[Attachment, ...], wanted: Steps
) -> None:
    assert _plan(request_text, files, SkillIndex(network)) == wanted


@pytest.mark.parametrize(("request_text", "files", "wanted"), CASES)
def test_the_shipped_agents_get_the_plan_a_reader_expects(
    request_text: str, files: tuple[Attachment, ...], wanted: Steps
) -> None:
    assert _plan(request_text, files, SkillIndex((*SHIPPED, FORECAST, COMPARE))) == wanted


def test_the_table_holds_forty_requests_and_twelve_out_of_scope() -> None:
    assert len(CASES) >= 40
    assert sum(1 for case in CASES if case[2] == UNKNOWN) >= 12
