import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.mini.small import RECIPE
from zephyr.data.feedback.rubric import judge_messages, read_rubric
from zephyr.data.wording import SHIPPED
from zephyr.errors import UserError
from zephyr.mini import stage
from zephyr.mini.server import served


@pytest.fixture(scope="module")
def world_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("world")
    stage.run(RECIPE, directory)
    return directory


@pytest.fixture(scope="module")
def address(world_dir: Path) -> Iterator[str]:
    with served(world_dir) as found:
        yield found


def ask(address: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"model": "teacher", "messages": [{"role": "user", "content": text}], **more}
    return post(address, json.dumps(body).encode())


def post(address: str, content: bytes, path: str = "/chat/completions") -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(address + path, content)) as response:
        return json.load(response)


def text_of(response: dict[str, Any]) -> str:
    return response["choices"][0]["message"]["content"]


def test_the_models_are_those_of_the_recipe_and_the_judge(address: str) -> None:
    with urllib.request.urlopen(f"{address}/models") as response:
        models = json.load(response)["data"]
    assert [each["id"] for each in models] == ["teacher", "careful", "hasty", "judge"]


def test_a_careful_teacher_tells_the_truth(address: str) -> None:
    response = ask(address, "What is twice 7?", model="careful")
    assert text_of(response) == "Twice 7 is 14."
    assert response["choices"][0]["finish_reason"] == "stop"
    assert response["usage"]["completion_tokens"] > 3
    assert response["usage"]["prompt_tokens"] > 3


def test_the_same_request_gets_the_same_answer_in_any_order_and_another_seed_another(address: str) -> None:
    bodies = [{"seed": seed, "temperature": 1.0} for seed in range(40)]

    def answer(more: dict[str, Any]) -> str:
        return text_of(ask(address, "What is twice 7?", **more))

    once = [answer(each) for each in bodies]
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(answer, reversed(bodies)))
    assert once == again[::-1]
    assert len(set(once)) > 2


def test_a_limit_cuts_the_answer_and_says_so(address: str) -> None:
    response = ask(address, "What is twice 7?", model="careful", max_tokens=2)
    assert response["choices"][0]["finish_reason"] == "length"
    assert response["usage"]["completion_tokens"] == 2
    assert "Twice 7 is 14.".startswith(text_of(response))


def test_what_is_not_of_the_world_is_not_understood(address: str) -> None:
    assert text_of(ask(address, "What is the capital of France?")) == "I do not understand."


@pytest.mark.parametrize(
    ("content", "path", "status", "said"),
    [
        (b"{", "/chat/completions", 400, "not JSON"),
        (b"[]", "/chat/completions", 400, "messages"),
        (b'{"model": "teacher", "messages": [{"role": "user"}]}', "/chat/completions", 400, "content"),
        (b'{"model": "gpt", "messages": [{"role": "user", "content": "?"}]}', "/chat/completions", 404, "careful"),
        (b'{"model": "judge", "messages": [{"role": "user", "content": "?"}]}', "/chat/completions", 400, "judge"),
        (b"{}", "/embeddings", 404, "/v1/embeddings"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_by_name(
    address: str, content: bytes, path: str, status: int, said: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(address, content, path)
    assert refused.value.code == status
    assert said in json.load(refused.value)["error"]["message"]


def test_the_judge_scores_what_the_feedback_stage_asks_it(address: str) -> None:
    rubric = read_rubric(SHIPPED / "rubric.yaml")
    prompt = [{"role": "user", "content": "What is twice 7?"}]
    texts = ["Twice 7 is 14.", "14.", "Twice 7 is 16. I hope this helps."]
    messages = judge_messages(rubric, [*rubric.aspects, "overall"], prompt, texts)
    judged = json.loads(text_of(post(address, json.dumps({"model": "judge", "messages": messages}).encode())))
    assert [judged[label]["truthfulness"]["rating"] for label in "ABC"] == [5, 5, 1]
    assert [judged[label]["overall"] for label in "ABC"] == [10, 8.5, 2.5]


def test_a_directory_without_a_world_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be served"), served(tmp_path):
        pass


def test_the_server_ends_with_its_block(world_dir: Path) -> None:
    with served(world_dir) as found:
        ask(found, "What is twice 7?")
    with pytest.raises(urllib.error.URLError):
        ask(found, "What is twice 7?")


def test_the_server_ends_with_a_process_that_is_killed(world_dir: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from zephyr.mini.server import served\n"
        "with served(Path(sys.argv[1])) as found:\n  print(found, flush=True); time.sleep(60)"
    )
    user = subprocess.Popen([sys.executable, "-c", program, str(world_dir)], stdout=subprocess.PIPE, text=True)
    assert user.stdout
    found = user.stdout.readline().strip()
    ask(found, "What is twice 7?")
    os.kill(user.pid, signal.SIGKILL)
    user.wait()
    assert is_gone(found)


def is_gone(address: str) -> bool:
    for _ in range(100):
        try:
            ask(address, "What is twice 7?", seed=random.randrange(10))
        except (urllib.error.URLError, ConnectionError):
            return True
        time.sleep(0.1)
    return False
