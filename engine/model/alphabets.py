"""What must be known of scripts to find words in a text."""

from typing import Final

UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
"""Thai, Lao, Burmese, Khmer, kana and Han, for a set of characters in a pattern: written without spaces between words,
so that nothing in a text tells where they begin and end."""
