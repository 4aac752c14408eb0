import json
import subprocess
import sys

import pytest

from zephyr.data.shapes import with_system_turn
from zephyr.data.tokens.template import ZEPHYR, Template, template_source
from zephyr.errors import UserError

SINGLE = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
MULTI = [*SINGLE, {"role": "user", "content": " Two\n\nlines "}, {"role": "assistant", "content": "Yes"}]
SYSTEM = [{"role": "system", "content": "Be brief."}, *SINGLE]
EOS = {"eos_token": "</s>", "bos_token": "<s>"}


def zephyr():
    return Template(template_source("zephyr", None, "tokenizer"), EOS)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (SINGLE, "<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n"),
        (MULTI, "<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n"
                "<|user|>\n Two\n\nlines </s>\n<|assistant|>\nYes</s>\n"),
        (SYSTEM, "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n"),
        (with_system_turn(SINGLE), "<|system|>\n</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n"),
    ],
)  # fmt: skip
def test_golden_strings(messages, expected):
    assert zephyr().render(messages) == expected


def test_generation_prompt():
    assert zephyr().render(SYSTEM[:2], add_generation_prompt=True) == (
        "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n"
    )


def test_text_is_never_escaped_or_taken_for_a_template():
    content = "<b>&amp;</b> {{ 7 * 7 }} {% if %} ' \" \\n"
    messages = [{"role": "user", "content": content}]
    assert zephyr().render(messages) == f"<|user|>\n{content}</s>\n"


def test_another_role_is_refused():
    with pytest.raises(UserError, match="not tool"):
        zephyr().render([{"role": "tool", "content": "x"}])


def test_a_templates_own_refusal_and_syntax_error_are_user_errors():
    with pytest.raises(UserError, match=r"refused a conversation of user -> assistant: no!"):
        Template("{{ raise_exception('no!') }}", EOS).render(SINGLE)
    with pytest.raises(UserError, match="line 2"):
        Template("\n{% if %}", EOS)


def test_where_templates_come_from(tmp_path):
    (tmp_path / "mine.jinja").write_text("{{ 'mine' }}\n")
    assert template_source(str(tmp_path / "mine.jinja"), None, "t") == "{{ 'mine' }}"
    assert template_source("tokenizer", "own", "t") == "own"
    with pytest.raises(UserError, match="base carries no chat template"):
        template_source("tokenizer", None, "base")
    with pytest.raises(UserError, match="neither `zephyr` nor `tokenizer` nor a file"):
        template_source("chatml", None, "t")


OTHERS = {
    "zephyr": ZEPHYR.read_text(),
    "chatml with generation marks": (
        "{% for m in messages %}\n    {{- '<|im_start|>' + m.role + '\\n' }}\n    {% if m.role == 'assistant' %}\n"
        "{% generation %}{{ m.content }}</s>{% endgeneration %}\n    {% else %}{{ m.content | trim }}</s>{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "loop controls, namespace, tojson": (
        "{{ bos_token }}{% set ns = namespace(n=0) %}"
        "{% for m in messages %}{% if loop.index > 3 %}{% break %}{% endif %}"
        "{% set ns.n = ns.n + 1 %}{{ m | tojson }}{% endfor %}{{ ns.n }}"
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("messages", [SINGLE, MULTI, SYSTEM])
@pytest.mark.parametrize("prompt", [False, True])
def test_renders_as_transformers_does(name, messages, prompt, byte_level):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(byte_level)
    tokenizer.chat_template = OTHERS[name]
    theirs = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    ours = Template(OTHERS[name], EOS).render(messages, add_generation_prompt=prompt)
    assert ours == theirs


def test_the_data_package_needs_neither_torch_nor_transformers_and_loads_nothing_heavy():
    program = (
        "import sys, json, zephyr.data, zephyr.data.preview;"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'tokenizers', 'huggingface_hub'};"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
