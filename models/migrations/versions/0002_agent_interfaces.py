"""Agents that are called by other interfaces than JSON-RPC 1.0"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "agents", sa.Column("protocol_binding", sa.String(), nullable=False, server_default="JSONRPC")
    )
    op.add_column("agents", sa.Column("protocol_version", sa.String(), nullable=False, server_default="1.0"))
    op.add_column("agents", sa.Column("interface_tenant", sa.String(), nullable=True))


def downgrade() -> None:
    for name in ("interface_tenant", "protocol_version", "protocol_binding"):
        op.drop_column("agents", name)
