"""Which step gets which file of the task. A file that no step gets is always reported."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.planner.match import fits_media
from coordinator.planner.plan import Attachment
from coordinator.planner.references import media_type, mentioned
from coordinator.registry.offers import SkillOffer

_LIKE_PLAIN_TEXT = frozenset({"text/plain", "text/markdown", "text/x-markdown"})


def hand_out(
    attachments: Sequence[Attachment],
    texts: Sequence[str],
    has_input: Sequence[bool],
    offers: Sequence[SkillOffer],
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """File names per step, and notes for the user.

    `texts`, `has_input` (whether the step gets an earlier result) and `offers` (the chosen skill)
    are per step. A file goes to the steps that mention it; else to the steps without an earlier
    result whose skill takes its type, those that name the type before those that take any.
    """
    taken: list[list[str]] = [[] for _ in texts]
    notes: list[str] = []
    mentions = [mentioned(text, attachments) for text in texts]
    for attachment in attachments:
        kind = media_type(attachment)
        takers = [step for step, files in enumerate(mentions) if attachment in files]
        if not takers:
            free = [step for step in range(len(texts)) if not has_input[step]]
            takers = [step for step in free if fits_media([kind], offers[step].input_modes)]
            takers = takers or [step for step in free if accepts(kind, offers[step].input_modes)]
        else:
            fitting = [step for step in takers if accepts(kind, offers[step].input_modes)]
            if fitting:  # who works on an earlier result can do without a file it cannot read
                takers = [step for step in takers if step in fitting or not has_input[step]]
            if refusing := [step for step in takers if step not in fitting]:
                notes.append(_refusal(attachment, kind, refusing))
        if not takers:
            notes.append(
                f"{attachment.name} ({kind}) goes to no step: none mentions it, and no step that "
                "starts without an earlier result takes this type. Name the file in the request."
            )
        for step in takers:
            taken[step].append(attachment.name)
    return [tuple(dict.fromkeys(names)) for names in taken], tuple(notes)


def accepts(kind: str, modes: Sequence[str]) -> bool:
    """Whether a skill with these input modes takes the type; no modes declared means any."""
    if not modes or "*/*" in modes or kind in modes or fits_media([kind], modes):
        return True
    return kind in _LIKE_PLAIN_TEXT and "text/plain" in modes


def _refusal(attachment: Attachment, kind: str, steps: Sequence[int]) -> str:
    numbers = ", ".join(str(step + 1) for step in steps)
    return (
        f"{attachment.name} ({kind}) goes to step {numbers}, which mentions it, although the skill "
        "does not list this type."
    )
