"""Rows of the registry into the shapes of the API."""

from typing import Any, Literal

from sqlalchemy import Row

from coordinator.api import agent_schemas as schemas
from models.states import HealthState

AnyRow = Row[Any]

_STATUS: dict[HealthState, Literal["ACTIVE", "INACTIVE", "ERROR"]] = {
    HealthState.UP: "ACTIVE",
    HealthState.DEGRADED: "ACTIVE",
    HealthState.QUARANTINED: "INACTIVE",
    HealthState.DRAINING: "INACTIVE",
    HealthState.DOWN: "ERROR",
}


def agent_status(state: HealthState) -> Literal["ACTIVE", "INACTIVE", "ERROR"]:
    return _STATUS[state]


def health(row: AnyRow) -> schemas.HealthOut:
    return schemas.HealthOut(
        state=row.health,
        reason=row.health_reason,
        since=row.health_since,
        last_checked_at=row.last_checked_at,
        last_heartbeat_at=row.last_heartbeat_at,
        last_called_at=row.last_called_at,
        next_active_at=row.next_active_at,
        breaker=schemas.BreakerOut(failed_calls=row.call_failures, open_until=row.breaker_until),
    )


def agent(row: AnyRow, skills: list[Row[Any]]) -> schemas.AgentOut:
    return schemas.AgentOut(
        id=row.id,
        name=row.name,
        description=row.description,
        version=row.version,
        card_url=row.card_url,
        url=row.url,
        binding=row.protocol_binding,
        protocol_version=row.protocol_version,
        signed_by=row.signed_by,
        status=_STATUS[HealthState(row.health)],
        admission=schemas.AdmissionOut(state=row.admission, held_for=row.held_for),
        proof=row.proof,
        weight=row.weight,
        is_drained=row.is_drained,
        health=health(row),
        skills=[
            schemas.SkillOut(
                id=skill.skill_id,
                name=skill.name,
                description=skill.description,
                tags=skill.tags,
                examples=skill.examples,
                input_modes=skill.input_modes,
                output_modes=skill.output_modes,
            )
            for skill in skills
        ],
        load=row.load,
        registered_at=row.registered_at,
    )


def check(row: AnyRow) -> schemas.HealthCheckOut:
    return schemas.HealthCheckOut(
        evidence=row.evidence,
        ok=row.ok,
        detail=row.detail,
        latency_ms=row.latency_ms,
        state=row.health,
        at=row.created_at,
    )


def report(agent_row: AnyRow, row: AnyRow) -> schemas.ReportOut:
    return schemas.ReportOut(
        agent_id=row.agent_id,
        verdict=row.verdict,
        reason=row.report["reason"],
        findings=row.report["findings"],
        interfaces=row.report["interfaces"],
        started_at=row.report["started_at"],
        took_s=row.report["took_s"],
        next_at=agent_row.proof_due_at,
    )


def event(row: AnyRow) -> schemas.AgentEventOut:
    return schemas.AgentEventOut(
        id=row.id,
        agent_id=row.agent_id,
        kind=row.kind,
        actor=row.actor,
        data=row.data,
        at=row.created_at,
    )
