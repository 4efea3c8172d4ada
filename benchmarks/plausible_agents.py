"""Ten thousand agents that might exist, and what somebody might ask of them: from word lists, with a seed."""

import random
from collections.abc import Iterator

from coordinator.registry.offers import SkillOffer

SEED = 20261128


def _words(text: str) -> list[str]:
    return text.split()


ACTIONS = _words(
    """
    analyse summarise translate classify forecast extract compare validate convert schedule monitor book
    search draft review rank cluster transcribe reconcile estimate route plan annotate detect optimise
    generate verify index merge audit price match recommend explain tag simulate track file notify test
    """
)
DOMAINS = _words(
    """
    weather invoices contracts flights hotels recipes genomes proteins satellites traffic energy ships
    trains parcels medicine radiology payroll taxes insurance mortgages stocks bonds currencies crops
    soil rivers earthquakes glaciers forests birds whales insects patents trademarks lawsuits court
    statutes elections surveys census schools exams homework libraries museums paintings music podcasts
    films subtitles games chess football cycling marathons gyms diets allergies vaccines hospitals
    clinics dentistry pharmacies logistics warehouses procurement suppliers inventory retail coupons
    reviews tickets events weddings gardens bridges tunnels buildings permits sensors robots drones
    batteries turbines grids refineries pipelines mines quarries steel textiles fashion jewellery
    furniture toys cars motorcycles bicycles parking charging roads maps addresses geology astronomy
    planets telescopes physics chemistry materials statistics algebra proofs code tests builds
    deployments logs incidents alerts networks firewalls passwords certificates backups databases
    """
)
QUALITIES = _words(
    """
    daily weekly historical realtime regional national annual scanned handwritten noisy structured
    public private clinical industrial municipal rural coastal urban legal financial scientific
    educational seasonal archived
    """
)
OBJECTS = _words(
    """
    reports tables charts records images documents letters prices schedules risks trends anomalies
    summaries entities measurements readings transcripts costs budgets claims orders shipments citations
    questions feeds
    """
)
PLACES = _words(
    """
    Oslo Lima Nairobi Quito Hanoi Porto Turin Ghent Osaka Perth Cork Bergen Tunis Dakar Riga Malmo
    """
)
SYLLABLES = _words(
    """
    ba ce di fo gu ka le mi no pu ra se ti vo xu za bri cla dro fle
    """
)
MODES = _words("text/plain text/csv application/json application/pdf image/png audio/mpeg text/html")
EXTENSIONS = _words("urn:parley:deadline:v1 urn:parley:deduplication:v1 https://example.com/trace/v1")
KINDS = _words("agent service desk lab")


def agents(count: int) -> Iterator[list[SkillOffer]]:
    """The two or three skills of each agent; some domains are far more frequent than others."""
    chance = random.Random(SEED)  # noqa: S311 no secret
    weights = [1 / (rank + 5) for rank in range(len(DOMAINS))]
    for number in range(count):
        domain = chance.choices(DOMAINS, weights)[0]
        name = f"{chance.choice(QUALITIES)} {domain} {chance.choice(KINDS)} {number}".title()
        extensions = tuple(chance.sample(EXTENSIONS, chance.randrange(3)))
        skills = chance.sample(ACTIONS, chance.choice((2, 3)))
        yield [
            _skill(chance, f"agent_{number:05}", name.title(), skill, domain, extensions) for skill in skills
        ]


def _skill(
    chance: random.Random,
    agent_id: str,
    agent_name: str,
    action: str,
    domain: str,
    extensions: tuple[str, ...],
) -> SkillOffer:
    quality, thing, other = chance.choice(QUALITIES), chance.choice(OBJECTS), chance.choice(OBJECTS)
    place = chance.choice(PLACES)
    return SkillOffer(
        agent_id=agent_id,
        agent_name=agent_name,
        skill_id=f"{action}-{domain}",
        name=f"{action} {domain}".capitalize(),
        description=(
            f"{action.capitalize()} {quality} {domain} {thing} and {other} "
            f"for {chance.choice(DOMAINS)} teams, with {chance.choice(OBJECTS)} "
            f"by region, source and date. Runs on {_coined(chance)}."
        ),
        tags=(domain, action, thing),
        examples=(f"{action} the {domain} {thing} of {place}", f"{action} {quality} {other} about {domain}"),
        input_modes=tuple(chance.sample(MODES, 2)),
        output_modes=tuple(chance.sample(MODES, 1)),
        extensions=extensions,
    )


def _coined(chance: random.Random) -> str:
    """A word that few others have: a product's name."""
    return "".join(chance.choice(SYLLABLES) for _ in range(3)).capitalize()


def queries(count: int) -> list[str]:
    """From one word to a sentence; some hold words that nobody offers."""
    chance = random.Random(SEED + 1)  # noqa: S311 no secret
    forms = (
        lambda: chance.choice(DOMAINS),
        lambda: chance.choice(ACTIONS),
        lambda: f"{chance.choice(ACTIONS)} {chance.choice(DOMAINS)}",
        lambda: (
            f"{chance.choice(ACTIONS)} the {chance.choice(QUALITIES)} {chance.choice(DOMAINS)} "
            f"{chance.choice(OBJECTS)} of {chance.choice(PLACES)} and write a letter"
        ),
        lambda: (
            f"I need somebody who can {chance.choice(ACTIONS)} {chance.choice(OBJECTS)} about "
            f"{chance.choice(DOMAINS)} and {chance.choice(DOMAINS)} before it rains zeppelins"
        ),
        lambda: f"{chance.choice(OBJECTS)} {chance.choice(QUALITIES)}",
        lambda: f"{chance.choice(DOMAINS)} on {_coined(chance)}",
    )
    return [chance.choice(forms)() for _ in range(count)]
