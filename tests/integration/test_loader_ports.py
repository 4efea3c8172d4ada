"""Which port a file gets, with real sockets."""

from collections.abc import Iterator
from itertools import count

import pytest

from coordinator.loader.ports import FIRST_PORT, PORTS, Homes, is_free, listen_on, ports_for

NAME = "of_this_test_alone.py"
FIRST = next(ports_for(NAME))


@pytest.fixture
def homes() -> Iterator[Homes]:
    homes = Homes()
    yield homes
    for name in (NAME, twin()):
        homes.close(name)


@pytest.fixture(autouse=True)
def _needs_the_port() -> None:
    if not is_free(FIRST):
        pytest.skip(f"port {FIRST} is in use on this machine")


def twin() -> str:
    """Another name with the same first port."""
    return next(name for number in count() if next(ports_for(name := f"twin_{number}.py")) == FIRST)


def test_a_name_leads_to_every_port_of_the_range_once() -> None:
    assert sorted(ports_for(NAME)) == list(range(FIRST_PORT, FIRST_PORT + PORTS))


async def test_a_file_has_the_same_port_each_time(homes: Homes) -> None:
    first = await homes.take(NAME)
    assert await homes.take(NAME) is first
    homes.forget(NAME)
    await homes.take(NAME)
    assert homes.url(NAME) == f"http://127.0.0.1:{FIRST}"


async def test_two_files_whose_names_lead_to_one_port_have_two(homes: Homes) -> None:
    await homes.take(NAME)
    await homes.take(twin())
    assert homes.url(twin()) not in (None, homes.url(NAME))


async def test_a_port_stays_with_its_file_while_nothing_listens_there(homes: Homes) -> None:
    await homes.take(NAME)
    homes.close(NAME)
    assert is_free(FIRST)
    await homes.take(twin())
    await homes.take(NAME)
    assert homes.url(NAME) == f"http://127.0.0.1:{FIRST}"


async def test_a_port_that_another_program_has_is_left_to_it(homes: Homes) -> None:
    with listen_on(FIRST):
        await homes.take(NAME)
    assert homes.url(NAME) not in (None, f"http://127.0.0.1:{FIRST}")
