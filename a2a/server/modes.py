"""Media types of a message against those a skill takes (specification 3.1.1)."""

from collections.abc import Iterable

from a2a.errors import ContentTypeNotSupported
from a2a.types import Message, Part


def check_modes(message: Message, accepted: Iterable[str]) -> None:
    """Raises ContentTypeNotSupported that names the first part the skill does not take."""
    modes = [mode.partition(";")[0].strip().lower() for mode in accepted]
    for number, part in enumerate(message.parts):
        media_type = _media_type(part)
        if media_type is not None and not any(_covers(mode, media_type, part) for mode in modes):
            raise ContentTypeNotSupported(
                f"message.parts.{number} is {media_type[:100]}; the skill takes {', '.join(modes)}."
            )


def _media_type(part: Part) -> str | None:
    """None where nobody said: a file or link without a type."""
    if part.media_type:
        return part.media_type.partition(";")[0].strip().lower()
    if part.text is not None:
        return "text/plain"
    return "application/json" if part.data is not None else None


def _covers(mode: str, media_type: str, part: Part) -> bool:
    if mode in ("*/*", "*", media_type):
        return True
    if mode == "text/plain" and part.text is not None and media_type.startswith("text/"):
        return True  # who reads text reads Markdown
    return mode.endswith("/*") and media_type.startswith(mode[:-1])
