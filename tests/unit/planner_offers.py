"""The skills the planner is tried against: this network's, one third party's, and 200 strangers'."""

from __future__ import annotations

from dataclasses import replace

from coordinator.registry.offers import SkillOffer

RESEARCH = SkillOffer(
    agent_id="agent_research",
    agent_name="Research Agent",
    skill_id="research",
    name="Research",
    description=(
        "Finds and cites passages in a library of documents to answer a question. Several rounds "
        "of search, every sentence with its source."
    ),
    tags=("research", "documents", "citations", "search"),
    examples=(
        "Research how agents register with the coordinator",
        "What do the documents say about leases?",
        "Find passages about retries in the docs",
    ),
    input_modes=("text/plain", "text/markdown", "text/html", "application/pdf"),
    output_modes=("text/markdown",),
)
ANALYSE = SkillOffer(
    agent_id="agent_api",
    agent_name="API Agent",
    skill_id="analyse",
    name="Analyse data",
    description=(
        "Profiles CSV or JSON data: missing values, outliers, correlations, trends over time and "
        "a chart, with the SQL as evidence."
    ),
    tags=("data", "analysis", "csv", "json", "statistics", "chart"),
    examples=(
        "Analyse the attached sales data",
        "Find outliers and correlations in this CSV",
        "Plot the trend over time",
    ),
    input_modes=("text/csv", "text/tab-separated-values", "application/json", "text/plain"),
    output_modes=("text/markdown", "application/json", "image/svg+xml"),
)
SUMMARISE = SkillOffer(
    agent_id="agent_api",
    agent_name="API Agent",
    skill_id="summarise",
    name="Summarise",
    description="Extractive summary of text or of earlier results, in the length asked for.",
    tags=("summary", "text"),
    examples=("Summarise this report in three sentences", "Give me a short summary"),
    input_modes=("text/plain", "text/markdown", "text/html", "application/json"),
    output_modes=("text/markdown",),
)
FETCH = SkillOffer(
    agent_id="agent_api",
    agent_name="API Agent",
    skill_id="fetch",
    name="Fetch from an HTTP API",
    description="GETs a JSON API by its URL and returns the response.",
    tags=("http", "api", "json", "url"),
    examples=("Fetch https://api.example.com/v1/rates", "Call the API at https://example.com/x"),
    input_modes=("text/plain",),
    output_modes=("application/json",),
)
FORECAST = SkillOffer(
    agent_id="agent_weather",
    agent_name="Weather",
    skill_id="forecast",
    name="Forecast",
    description="Weather forecast for a city",
    tags=("weather",),
    examples=("weather in Oslo tomorrow",),
    input_modes=("text/plain",),
    output_modes=("text/plain",),
)
COMPARE = SkillOffer(
    agent_id="agent_compare",
    agent_name="Comparer",
    skill_id="compare",
    name="Compare",
    description="Compares two or more texts and lists what they share and where they differ",
    tags=("comparison", "differences"),
    examples=("Compare these two reports",),
    input_modes=("text/plain", "text/markdown"),
    output_modes=("text/markdown",),
)
NETWORK = (RESEARCH, ANALYSE, SUMMARISE, FETCH, FORECAST)

# The cards of the agents that come with the project, which say more than the ones above.
SHIPPED = (
    replace(
        RESEARCH,
        name="Research documents",
        description=(
            "Research a question: find out, look up and explain what documents say about a topic, "
            "with numbered citations that point at file and passage, and the gaps named."
        ),
        tags=("research", "find", "look up", "documents", "search", "question", "citations", "sources"),
        examples=(
            "Research how agents register with the coordinator",
            "Find out how failed tasks are retried",
            "What do the documents say about health checks?",
            "Look up which port the research agent listens on",
            "What does the attached report say about revenue in 2023?",
            "Investigate why tasks get stuck and which sources explain it",
        ),
    ),
    replace(
        ANALYSE,
        description=(
            "Analyse, chart and plot tables of data: profile, missing values, outliers, correlations, "
            "comparison by group, trends over time and seasons, with the SQL as evidence."
        ),
        tags=(
            "analyse",
            "analyze",
            "data",
            "csv",
            "json",
            "statistics",
            "chart",
            "plot",
            "trend",
            "correlation",
        ),
        examples=(
            "Analyse the attached weather data",
            "Chart sales by month",
            "Analyze data.csv and plot revenue over time",
            "Which columns of the table are correlated?",
            "Compare temperature by weather type and find outliers",
            "Show the trend of employment in manufacturing",
        ),
    ),
    replace(
        SUMMARISE,
        name="Summarise text",
        description=(
            "Summarise texts, reports and pages in sentences quoted from them, in the length asked "
            "for: sentences, bullet points, words or paragraphs. Citations are kept."
        ),
        tags=("summarise", "summarize", "summary", "condense", "shorten", "tldr", "key points"),
        examples=(
            "Summarise it in three sentences",
            "Summarize the attached report in five bullet points",
            "Give me a short summary of the findings",
            "Write a summary of the text in 100 words",
            "Condense the article into one paragraph",
        ),
    ),
    replace(
        FETCH,
        name="Fetch from an API",
        description="Fetch JSON or text from an HTTP API by its URL (GET http or https).",
        tags=("fetch", "get", "http", "https", "url", "api", "download", "request", "json"),
        examples=(
            "Fetch https://api.example.com/v1/items",
            "Get the JSON from https://example.com/data.json",
            "Call the API at https://api.example.com/status",
            "Download http://localhost:9000/metrics.json",
        ),
    ),
)

_STRANGERS = (
    ("translate_text", "Translate text", "Translates text between 40 languages", "translation"),
    ("caption_image", "Image captioning", "Describes what is in an image in a sentence", "vision"),
    ("run_sql", "SQL query", "Answers questions about a database by writing SQL", "database"),
    ("crm_lookup", "CRM lookup", "Finds customers and their orders in the CRM", "customers"),
    ("book_meeting", "Book a meeting", "Books a meeting in a shared calendar", "calendar"),
    ("send_email", "Send email", "Drafts and sends an email to a contact", "mail"),
    ("review_code", "Code review", "Reviews a pull request and reports findings", "code"),
    ("transcribe", "Transcribe audio", "Turns a recording into text", "audio"),
    ("invoice", "Create invoice", "Creates an invoice for a customer order", "billing"),
    ("moderate", "Moderate content", "Flags harmful content in a message", "safety"),
    ("classify_ticket", "Classify ticket", "Sorts support tickets by topic and urgency", "support"),
    ("extract_entities", "Extract entities", "Finds people, places and dates in text", "nlp"),
    ("plan_route", "Plan route", "Plans a driving route between two cities", "maps"),
    ("stock_quote", "Stock quote", "Current price of a share on the stock market", "finance"),
    ("generate_image", "Generate image", "Draws a picture from a description", "art"),
    ("unit_test", "Write unit tests", "Writes unit tests for a Python function", "testing"),
    ("order_status", "Order status", "Tells where a customer's parcel is", "shipping"),
    ("quiz", "Make a quiz", "Writes a quiz about a topic for a class", "education"),
    ("recipe", "Suggest recipe", "Suggests a recipe from what is in the fridge", "food"),
    ("insurance", "Life insurance quote", "Quotes life insurance for a person", "insurance"),
)
_PLACES = ("Acme", "Borealis", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Indigo", "Juniper")
_MODES = ("text/plain", "application/json", "image/png")


def strangers() -> tuple[SkillOffer, ...]:
    """200 offers of unrelated third-party agents, every one with its own wording."""
    return tuple(
        SkillOffer(
            agent_id=f"agent_{place.lower()}_{skill_id}",
            agent_name=f"{place} {name}",
            skill_id=f"{skill_id}_{place.lower()}",
            name=name,
            description=f"{description}. Made by {place} for teams that need data in one place.",
            tags=(tag, place.lower()),
            examples=(f"{name} for {place}", f"Use {place} to {description[0].lower()}"),
            input_modes=_MODES,
            output_modes=_MODES,
        )
        for place in _PLACES
        for skill_id, name, description, tag in _STRANGERS
    )
