"""The verdict on an agent, from what was found. Pure."""

from collections.abc import Sequence

from coordinator.conformance.report import Check, Finding, InterfaceFacts, Outcome, Verdict
from coordinator.conformance.samples import Samples


def judge(
    samples: Samples, findings: Sequence[Finding], interfaces: Sequence[InterfaceFacts]
) -> tuple[Verdict, str]:
    """With the reason, one sentence."""
    usable = [interface.label for interface in interfaces if interface.is_usable]
    if usable and samples.tried:
        return Verdict.PROVEN, _proven(usable, findings)
    if usable:
        why = samples.left_out[0].reason if samples.left_out else "its card lists none"
        return (
            Verdict.UNPROVEN,
            f"No skill could be run ({why}); over {_listed(usable)} an invalid request was refused properly.",
        )
    return Verdict.FAILED, _failed(findings, interfaces)


def _proven(usable: Sequence[str], findings: Sequence[Finding]) -> str:
    slow = [one for one in findings if one.check is Check.SEND and one.outcome is Outcome.NOTED]
    if len(slow) == len(usable):
        return f"It takes tasks over {_listed(usable)}, but did not finish one in the time there was."
    return f"A real send came to its end over {_listed(usable)}."


def _failed(findings: Sequence[Finding], interfaces: Sequence[InterfaceFacts]) -> str:
    broken = [one for one in findings if one.outcome is Outcome.FAILED]
    needing = [one for one in broken if one.check is Check.CREDENTIALS]
    if needing:
        return f"It needs credentials, and this run has none: {needing[0].detail}"
    if not interfaces:
        urls = [one for one in broken if one.check is Check.ADVERTISED_URL]
        if urls:
            return f"It cannot be called: {urls[0].detail}"
        offered = [one.interface for one in findings if one.check is Check.INTERFACE]
        return f"It offers {_listed(offered)} alone, which is not spoken here."
    decisive = [one for one in broken if one.check in (Check.SEND, Check.INVALID_REQUEST, Check.INTERFACE)]
    if not decisive:
        return "Nothing that was sent came to its end."
    return f"No send came to its end; over {decisive[0].interface}: {decisive[0].detail}"


def _listed(names: Sequence[str]) -> str:
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last
