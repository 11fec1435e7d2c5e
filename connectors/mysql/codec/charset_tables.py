"""Differences between Python's codecs and the servers' character sets.

Source: MariaDB 10.11, byte by byte (CONVERT … USING utf32); a contract test compares again.
U+FFFE marks bytes that have no character.
"""

from __future__ import annotations

from typing import Final

_C1 = "".join(map(chr, range(0x80, 0xA0)))
"""The control characters 80 to 9F."""

HIGH_HALVES: Final = {
    "dec8": _C1
    + (
        "\u00a0¡¢£\ufffe¥\ufffe§¤©ª«\ufffe\ufffe\ufffe\ufffe°±²³\ufffeµ¶·\ufffe¹º»¼½"
        "\ufffe¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ\ufffeÑÒÓÔÕÖŒØÙÚÛÜŸ\ufffeßàáâãäåæçèéêëìíîï\ufffeñòóôõöœøù"
        "úûüÿ\ufffe\ufffe"
    ),
    "armscii8": _C1
    + (
        "\u00a0❁§։)(»«—.՝,-՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍ"
        "սՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’'"
    ),
    "keybcs2": (
        "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧"
        "╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0"
    ),
    "geostd8": (
        "€\ufffe‚\ufffe„…†‡\ufffe‰\ufffe‹\ufffe\ufffe\ufffe\ufffe\ufffe‘’“”•–—\ufffe"
        "\ufffe\ufffe›\ufffe\ufffe\ufffe\ufffe\u00a0¡¢£¤¥¦§¨©ª«¬\u00ad®¯°±²³´µ¶·¸¹º»¼½¾¿ა"
        "ბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe"
        "\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe"
        "\ufffe\ufffe\ufffe№\ufffe\ufffe"
    ),
}
"""Characters of the bytes 80 to FF, for sets whose lower half is ASCII."""

SWE7: Final = {
    0x40: "É",
    0x5B: "Ä",
    0x5C: "Ö",
    0x5D: "Å",
    0x5E: "Ü",
    0x60: "é",
    0x7B: "ä",
    0x7C: "ö",
    0x7D: "å",
    0x7E: "ü",
}
"""The bytes of swe7 that are not ASCII."""

CORRECTIONS: Final = {
    "latin1": {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)},
    "hebrew": {0xAF: "\u203e"},
    "koi8u": {0x95: "\u2022"},
    "greek": {0xA1: "\u02bd", 0xA2: "\u02bc"},
    "cp866": {0xFC: "\u207f", 0xFD: "\u00b2"},
}
"""Bytes of single-byte sets that the server and Python's codec of that name read differently."""

_GAIJI = {
    **{bytes((lead, 0xA1)): 0xE000 + 94 * (lead - 0xF5) for lead in range(0xF5, 0xFF)},
    **{bytes((0x8F, lead, 0xA1)): 0xE3AC + 94 * (lead - 0xF5) for lead in range(0xF5, 0xFF)},
}
_USER_DEFINED = {first: "".join(map(chr, range(start, start + 94))) for first, start in _GAIJI.items()}

EXTRA_RUNS: Final[dict[str, dict[bytes, str]]] = {
    "big5": {b"\xf9\xd6": "碁銹裏墻恒粧嫺"},
    "ujis": _USER_DEFINED,
    "eucjpms": {
        **_USER_DEFINED,
        b"\xad\xa1": (
            "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ\ufffe㍉㌔㌢㍍㌘㌧㌃㌶㍑㍗㌍㌦㌣㌫㍊㌻㎜㎝㎞㎎㎏㏄㎡\ufffe\ufffe\ufffe"
            "\ufffe\ufffe\ufffe\ufffe\ufffe㍻〝〟№㏍℡㊤㊥㊦㊧㊨㈱㈲㈹㍾㍽㍼≒≡∫∮∑√⊥∠∟⊿∵∩∪"
        ),
        b"\x8f\xf3\xf3": ("ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ"),
        b"\x8f\xf4\xa1": (
            "ⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨"
            "閒隆﨩霻靍靑飯飼館馞髙魲鶴黑"
        ),
    },
}
"""Runs of characters that Python's codec lacks: first code -> characters from there on."""

TRANSLATIONS: Final[dict[str, dict[int, str]]] = {
    "sjis": {
        0xFF3C: "\\", 0xFF5E: "\u301c", 0x2225: "\u2016", 0xFF0D: "\u2212", 0xFFE0: "\u00a2", 0xFFE1:
        "\u00a3", 0xFFE2: "\u00ac",
    },
    "ujis": {0xFF3C: "\\"},
    "eucjpms": {
        0x301C: "\uff5e", 0x2016: "\u2225", 0x2212: "\uff0d", 0x00A2: "\uffe0", 0x00A3: "\uffe1", 0x00AC:
        "\uffe2", 0x00A6: "\uffe4",
    },
}  # fmt: skip
"""Characters that the server and Python's codec (see `charsets.CODECS`) read differently."""

FULLWIDTH_TILDE: Final = b"\x8f\xa2\xb7"
"""U+FF5E in eucjpms."""
