"""What no slider may be named after. People of every look may use the sliders; their race is not one of them."""

from __future__ import annotations

import re

_WORDS = {
    *("race", "races", "racial", "racially", "ethnic", "ethnicity", "complexion", "melanin", "fitzpatrick", "ita"),
    *(
        "caucasian",
        "asian",
        "african",
        "european",
        "latino",
        "latina",
        "latinx",
        "hispanic",
        "indian",
        "arab",
        "arabic",
    ),
}
_SKIN = re.compile(
    r"(skin|face)[^a-z]*(tone|tones|colou?r|colou?rs|shade|lightness|darkness|whiten(ing)?|lighten(ing)?|"
    r"darken(ing)?|bleach(ing)?)\b|\b(light|lighter|dark|darker|white|whiter|black|blacker|fair|fairer|pale|paler|brown|"
    r"browner|tanned|yellow)[^a-z]*(skin|skinned|race|people|person)\b|\bmiddle[^a-z]*eastern\b"
)
_CHINESE = (
    *(
        "种族",
        "人种",
        "民族",
        "肤色",
        "白人",
        "黑人",
        "黄种",
        "亚裔",
        "非裔",
        "拉丁裔",
        "混血",
        "亚洲人",
        "欧洲人",
        "非洲人",
        "印度人",
    ),
    *("種族", "人種", "膚色", "黃種", "美白", "变白", "变黑", "變白", "變黑", "黑皮", "白皮", "亞裔", "亞洲人"),
)


def refused_word(text: str) -> str | None:
    """Return the first part of a name or label that stands for race or skin tone; None if there is none.

    It reads words, not intentions: a direction of another name can still change skin, which is why leaks are measured.

    Example:
        >>> refused_word("lighter_skin"), refused_word("light_from_left")
        ('lighter skin', None)
    """
    spaced = re.sub(r"[^a-z\u0080-\U0010ffff]+", " ", text.lower()).strip()
    for word in spaced.split():
        if word in _WORDS:
            return word
    match = _SKIN.search(spaced)
    if match:
        return match[0]
    return next((word for word in _CHINESE if word in text), None)
