import json
import shutil

import pytest

from zephyr.data.tokens.tokenize import load_tokenizer, require_same_ids
from zephyr.errors import UserError
from zephyr.recipe.sections import Model

TEXT = "<|user|>\n Hello, naïve  wörld 日本 🙂</s>\n<|assistant|>\n\tyes\n\n</s>\n"


def load(folder):
    return load_tokenizer(Model(model_name_or_path=str(folder)))


def changed(folder, tmp_path, **config):
    """A copy of a tokenizer with other entries in its configuration."""
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return tmp_path / "copy"


def test_special_tokens(byte_level):
    tokenizer = load(byte_level)
    assert (tokenizer.eos, tokenizer.eos_id, tokenizer.bos_id) == ("</s>", 2, 1)
    assert tokenizer.encode(["</s>a"])[0][0] == 2


def test_ids_are_those_of_transformers(byte_level, sentencepiece):
    transformers = pytest.importorskip("transformers")
    for folder in (byte_level, sentencepiece):
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        ours = load(folder)
        assert ours.encode([TEXT, "plain"]) == [
            theirs(t, add_special_tokens=False)["input_ids"] for t in (TEXT, "plain")
        ]
        assert {k: v for k, v in theirs.special_tokens_map.items() if v} == ours.special_tokens


@pytest.mark.parametrize("config", [{}, {"legacy": True}, {"add_prefix_space": False}])
def test_ids_of_llama_tokenizers_are_those_of_transformers(sentencepiece, tmp_path, config):
    """transformers rebuilds a LlamaTokenizer from its vocabulary and leaves the file's normalizer out."""
    transformers = pytest.importorskip("transformers")
    folder = changed(sentencepiece, tmp_path, tokenizer_class="LlamaTokenizerFast", **config)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert load(folder).encode([TEXT])[0] == theirs(TEXT, add_special_tokens=False)["input_ids"]


def test_another_tokenizer_than_the_trainers_is_noticed(byte_level, sentencepiece):
    require_same_ids(load(byte_level), lambda text: load(byte_level).encode([text])[0])
    with pytest.raises(UserError, match=r"other ids than transformers' AutoTokenizer .*token \d+: \["):
        require_same_ids(load(byte_level), lambda text: load(sentencepiece).encode([text])[0])


@pytest.mark.parametrize("model_type", ["mistral", "mixtral"])
def test_a_mistral_that_declares_a_llama_tokenizer_is_read_from_its_file(sentencepiece, tmp_path, model_type):
    """As Mistral-7B and Zephyr-7B do; transformers takes tokenizer.json for them as it is."""
    transformers = pytest.importorskip("transformers")
    folder = changed(sentencepiece, tmp_path, tokenizer_class="LlamaTokenizer", legacy=True)
    (folder / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert load(folder).encode([TEXT])[0] == theirs(TEXT, add_special_tokens=False)["input_ids"]


def test_special_tokens_may_be_written_as_objects(byte_level, tmp_path):
    folder = changed(byte_level, tmp_path, eos_token={"content": "</s>", "__type": "AddedToken"})
    assert load(folder).eos_id == 2


def test_chat_templates_of_every_kind_of_file(byte_level, tmp_path):
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    folder = changed(byte_level, tmp_path, chat_template=named)
    assert load(folder).chat_template == "D"
    (folder / "chat_template.jinja").write_text("J")
    assert load(folder).chat_template == "J"
    assert load(byte_level).chat_template is None


def test_the_digest_is_of_the_content(byte_level, tmp_path):
    assert load(byte_level).digest != load(changed(byte_level, tmp_path, chat_template="x")).digest


def test_a_directory_without_a_fast_tokenizer(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds no tokenizer\.json.*Found: config\.json"):
        load(tmp_path)


def test_a_tokenizer_without_eos(byte_level, tmp_path):
    with pytest.raises(UserError, match="has no eos_token"):
        load(changed(byte_level, tmp_path, eos_token=None)).eos_id
    shutil.rmtree(tmp_path / "copy")
    with pytest.raises(UserError, match=r"<\|end\|> is not in its vocabulary"):
        load(changed(byte_level, tmp_path, eos_token="<|end|>")).eos_id


def test_a_random_model_needs_a_tokenizer():
    with pytest.raises(UserError, match="Add `tokenizer_name_or_path:`"):
        load_tokenizer(Model(config={"model_type": "mistral"}))
