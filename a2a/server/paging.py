"""Page tokens: the place of the last task seen, opaque to the client and worth nothing without its caller."""

import base64
import binascii

from a2a.errors import FieldViolation, InvalidParams
from a2a.stores.base import Position

MAX_STATUS_US = 2**62
MAX_TOKEN_CHARS = 500


def page_token(position: Position | None) -> str:
    """Empty where there is no further page."""
    if position is None:
        return ""
    plain = f"{position.status_us}:{position.task_id}".encode()
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def position_of(token: str | None) -> Position | None:
    """Raises InvalidParams for a token that none of our answers held."""
    if not token:
        return None
    try:
        if len(token) > MAX_TOKEN_CHARS:
            raise ValueError
        plain = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        status_us, _, task_id = plain.decode().partition(":")
        position = Position(int(status_us), task_id)
        if not task_id or abs(position.status_us) > MAX_STATUS_US:
            raise ValueError
    except (ValueError, binascii.Error) as exc:
        rule = "take it from nextPageToken of the page before"
        raise InvalidParams(violations=[FieldViolation("pageToken", rule)]) from exc
    return position
