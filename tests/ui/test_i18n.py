from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import gan_space.ui
from gan_space.ui.i18n import CHINESE_TAGS, LANGUAGES, browser_translations, choose_language, load_locale, translate

FOLDER = Path(gan_space.ui.__file__).parent
SOURCES, SCRIPTS = sorted(FOLDER.rglob("*.py")), sorted(FOLDER.rglob("*.js"))
KEY = re.compile(r"[a-z]+\.[a-z_]+")


def keys_in_sources() -> set[str]:
    """Every literal in the sources of the UI whose first part is the first part of some key."""
    sections = {key.partition(".")[0] for key in load_locale("en")}
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    literals = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    literals += [
        text for path in SCRIPTS for text in re.findall(r"'([a-z]+\.[a-z_]+)'", path.read_text(encoding="utf-8"))
    ]
    return {text for text in literals if KEY.fullmatch(text) and text.partition(".")[0] in sections}


def test_both_languages_have_the_same_keys_and_placeholders():
    english, chinese = load_locale("en"), load_locale("zh-CN")
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert text.strip() and chinese[key].strip(), key
        fields = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (text, chinese[key])]
        assert fields[0] == fields[1], key


def test_every_key_that_is_used_exists():
    used = keys_in_sources()
    assert len(used) > 40
    assert used <= set(load_locale("en"))


def test_every_key_that_exists_is_used():
    # Keys put together from the name of a group or of an entry.
    built = {
        "mix.",
        "recipe.",
        "shape.",
        "skin.",
        "makeup.",
        "photo.group_",
        "photo.adjust_",
        "photo.tab_",
        "photo.waiting_",
        "photo.glasses_",
        "photo.part_",
    }
    unused = set(load_locale("en")) - keys_in_sources()
    assert {key for key in unused if not any(key.startswith(prefix) for prefix in built)} == set()


def test_chinese_is_chinese():
    for key, text in load_locale("zh-CN").items():
        assert re.search("[\u4e00-\u9fff]", text), key


def test_no_component_has_a_text_of_its_own():
    """What gradio shows must come from a key: no literal label, info, placeholder or title in the sources."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in ("label", "info", "placeholder"):
                literal = node.value.value if isinstance(node.value, ast.Constant) else None
                assert not isinstance(literal, str) or literal in load_locale("en"), (path.name, literal)


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        *(("zh", "zh-CN"), ("zh-TW", "zh-CN"), ("zh-Hant-HK", "zh-CN"), ("ZH-cn", "zh-CN")),
        *(("en-GB", "en"), ("de", "en"), ("", "en"), (None, "en"), (7, "en"), ("<script>", "en")),
    ],
)
def test_any_tag_becomes_a_language(tag, language):
    assert choose_language(tag) == language


def test_the_browser_gets_every_chinese_tag():
    given = browser_translations().translations
    assert set(given) == {"en", *CHINESE_TAGS}
    assert given["zh-HK"] == load_locale("zh-CN") and set(LANGUAGES) == {"en", "zh-CN"}


def test_placeholders_are_filled_in():
    assert "seven" in translate("error.input", "zh-TW", detail="seven")


def test_a_page_in_english_needs_no_texts_from_the_server(style_app):
    """Pages are built in English: a new one asks for texts only where other ones are wanted."""
    config = style_app.get_config_file()
    props = {one["id"]: one["props"] for one in config["components"]}
    (part,) = (number for number, given in props.items() if given.get("elem_id") == "other-texts")
    (event,) = (one for one in config["dependencies"] if (part, "change") in map(tuple, one["targets"]))
    relabel = style_app.fns[event["id"]]
    updates = relabel.fn({one: getattr(one, "value", None) for one in relabel.inputs})
    assert len(updates) > 20
    differ = []
    for one, update in updates.items():
        given = update if isinstance(update, dict) else {"value": update}
        for name in ("value", "label", "info", "placeholder"):
            wanted, built = given.get(name), props[one._id].get(name)
            if isinstance(wanted, str) and wanted != (built or "") and "__i18n__" not in str(built):
                differ.append((one.elem_id, name, built, wanted))
    assert differ == []
