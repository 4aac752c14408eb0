import pytest

from zephyr.mini.world import World, draw


@pytest.fixture(scope="session")
def world() -> World:
    return draw(1, people=12, unrecorded_share=0.2, eval_share=0.1, heldout_share=0.2)
