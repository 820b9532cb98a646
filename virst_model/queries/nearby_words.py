"""Words that a model was not trained on, and the known ones that are nearest to them."""

from collections.abc import Collection
import difflib
import re

# Word -> what it may be called otherwise, the nearest first.
_SYNONYMS = {
    **dict.fromkeys(("item", "toy", "piece", "stuff", "element", "figure"), ("object", "thing")),
    **dict.fromkeys(("ball", "disc", "disk", "dot", "round"), ("circle",)),
    **dict.fromkeys(("block", "box", "cube", "rectangle"), ("square",)),
    **dict.fromkeys(("plus", "x"), ("cross",)),
    **dict.fromkeys(("donut", "doughnut", "hoop", "loop"), ("ring", "circle")),
    **dict.fromkeys(("rhombus", "kite"), ("diamond", "square")),
    **dict.fromkeys(("crimson", "scarlet", "ruby", "maroon"), ("red",)),
    **dict.fromkeys(("lime", "olive", "emerald"), ("green",)),
    **dict.fromkeys(("navy", "azure", "indigo"), ("blue",)),
    **dict.fromkeys(("gold", "golden"), ("yellow",)),
    "color": ("colour",),
    "gray": ("grey",),
    **dict.fromkeys(("violet", "lilac", "magenta"), ("purple",)),
    **dict.fromkeys(("turquoise", "teal", "aqua"), ("cyan", "blue")),
    **dict.fromkeys(("tiny", "little", "mini", "short"), ("small",)),
    **dict.fromkeys(("huge", "giant", "tall", "enormous"), ("big", "large")),
    **dict.fromkeys(("static", "motionless", "resting"), ("still",)),
    **dict.fromkeys(("upper", "upward", "upwards"), ("top", "up")),
    **dict.fromkeys(("lower", "downward", "downwards"), ("bottom", "down")),
}
# Unknown words that a message names; a thousand characters hold hundreds.
NAMED_WORDS = 8
_LEAST_LIKENESS = 0.75  # of two spellings, 0..1
# What a slip of the pen is looked for among: names of things, looks, places and ways. "cup" is no
# "up" and "hand" no "and", however alike they are; a thing of another name ("king") may still be
# taken for a slip of one of these ("ring").
_NAMES = (
    *("object", "thing", "shape", "item", "toy", "ball", "disc", "block"),
    *("circle", "square", "triangle", "star", "cross", "heart", "ring", "diamond", "hexagon"),
    *("arrow", "red", "green", "blue", "yellow", "purple", "orange", "cyan", "white", "black"),
    *("grey", "brown", "pink", "dark", "light", "striped", "dotted", "small", "smaller", "large"),
    *("big", "bigger", "left", "top", "stripe", "dot"),
    *("largest", "smallest", "biggest", "leftmost", "rightmost", "topmost", "bottommost"),
    *("nearest", "closest", "fastest", "bottom", "middle", "right", "moving", "standing"),
    *("moves", "stands", "rotates", "shrinks", "bounces", "follows", "disappears", "appears"),
)
_NAMED = frozenset({*_NAMES, *(f"{name}s" for name in _NAMES), "crosses"})


def nearest(word: str, known: Collection[str]) -> str | None:
    """The word of `known` that means the same, else the name that is spelled most alike, or None.

    `word` is in lower case.
    """
    for synonym in _SYNONYMS.get(word, ()):
        if synonym in known:
            return synonym
    names = sorted(_NAMED.intersection(known))
    alike = difflib.get_close_matches(word, names, 1, _LEAST_LIKENESS)
    return alike[0] if alike else None


def unknown_words(text: str, known: Collection[str]) -> str:
    """The words of `text` that are not known, each with its nearest, for people.

    Empty where all are known, or nobody knows which are (`known` is empty).
    """
    words = dict.fromkeys(re.findall(r"[^\W_]+", text.lower()))
    unknown = [word for word in words if word not in known] if known else []
    named = ", ".join(_with_nearest(word, known) for word in unknown[:NAMED_WORDS])
    more = len(unknown) - NAMED_WORDS
    return f"{named} and {more} more" if more > 0 else named


def _with_nearest(word: str, known: Collection[str]) -> str:
    near = nearest(word, known)
    return word if near is None else f"{word} (try: {near})"
