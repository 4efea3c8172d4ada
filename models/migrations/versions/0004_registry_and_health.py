"""Admission, proof, circuit breaker, canaries and mailboxes of agents; reports, audit log, duties"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

import models.base

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_AT = models.base.UtcDateTime
_JSON = models.base.JsonDocument
_EVIDENCE = "evidence IN ('registration', 'heartbeat', 'probe', 'deep_probe', 'conformance', 'call', 'visit')"
_OLD_EVIDENCE = "evidence IN ('registration', 'heartbeat', 'probe', 'call')"
_LOOKED_BY = ("updated_at", "removed_at", "health_since")
_CHECKS = {
    "admission": "admission IN ('admitted', 'held')",
    "proof": "proof IN ('pending', 'proven', 'unproven', 'failed', 'waived')",
    "weight": "weight BETWEEN 0 AND 100",
    "streaks": "failures >= 0 AND successes >= 0 AND call_failures >= 0",
}


def agent_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("etag", sa.String(), nullable=True),
        sa.Column("signed_by", sa.String(), nullable=True),
        sa.Column("admission", sa.String(), nullable=False, server_default="admitted"),
        sa.Column("held_for", sa.String(), nullable=True),
        sa.Column("proof", sa.String(), nullable=False, server_default="waived"),
        sa.Column("proof_due_at", _AT(), nullable=True),
        sa.Column("facts", _JSON(), nullable=True),
        sa.Column("call_failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("breaker_trips", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("breaker_until", _AT(), nullable=True),
        sa.Column("is_drained", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("weight", sa.Integer(), nullable=False, server_default="100"),
        sa.Column("calls_ok", sa.Double(), nullable=False, server_default="0"),
        sa.Column("calls_failed", sa.Double(), nullable=False, server_default="0"),
        sa.Column("calls_at", _AT(), nullable=True),
        sa.Column("inbox_digest", sa.String(), nullable=True),
        sa.Column("next_active_at", _AT(), nullable=True),
        sa.Column("last_called_at", _AT(), nullable=True),
    ]


def upgrade() -> None:
    for column in agent_columns():
        op.add_column("agents", column)
    with op.batch_alter_table("agents") as batch_op:
        batch_op.drop_constraint(op.f("ck_agents_streaks"), type_="check")
        for name, condition in _CHECKS.items():
            batch_op.create_check_constraint(op.f(f"ck_agents_{name}"), condition)
    for looked_by in _LOOKED_BY:
        op.create_index(f"ix_agents_{looked_by}", "agents", [looked_by])
    _replace_evidence(_EVIDENCE)
    op.add_column("task_steps", sa.Column("choice", _JSON(), nullable=True))
    op.create_table(
        "agent_reports",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("report", _JSON(), nullable=False),
        sa.Column("created_at", _AT(), nullable=False),
        *_of_an_agent("agent_reports"),
    )
    op.create_index("ix_agent_reports_agent", "agent_reports", ["agent_id", "id"])
    op.create_table(
        "agent_events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("data", _JSON(), nullable=False),
        sa.Column("created_at", _AT(), nullable=False),
        *_of_an_agent("agent_events"),
    )
    op.create_index("ix_agent_events_agent", "agent_events", ["agent_id", "id"])
    op.create_table(
        "inbox_requests",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("request", _JSON(), nullable=False),
        sa.Column("response", _JSON(), nullable=True),
        sa.Column("created_at", _AT(), nullable=False),
        sa.Column("expires_at", _AT(), nullable=False),
        sa.Column("taken_at", _AT(), nullable=True),
        sa.Column("answered_at", _AT(), nullable=True),
        *_of_an_agent("inbox_requests"),
    )
    op.create_index("ix_inbox_requests_agent", "inbox_requests", ["agent_id", "taken_at"])
    op.create_table(
        "duties",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("expires_at", _AT(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_duties")),
    )


def _of_an_agent(table: str) -> list[SchemaItem]:
    return [
        sa.Column("tenant_id", sa.String(), server_default="default", nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f(f"fk_{table}_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    ]


def _replace_evidence(condition: str) -> None:
    with op.batch_alter_table("health_checks") as batch_op:
        batch_op.drop_constraint(op.f("ck_health_checks_evidence"), type_="check")
        batch_op.create_check_constraint(op.f("ck_health_checks_evidence"), condition)


def downgrade() -> None:
    for table in ("duties", "inbox_requests", "agent_events", "agent_reports"):
        op.drop_table(table)
    with op.batch_alter_table("task_steps") as batch_op:
        batch_op.drop_column("choice")
    op.execute("DELETE FROM health_checks WHERE evidence IN ('deep_probe', 'conformance', 'visit')")
    _replace_evidence(_OLD_EVIDENCE)
    for looked_by in _LOOKED_BY:
        op.drop_index(f"ix_agents_{looked_by}", "agents")
    with op.batch_alter_table("agents") as batch_op:
        for name in _CHECKS:
            batch_op.drop_constraint(op.f(f"ck_agents_{name}"), type_="check")
        batch_op.create_check_constraint(op.f("ck_agents_streaks"), "failures >= 0 AND successes >= 0")
    with op.batch_alter_table("agents") as batch_op:
        for column in agent_columns():
            batch_op.drop_column(column.name)
