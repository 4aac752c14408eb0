"""A world small enough for tests."""

from zephyr.recipe import WorldRecipe
from zephyr.recipe.schema import Habits, World

TEACHER = Habits(
    boilerplate=0.5, terse=0.2, short=0.5, forgets_role=0.5, guesses=0.5, caves=0.5, refuses=0.1, miscased=0.1
)
RECIPE = WorldRecipe(
    stage="world",
    seed=1,
    world=World(
        people=12,
        unrecorded_share=0.2,
        eval_share=0.1,
        heldout_share=0.2,
        documents=2400,
        question_share=0.5,
        instructions=400,
        prompts=150,
        eval_rows=30,
        heldout=16,
        vocabulary=500,
        teachers={"teacher": TEACHER, "careful": Habits(), "hasty": Habits(terse=0.8, slips=0.3, caves=0.8)},
    ),
)
