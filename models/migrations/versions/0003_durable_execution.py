"""Priorities, webhooks, retried tasks, steps that do an item of a list, gates, what agents said to a cancel"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import models.base

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def task_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("traceparent", sa.String(), nullable=True),
        sa.Column("webhook", models.base.JsonDocument(), nullable=True),
        sa.Column("retry_of", sa.String(), nullable=True),
    ]


def step_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("item_index", sa.Integer(), nullable=True),
        sa.Column("item", models.base.JsonDocument(), nullable=True),
        sa.Column("is_approved", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("memory_id", sa.String(), nullable=True),
        sa.Column("cancel_answer", sa.String(), nullable=True),
    ]


def upgrade() -> None:
    for table, columns in (("tasks", task_columns()), ("task_steps", step_columns())):
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("next_try_at", models.base.UtcDateTime(), nullable=False),
        sa.Column("created_at", models.base.UtcDateTime(), nullable=False),
        sa.Column("delivered_at", models.base.UtcDateTime(), nullable=True),
        sa.Column("tenant_id", sa.String(), server_default="default", nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_status")
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_webhook_deliveries_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["next_try_at"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_webhook_deliveries_task", "webhook_deliveries", ["task_id"])


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    for table, columns in (("task_steps", step_columns()), ("tasks", task_columns())):
        with op.batch_alter_table(table) as batch_op:
            for column in columns:
                batch_op.drop_column(column.name)
