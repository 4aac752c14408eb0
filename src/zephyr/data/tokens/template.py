"""Chat templates: a conversation becomes the text the model is trained on, exactly as transformers renders it."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from zephyr.data.shapes import Messages
from zephyr.errors import UserError

ZEPHYR = Path(__file__).parent / "templates" / "zephyr.jinja"


def template_source(chat_template: str, own: str | None, tokenizer: str) -> str:
    """The Jinja text a recipe's `chat_template` names; `own` is the one that `tokenizer` carries.

    The end of the file is not part of a template: transformers and we both read it without a last line break.
    """
    if chat_template == "zephyr":
        return ZEPHYR.read_text().rstrip("\n")
    if chat_template == "tokenizer":
        if own is None:
            raise UserError(
                f"data.chat_template: `tokenizer` was asked for, but {tokenizer} carries no chat template (base models "
                "often do not).\nUse `chat_template: zephyr`, or the path of a Jinja file."
            )
        return own
    path = Path(chat_template).expanduser()
    if not path.is_file():
        raise UserError(
            f"data.chat_template: {chat_template} is neither `zephyr` nor `tokenizer` nor a file (looked in "
            f"{Path.cwd()})."
        )
    return path.read_text().rstrip("\n")


class Template:
    """A compiled chat template with the special tokens it writes."""

    def __init__(self, source: str, special_tokens: Mapping[str, str], name: str = "chat template"):
        self.source = source
        self.name = name
        self._special_tokens = dict(special_tokens)
        self._compiled = _compile(source)

    def render(self, messages: Messages, *, add_generation_prompt: bool = False) -> str:
        """The text of a conversation. Raises UserError when the template refuses it."""
        import jinja2

        try:
            return self._compiled.render(
                messages=messages, add_generation_prompt=add_generation_prompt, tools=None, documents=None,
                **self._special_tokens,
            )  # fmt: skip
        except (jinja2.TemplateError, TypeError, KeyError) as error:
            roles = " -> ".join(message["role"] for message in messages)
            raise UserError(
                f"data.chat_template: {self.name} refused a conversation of {roles}: {error}\n"
                "Ways out: `chat_template: zephyr`, another Jinja file, or `empty_system_turn: false` if it is the "
                "system turn that it does not take."
            ) from error


@lru_cache(maxsize=8)
def _compile(source: str) -> Any:
    """Compile as transformers does (`_compile_jinja_template`), so that a tokenizer's own template renders the same."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_tag(), jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"data.chat_template: line {error.lineno}: {error.message}") from error


def _generation_tag() -> Any:
    """`{% generation %}`, by which transformers marks the assistant's tokens; here it only lets its content through."""
    import jinja2
    import jinja2.ext

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}  # noqa: RUF012 (so jinja2 declares it)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body).set_lineno(line)

    return Generation


def _refuse(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Plain JSON; Jinja's own filter escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
