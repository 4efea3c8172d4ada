"""Places on agents: how many there are, who gets the next, what an agent is found to take."""

from coordinator.executor.slots import GROW_AFTER, Slots, Ticket


class Waiting:
    """Those who queue, and in which order they were woken."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.woken: list[str] = []

    def queue(self, name: str, agent_id: str = "a", *, priority: int = 0, declared: int = 1) -> Ticket:
        assert not self.slots.has_room(agent_id, declared)
        return self.slots.queue(agent_id, declared, priority, lambda: self.woken.append(name))


def taken(slots: Slots, agent_id: str, count: int) -> None:
    for _ in range(count):
        slots.take(agent_id)


def test_an_agent_takes_as_many_as_it_declares() -> None:
    slots = Slots(100)
    taken(slots, "a", 2)
    assert slots.has_room("a", 3)
    assert not slots.has_room("a", 2)
    assert slots.has_room("b", 2)


def test_an_agent_that_declares_nothing_takes_as_many_as_may_run() -> None:
    slots = Slots(3)
    taken(slots, "a", 2)
    assert slots.has_room("a", None)
    slots.take("a")
    assert not slots.has_room("a", None)


def test_no_more_run_in_all_than_allowed() -> None:
    slots = Slots(2)
    taken(slots, "a", 2)
    assert not slots.has_room("b", 10)
    slots.give_back("a")
    assert slots.has_room("b", 10)


def test_a_place_that_is_given_back_goes_to_who_came_first() -> None:
    slots = Slots(100)
    waiting = Waiting(slots)
    slots.take("a")
    first, second = waiting.queue("first"), waiting.queue("second")
    slots.give_back("a")
    assert waiting.woken == ["first"]
    assert (first.is_given, second.is_given) == (True, False)


def test_the_more_urgent_goes_first() -> None:
    slots = Slots(100)
    waiting = Waiting(slots)
    slots.take("a")
    waiting.queue("usual")
    waiting.queue("urgent", priority=5)
    slots.give_back("a")
    assert waiting.woken == ["urgent"]


def test_a_given_place_counts_as_taken_until_it_is_given_back() -> None:
    slots = Slots(100)
    slots.take("a")
    ticket = Waiting(slots).queue("first")
    slots.give_back("a")
    assert slots.running("a") == 1
    slots.use(ticket)
    assert slots.running("a") == 1
    slots.give_back("a")
    assert slots.running("a") == 0


def test_a_given_place_that_is_not_wanted_goes_to_the_next() -> None:
    slots = Slots(100)
    waiting = Waiting(slots)
    slots.take("a")
    first, _ = waiting.queue("first"), waiting.queue("second")
    slots.give_back("a")
    slots.leave(first)
    assert waiting.woken == ["first", "second"]
    assert slots.running("a") == 1


def test_who_has_left_the_queue_is_passed_over() -> None:
    slots = Slots(100)
    waiting = Waiting(slots)
    slots.take("a")
    first, _ = waiting.queue("first"), waiting.queue("second")
    slots.leave(first)
    slots.give_back("a")
    assert waiting.woken == ["second"]


def test_a_place_is_left_once() -> None:
    slots = Slots(100)
    slots.take("a")
    ticket = Waiting(slots).queue("first")
    slots.give_back("a")
    slots.leave(ticket)
    slots.leave(ticket)
    assert slots.running("a") == 0


def test_a_used_place_is_not_left_with_the_ticket() -> None:
    slots = Slots(100)
    slots.take("a")
    ticket = Waiting(slots).queue("first")
    slots.give_back("a")
    slots.use(ticket)
    slots.leave(ticket)
    assert slots.running("a") == 1


def test_who_waits_for_any_place_gets_one_that_another_agent_gave_back() -> None:
    slots = Slots(1)
    waiting = Waiting(slots)
    slots.take("a")
    ticket = waiting.queue("for b", "b", declared=10)
    slots.give_back("a")
    assert waiting.woken == ["for b"]
    assert ticket.is_given
    assert (slots.running("a"), slots.running("b")) == (0, 1)


# What is learned.


def test_an_agent_that_is_busy_gets_one_less_than_it_had() -> None:
    slots = Slots(100)
    taken(slots, "a", 5)
    slots.found_busy("a")
    assert slots.limit("a", None) == 4
    assert not slots.has_room("a", None)


def test_an_agent_that_is_busy_with_others_still_gets_one() -> None:
    slots = Slots(100)
    slots.take("a")
    slots.found_busy("a")
    assert slots.limit("a", None) == 1


def test_what_an_agent_declares_is_never_exceeded_by_what_was_learned() -> None:
    slots = Slots(100)
    taken(slots, "a", 5)
    slots.found_busy("a")
    assert slots.limit("a", 2) == 2


def test_an_agent_gets_one_more_after_a_few_good_answers() -> None:
    slots = Slots(100)
    taken(slots, "a", 5)
    slots.found_busy("a")
    for _ in range(GROW_AFTER - 1):
        slots.answered("a")
    assert slots.limit("a", None) == 4
    slots.answered("a")
    assert slots.limit("a", None) == 5


def test_good_answers_before_it_was_busy_do_not_count() -> None:
    slots = Slots(100)
    taken(slots, "a", 5)
    slots.found_busy("a")
    for _ in range(GROW_AFTER - 1):
        slots.answered("a")
    slots.found_busy("a")
    slots.answered("a")
    assert slots.limit("a", None) == 4


def test_what_was_learned_is_forgotten_once_all_may_run() -> None:
    slots = Slots(5)
    taken(slots, "a", 5)
    slots.found_busy("a")
    assert slots.limit("a", None) == 4
    for _ in range(GROW_AFTER):
        slots.answered("a")
    assert slots.limit("a", 1_000) == 1_000


def test_places_that_have_come_with_good_answers_are_given_too() -> None:
    slots = Slots(100)
    waiting = Waiting(slots)
    taken(slots, "a", 3)
    slots.found_busy("a")
    for name in ("first", "second"):
        waiting.queue(name, declared=3)
    slots.give_back("a")
    for _ in range(GROW_AFTER):
        slots.answered("a")
    slots.give_back("a")
    assert waiting.woken == ["first", "second"]


def test_an_agent_that_was_found_busy_is_given_less_although_others_queue_for_it() -> None:
    slots = Slots(100)
    waiting = Waiting(slots)
    taken(slots, "a", 3)
    waiting.queue("next", declared=3)
    slots.found_busy("a")
    slots.give_back("a")
    assert waiting.woken == [], "two run, and two is what it takes"
    slots.give_back("a")
    assert waiting.woken == ["next"]


def test_who_waits_for_any_place_gets_none_on_an_agent_that_is_full() -> None:
    slots = Slots(2)
    waiting = Waiting(slots)
    slots.take("a")
    slots.take("b")
    waiting.queue("for a", "a", declared=1)
    waiting.queue("for c", "c", declared=1)
    slots.give_back("b")
    assert waiting.woken == ["for c"], "a has the one that it declares"
    slots.give_back("a")
    assert waiting.woken == ["for c", "for a"]
