"""What each finding means for routing: one sentence for each check and outcome. Pure."""

from typing import Final

from coordinator.conformance.report import WHOLE_AGENT, Check, Finding, Outcome

_P, _F, _S, _N = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED, Outcome.NOTED

MEANINGS: Final[dict[tuple[Check, Outcome], str]] = {
    (Check.CARD, _P): "Its skills can be planned with.",
    (Check.CARD, _N): "Calls may be refused for this reason.",
    (Check.CARD, _F): "No step can be planned for it.",
    (Check.SKILL, _S): "Whether this skill works shows with the first real step.",
    (Check.ADVERTISED_URL, _P): "It can be called as its card says.",
    (Check.ADVERTISED_URL, _N): "Steps go to another host than the one that vouches for the card.",
    (Check.ADVERTISED_URL, _F): "No step is sent to this address.",
    (Check.INTERFACE, _S): "Steps are not sent over it.",
    (Check.INTERFACE, _F): "What had not been seen up to then is not relied on.",
    (Check.CREDENTIALS, _F): "Every step would be refused until it gets credentials for this agent.",
    (Check.SEND, _P): "Steps can be sent over it.",
    (Check.SEND, _N): "Steps can be sent over it, with time limits that leave room for its work.",
    (Check.SEND, _F): "No step is sent over it.",
    (Check.SEND, _S): "Whether a real send works shows with the first real step.",
    (Check.GET, _P): "A step can be taken up again after a lost connection.",
    (Check.GET, _S): "A step whose connection is lost cannot be taken up again.",
    (Check.GET, _F): "A step whose connection is lost cannot be taken up again, and polling does not work.",
    (Check.UNKNOWN_TASK, _P): "A task that the agent has lost is noticed at once.",
    (Check.UNKNOWN_TASK, _F): "A task that the agent has lost is noticed only when its time is up.",
    (Check.LIST, _P): "A message whose answer was lost can be looked for before it is sent again.",
    (Check.LIST, _N): "A message whose answer was lost cannot be looked for.",
    (Check.LIST, _S): "A message whose answer was lost cannot be looked for.",
    (Check.LIST, _F): "A message whose answer was lost cannot be looked for.",
    (Check.STREAM, _P): "Steps are streamed: progress is seen as it happens.",
    (Check.STREAM, _N): "Steps are streamed; the end of this one was not waited for.",
    (Check.STREAM, _S): "Steps are polled.",
    (Check.STREAM, _F): "Steps are polled, whatever the card says.",
    (Check.CANCEL, _P): "Work that nobody needs any more is stopped.",
    (Check.CANCEL, _N): "Whether work that nobody needs any more is stopped is not shown.",
    (Check.CANCEL, _S): "Whether its work can be stopped is not known.",
    (Check.CANCEL, _F): "Work that nobody needs any more goes on at the agent.",
    (Check.PUSH, _P): "Long steps need no open connection: the agent tells when they change.",
    (Check.PUSH, _S): "Notifications are not relied on.",
    (Check.PUSH, _F): "Notifications are not relied on, whatever the card says.",
    (Check.INVALID_REQUEST, _P): "It says what is wrong with a request, so that a bad step fails at once.",
    (
        Check.INVALID_REQUEST,
        _F,
    ): "It does not say what is wrong with a request: a bad step may fail late or do something else.",
}


def finding(check: Check, interface: str, outcome: Outcome, detail: str) -> Finding:
    return Finding(check, interface, outcome, detail, MEANINGS[check, outcome])


def about_agent(check: Check, outcome: Outcome, detail: str) -> Finding:
    return finding(check, WHOLE_AGENT, outcome, detail)
