"""A run that a test kills: `python -m tests.teacher.killed URL ROWS CALLS_PER_ROW FOLDER`; settings by environment.

A row is several calls, each from the answer of the one before, as dialogues are.
"""

import json
import os
import sys
from pathlib import Path

from tests.teacher.asking import model_at
from zephyr.recipe.teacher import Budget
from zephyr.teacher.ask import Teacher, run_rows
from zephyr.teacher.call import Answer, Call, Failure


def main(url: str, n_rows: int, n_calls: int, folder: Path) -> None:
    settings = json.loads(os.environ.get("MODEL", "{}"))
    model = model_at(url, **settings)

    async def work(teacher: Teacher, row: int) -> list[str] | Failure:
        texts: list[str] = []
        for turn in range(n_calls):
            messages = ({"role": "system", "content": texts[-1] if texts else "start"},
                        {"role": "user", "content": f"row {row} turn {turn}"})  # fmt: skip
            found = await teacher.ask(model, Call(messages=messages, temperature=1.0, top_p=1.0, max_tokens=100))
            if not isinstance(found, Answer):
                return found
            texts.append(found.text)
        return texts

    budget = Budget(**json.loads(os.environ.get("BUDGET", "{}")))
    rows = run_rows(
        range(n_rows), work, models={"teacher": model}, budget=budget, folder=folder, n_rows=n_rows, label="k"
    )
    results = [result for _, result in rows]
    (folder / "results.json").write_text(json.dumps([each if isinstance(each, list) else None for each in results]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
