"""The command line reads what the API writes: its shapes are held against the API's schemas."""

import pytest
from pydantic import BaseModel

from coordinator.api import agent_schemas, plan_schemas, schemas
from coordinator.cli import shapes

PAIRS: list[tuple[type[BaseModel], type[BaseModel]]] = [
    (shapes.AgentRef, schemas.AgentRef),
    (shapes.Failure, schemas.Failure),
    (shapes.Candidate, plan_schemas.CandidateOut),
    (shapes.PlannedStep, plan_schemas.PlannedStepOut),
    (shapes.Plan, plan_schemas.PlanOut),
    (shapes.Accepted, schemas.TaskAccepted),
    (shapes.Step, schemas.StepOut),
    (shapes.Artifact, schemas.ArtifactOut),
    (shapes.Source, schemas.Source),
    (shapes.Result, schemas.ResultOut),
    (shapes.Gap, schemas.Gap),
    (shapes.TaskSummary, schemas.TaskSummary),
    (shapes.Webhook, schemas.WebhookOut),
    (shapes.Task, schemas.TaskOut),
    (shapes.TaskPage, schemas.TaskPage),
    (shapes.Why, schemas.Why),
    (shapes.Skill, agent_schemas.SkillOut),
    (shapes.Health, agent_schemas.HealthOut),
    (shapes.Agent, agent_schemas.AgentOut),
    (shapes.Breaker, agent_schemas.BreakerOut),
    (shapes.AgentHealth, agent_schemas.HealthOut),
    (shapes.Admission, agent_schemas.AdmissionOut),
    (shapes.AgentDetail, agent_schemas.AgentOut),
    (shapes.Finding, agent_schemas.FindingOut),
    (shapes.Report, agent_schemas.ReportOut),
    (shapes.AgentList, agent_schemas.AgentList),
]


@pytest.mark.parametrize(("read", "written"), PAIRS, ids=lambda shape: shape.__name__)
def test_every_field_that_is_read_is_written(read: type[BaseModel], written: type[BaseModel]) -> None:
    assert set(read.model_fields) <= set(written.model_fields)


@pytest.mark.parametrize(("read", "written"), PAIRS, ids=lambda shape: shape.__name__)
def test_what_may_be_null_is_read_as_such(read: type[BaseModel], written: type[BaseModel]) -> None:
    for name, field in read.model_fields.items():
        nullable = type(None) in getattr(written.model_fields[name].annotation, "__args__", ())
        if nullable:
            assert type(None) in getattr(field.annotation, "__args__", ()), name


def test_every_shape_is_held_against_one() -> None:
    ours = {
        shape
        for shape in vars(shapes).values()
        if isinstance(shape, type) and issubclass(shape, shapes.Shape)
    }
    assert ours - {shapes.Shape, shapes.Event} == {read for read, _ in PAIRS}
