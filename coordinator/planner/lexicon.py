"""The words the planner knows by heart, and how a word becomes a term. No rule lives here."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

import snowballstemmer


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Strength(StrEnum):
    """How far a verb alone decides which skill is meant."""

    strong = "strong"  # "summarise": any object will do
    lookup = "lookup"  # "look up": a fall-back when no skill fits the topic better
    weak = "weak"  # "get": only together with a topic or file that fits


# Verb or its noun -> (the word skills use for it, strength). British spelling; see `normalise`.
ACTIONS: dict[str, tuple[str, Strength]] = {
    **dict.fromkeys(
        ("summarise", "summarisation", "summary", "summaries", "condense", "recap", "tldr"),
        ("summarise", Strength.strong),
    ),
    **dict.fromkeys(("report", "overview"), ("summarise", Strength.weak)),
    **dict.fromkeys(("analyse", "analysis", "analyses"), ("analyse", Strength.strong)),
    **dict.fromkeys(
        ("profile", "chart", "plot", "graph", "visualise", "visualisation"),
        ("analyse", Strength.weak),
    ),
    **dict.fromkeys(("research", "investigate"), ("research", Strength.strong)),
    "lookup": ("research", Strength.lookup),
    **dict.fromkeys(("find", "search"), ("research", Strength.weak)),
    **dict.fromkeys(("fetch", "get", "download", "call", "retrieve", "pull"), ("fetch", Strength.weak)),
}
# What a skill that does the action calls itself.
ACTION_WORDS: dict[str, tuple[str, ...]] = {
    "summarise": ("summarise", "summary"),
    "analyse": ("analyse", "analysis"),
    "research": ("research",),
    "fetch": ("fetch",),
}
# What a skill says of itself (name, id, tags) when it is the one for a purpose.
PURPOSE_WORDS: dict[str, tuple[str, ...]] = {
    "ask": ("research", "lookup", "question"),
    "analyse": ACTION_WORDS["analyse"],
    "summarise": ACTION_WORDS["summarise"],
    "compare": ("compare", "comparison"),
}
_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\btl\s?;\s?dr\b", re.IGNORECASE), "tldr"),
    (
        re.compile(
            r"\bsum(?:s|med|ming)? (?:(?:it|them|this|that|these|those|all|both|everything) )?up\b",
            re.IGNORECASE,
        ),
        "summarise",
    ),
    (
        re.compile(r"\b(?:look(?:s|ed|ing)? (?:up|into)|find(?:s|ing)? out)\b", re.IGNORECASE),
        "lookup",
    ),
)

# Words that carry no task of their own: they say that something is wanted, not what.
LIGHT_VERBS = _vocabulary(
    "get give make do show tell find check use take put write create produce prepare provide "
    "draw draft generate build run perform let see look go have want need help please try start "
    "explain describe list report return say compile deliver send work know like"
)
# First words of an imperative; " and " before one of them starts a clause.
VERBS = _vocabulary(
    "add adjust advise analyse answer apply arrange ask assess begin book bring build buy "
    "calculate call cancel caption categorise change chart check choose classify clean clear close "
    "collect combine compare compile compose compute condense convert cook copy correlate count "
    "create cut debug decide define delete deliver describe design detect determine develop "
    "discuss display divide do download draft draw drive edit email enrich estimate evaluate "
    "examine execute explain explore export extract fetch fill filter find fix fold forecast "
    "format gather generate get give graph group hire identify implement import improve inspect "
    "install invent investigate invite iron join keep label list listen load locate look lookup "
    "mail make map measure merge message monitor mow multiply name negotiate open optimise order "
    "organise outline paint pay perform pick plan play plot post predict prepare present print "
    "process produce profile proofread provide publish pull put query rank rate read recap "
    "recommend reconcile record remind remove rename render rent repair reply report request "
    "research reserve return review revise rewrite run save scan schedule score scrape search "
    "select sell send set share shorten show sing solve sort split start store study submit "
    "suggest summarise take teach tell test tidy tldr train transcribe translate turn update "
    "upload use validate verify visualise walk wash watch water weigh write"
)
# Verbs that are as often nouns: after a bare "and" they need a sign that a verb is meant.
NOUN_VERBS = _vocabulary(
    "answer book call change chart check cook cut design download draft email estimate export "
    "forecast graph group import iron label list look mail map measure message name order "
    "outline paint plan play plot post present process profile query rank rate record report "
    "request review save scan schedule score search set share sort split start store study "
    "test train turn update upload use walk wash watch water research"
)
COMPOUND_HEADS = _vocabulary(
    "agent agents area areas data direction directions finding findings group groups method "
    "methods note notes paper papers plan plans project projects question questions result "
    "results team teams topic topics work of in and or for from with by"
)
# Nouns that any skill may be about.
GENERIC_NOUNS = _vocabulary(
    "agent skill data file text content thing stuff item information info input output result "
    "task request question answer user name number value tool service"
)
ADJECTIVES = _vocabulary(
    "short brief quick detailed concise long full good nice simple clear complete new final "
    "overall attached following above below given enclosed uploaded entire whole main key "
    "current latest recent"
)
STOPWORDS = _vocabulary(
    "a about after all also an and any are as at attached be because been before between both but "
    "by can could did does each else every few first for from had has he her here him his how i if "
    "in into is it its just last main many may me mine more most much must my next no nor not now "
    "of off on once one only onto or other our out over own per please quite really same she "
    "should since so some such than that the their them then there these they this those three "
    "through to too two under until up upon us very was we well were what when where whether "
    "which while who whom whose why will with within without would yes yet you your d ll m re s t "
    "ve e g etc via across around against during today "
    "findings results using"
)

_URL = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_ISE = re.compile(r"(?<=[a-z]{3})iz(e|es|ed|er|ers|ing|ation|ations)$")
_YSE = re.compile(r"yz(e|es|ed|er|ers|ing)$")
_OUR = re.compile(r"(?<=[a-z]{2})our(s|ed|ing|ite|ites)?$")
MAX_WORD_CHARS = 40
_STEMMER = "english"
# How the one-word form of a phrase is shown to a person.
DISPLAY = {"lookup": "look up", "tldr": "tl;dr", "url": "URL"}


@lru_cache(maxsize=50_000)
def normalise(word: str) -> str:
    """Lower case and British spelling, so that "Summarize" and "summarise" are one word."""
    word = word.lower()[:MAX_WORD_CHARS]
    word = _YSE.sub(r"ys\1", _ISE.sub(r"is\1", word))
    return _OUR.sub(r"or\1", word) if len(word) > 4 else word


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The snowball stem of a normalised word."""
    # The stemmer keeps state while it works, so each call has its own; the cache pays for it.
    stemmed: str = snowballstemmer.stemmer(_STEMMER).stemWord(word)
    return stemmed


def words(text: str) -> list[str]:
    """The words of a text as written, phrases such as "sum up" as one and any URL as "url"."""
    text = _URL.sub(" url ", text)
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    return _WORD.findall(text)
