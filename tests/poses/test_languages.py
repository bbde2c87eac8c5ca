"""Languages: the index's codes, the card's names for them, and averages of languages."""

import pytest

from poses.fingerspelling import LANGUAGES
from poses.languages import NOT_STATED, macro_average, sign_language, sign_languages

CARD = (
    "ase", "bfi", "gsg", "sgd", "fsl", "lsf", "lse", "lis", "lgp", "ngt", "asf", "jsl", "kvk", "csl", "aed", "tsm",
    "pjm", "rsl", "swl", "dsl", "fse", "nsl", "lsc", "lsm", "bzs",
)  # fmt: skip


def test_the_table_is_the_index():
    indexed = {code: row.num_videos for code, row in sign_languages().items() if row.num_videos}
    assert len(indexed) == 56
    assert sum(indexed.values()) == 39_197
    assert (indexed["ase"], indexed[NOT_STATED], indexed["slovenia"], indexed["eso"]) == (16_724, 197, 139, 12)
    assert list(indexed.values()) == sorted(indexed.values(), reverse=True)
    assert all(row.name and code == row.code for code, row in sign_languages().items())


def test_the_cards_codes():
    found = {}
    for code in CARD:
        try:
            found[code] = sign_language(code).code
        except ValueError:
            found[code] = ""
    differ = {code: meant for code, meant in found.items() if code != meant}
    assert differ == {
        "lsf": "fsl", "lse": "ssp", "lis": "ise", "lgp": "psr", "ngt": "dse", "pjm": "pso", "lsm": "mfs",
        "lsc": "", "sgd": "",
    }  # fmt: skip
    assert [code for code, meant in found.items() if meant and not sign_language(code).num_videos] == ["lgp", "csl"]
    assert {code for row in sign_languages().values() for code in row.card_codes} == set(CARD) - {"sgd"}


def test_spelled_languages_are_known():
    assert set(LANGUAGES) <= set(sign_languages())
    assert (sign_language("ukl").name, sign_language("ukl").num_videos) == ("Ukrainian Sign Language", 0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("lsc", r"'lsc' may be csc \(Catalan Sign Language\) or csn \(Colombian Sign Language\)"),
        ("sgd", "must be a code such as 'ase' .*, got 'sgd'"),
        ("", "got ''"),
    ],
)
def test_codes_that_name_no_one_language(code, message):
    with pytest.raises(ValueError, match=message):
        sign_language(code)


def test_each_language_counts_once():
    assert macro_average({"ase": 0.9, "lse": 0.3, "eso": 0.3}) == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({}, "must hold at least one language"),
        ({"ase": 1.0, "???": 1.0}, r"must be of stated languages, got '\?\?\?'"),
        ({"ssp": 1.0, "lse": 1.0}, "must hold each language once, got 'ssp' under two names"),
        ({"ase": float("nan")}, "must be finite, got nan for 'ase'"),
        ({"xxx": 1.0}, "got 'xxx'"),
    ],
)
def test_what_cannot_be_averaged(figures, message):
    with pytest.raises(ValueError, match=message):
        macro_average(figures)
