"""What the loader decides about a file, in every situation that a file can be in."""

from dataclasses import replace

import pytest

from coordinator.loader.decide import (
    Abort,
    Check,
    Command,
    Remove,
    Report,
    Start,
    Stop,
    admitted,
    decide,
    next_due,
)
from coordinator.loader.state import AgentFile, Doing, Failure, FileState, Found, Policy, shared_names

OLD = Found("a.py", (1,))
NEW = Found("a.py", (2,))
REFUSED = Found("a.py", (2,), "it is too large")
POLICY = Policy(start_s=10, stop_s=10, first_pause_s=1, longest_pause_s=4, quick_s=60, max_quick_ends=4)
FINAL = Failure("SyntaxError: invalid syntax", is_final=True)
PASSING = Failure("it ended with exit code 3 before it served", is_final=False)
UNKNOWN = AgentFile("a.py")
SERVING = UNKNOWN.starting(OLD, 0).serving("A")
BROKEN = UNKNOWN.starting(OLD, 0).failed(FINAL, 1, POLICY)
PAUSED = UNKNOWN.starting(OLD, 0).failed(PASSING, 1, POLICY)
PASSED = SERVING.checking(NEW).passed()


def decided(found: Found | None, file: AgentFile | None, now: float = 0) -> list[Command]:
    return decide([found] if found else [], {file.name: file} if file else {}, now)


@pytest.mark.parametrize(
    ("found", "file", "command"),
    [
        (OLD, None, Start(OLD)),
        (REFUSED, None, Report(REFUSED, "it is too large")),
        (OLD, UNKNOWN.starting(OLD, 0), None),
        (NEW, UNKNOWN.starting(OLD, 0), Abort("a.py")),
        (None, UNKNOWN.starting(OLD, 0), Abort("a.py")),
        (NEW, UNKNOWN.starting(OLD, 0).aborting(), None),
        (NEW, UNKNOWN.starting(OLD, 0).aborting().aborted(), Start(NEW)),
        (OLD, SERVING, None),
        (None, SERVING, Remove("a.py")),
        (None, SERVING.removing(), None),
        (NEW, SERVING, Check(NEW)),
        (REFUSED, SERVING, Report(REFUSED, "it is too large")),
        (NEW, SERVING.checking(NEW), None),
        (OLD, SERVING.checking(NEW), Abort("a.py")),
        (NEW, PASSED, Stop("a.py")),
        (NEW, PASSED.stopping(), None),
        (NEW, PASSED.stopping().stopped(), Start(NEW)),
        (NEW, SERVING.checking(NEW).failed(FINAL, 1, POLICY), None),
        (OLD, SERVING.checking(NEW).failed(FINAL, 1, POLICY), Report(OLD, None)),
        (OLD, BROKEN, None),
        (NEW, BROKEN, Start(NEW)),
        (None, BROKEN, Remove("a.py")),
        (NEW, PAUSED, Start(NEW)),
        (None, PAUSED, Remove("a.py")),
    ],
)
def test_each_situation_has_its_command(
    found: Found | None, file: AgentFile | None, command: Command | None
) -> None:
    assert decided(found, file) == ([command] if command is not None else [])


def test_a_file_that_failed_starts_again_after_its_pause() -> None:
    assert decided(OLD, PAUSED, now=1.9) == []
    assert decided(OLD, PAUSED, now=2) == [Start(OLD)]
    assert next_due({"a.py": PAUSED}) == 2


def test_a_file_that_is_not_waiting_is_not_due() -> None:
    """Else the loop would run without a pause."""
    assert (
        next_due({"a.py": replace(PAUSED, doing=Doing.CHECKING), "b.py": replace(PAUSED, is_bad=True)})
        is None
    )


def test_pauses_grow_to_a_bound_and_then_the_file_is_left() -> None:
    file, pauses = UNKNOWN, []
    for _ in range(POLICY.max_quick_ends - 1):
        file = file.starting(OLD, 0).failed(PASSING, 0, POLICY)
        pauses.append(file.retry_at)
    assert pauses == [1, 2, 4]
    file = file.starting(OLD, 0).failed(PASSING, 0, POLICY)
    assert file.state is FileState.BROKEN
    assert file.error is not None
    assert "4 times in a row and is left until it changes" in file.error
    assert decided(OLD, file, now=1_000) == []


def test_a_process_that_lived_long_has_all_its_attempts_again() -> None:
    file = UNKNOWN.starting(OLD, 0).serving("A")
    for at in (100, 200, 300, 400, 500):
        file = file.died("its process was ended by SIGKILL", at, POLICY)
        assert file.retry_at == at + 1
        file = file.starting(OLD, at + 1).serving("A")


def test_a_new_version_has_all_its_attempts() -> None:
    file = UNKNOWN
    for _ in range(POLICY.max_quick_ends - 1):
        file = file.starting(OLD, 0).failed(PASSING, 0, POLICY)
    assert file.starting(NEW, 0).failed(PASSING, 0, POLICY).retry_at == 1


def test_a_broken_new_version_leaves_the_old_one_serving_and_is_reported() -> None:
    file = SERVING.checking(NEW).failed(FINAL, 1, POLICY)
    assert (file.state, file.error) == (FileState.SERVING, FINAL.why)


def test_the_error_is_gone_when_the_file_is_what_is_served_again() -> None:
    file = SERVING.checking(NEW).failed(FINAL, 1, POLICY).reported(OLD, None)
    assert (file.state, file.error) == (FileState.SERVING, None)
    assert decided(OLD, file) == []


def test_when_the_old_version_dies_there_is_only_the_broken_one() -> None:
    file = SERVING.checking(NEW).failed(FINAL, 1, POLICY).died("its process was ended by SIGKILL", 2, POLICY)
    assert (file.state, file.error) == (FileState.BROKEN, FINAL.why)
    assert decided(NEW, file, now=1_000) == []


def test_when_the_old_version_dies_during_the_check_the_new_one_starts_at_once() -> None:
    file = SERVING.checking(NEW).died("its process was ended by SIGKILL", 2, POLICY)
    assert decided(NEW, file) == []
    assert decided(NEW, file.passed()) == [Start(NEW)]


def test_a_problem_that_goes_away_without_a_change_is_noticed() -> None:
    unreadable = replace(OLD, problem="it cannot be read: Permission denied")
    file = UNKNOWN.reported(unreadable, unreadable.problem)
    assert decided(unreadable, file) == []
    assert decided(OLD, file) == [Start(OLD)]


def test_files_do_not_disturb_each_other() -> None:
    other = Found("b.py", (1,))
    assert decide([OLD, other], {"a.py": BROKEN}, 0) == [Start(other)]


def test_more_files_than_allowed_wait_and_who_is_in_keeps_the_place() -> None:
    found = [Found(name, (1,)) for name in ("a.py", "b.py", "c.py")]
    known = {"c.py": AgentFile("c.py").starting(found[2], 0).serving("C")}
    admitted_files = admitted(found, known, 2)
    assert [file.name for file in admitted_files if file.problem is None] == ["a.py", "c.py"]
    (waiting,) = (file for file in admitted_files if file.problem is not None)
    known["b.py"] = AgentFile("b.py").reported(waiting, waiting.problem)
    later = admitted(found[1:], known, 2)
    assert decide(later, known, 0) == [Start(found[1])]


def test_a_name_that_two_served_files_have_is_shared() -> None:
    served = [AgentFile(name).starting(OLD, 0).serving("Same") for name in ("a.py", "b.py")]
    assert shared_names(served) == {"Same"}
    assert shared_names([served[0], served[1].stopped()]) == frozenset()
