import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.thorough import thorough
from monitor.policy.catalogue import Catalogue, CatalogueHit, Match, normalise
from monitor.policy.model import CatalogueRow


def row(key: str, terms: list[str], unless: list[str] | None = None) -> CatalogueRow:
    return CatalogueRow(key, f"禁止{key}", f"prohibited {key}", tuple(terms), tuple(unless or []))


LOANS = row("loans", ["贷款", "cash loan"], ["贷款知识"])
HAIR = row("hair", ["植发"])
SCHOOL = row("school", ["K12"])
POS = row("pos", ["POS 机", "POS"])
CATALOGUE = Catalogue([LOANS, HAIR, SCHOOL, POS])


def found(text: str, catalogue: Catalogue = CATALOGUE) -> tuple[str, str, bool] | None:
    match = catalogue.match(text)
    return (match.row.key, match.term, match.certain) if match else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("贷款", ("loans", "贷款", True)),
        ("ＣＡＳＨ　Loan！", ("loans", "cash loan", True)),
        ("贷-款。", ("loans", "贷款", True)),
        ("贷\u200b\ufeff款\n", ("loans", "贷款", True)),
        ("ｐ.ｏ.ｓ 机", ("pos", "POS 机", True)),
        ("Ｋ１２", ("school", "K12", True)),
        ("小额贷款中介", ("loans", "贷款", False)),
        ("小额贷 ☆ 款中介", ("loans", "贷款", False)),
        ("pos 机办理", ("pos", "POS 机", False)),
        ("宠物用品", None),
        ("", None),
        ("。！", None),
    ],
)
def test_equal_is_certain_and_contained_is_likely(text: str, expected: tuple[str, str, bool] | None) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Network 12",
        "ＮＥＴＷＯＲＫ １２",
        "K123",
        "AK12",
        "éK12",
        "ÉK12",
        "K12é",
        "K12e\u0301",
        "5K12",
        "K12５",
        "K12٣",
        "compost bins",
        "cash loaned",
        "3POS机",
    ],
)
def test_a_latin_letter_or_digit_beside_a_match_makes_it_another_word(text: str) -> None:
    assert found(text) is None
    assert CATALOGUE.explain(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "for K-12 kids",
        "教K12课",
        "中K12",
        "我(K12)",
        "r K12 5",
        "Network 12 and K12",
        "K12 1",
        "的 k 1 2 课",
        "日本K12ｶﾅ",
    ],
)
def test_spaces_signs_and_other_scripts_beside_a_match_do_not_hide_it(text: str) -> None:
    assert found(text) == ("school", "K12", False)


def test_only_an_edge_that_is_latin_or_a_digit_minds_its_neighbour() -> None:
    assert found("ABC贷款XYZ") == ("loans", "贷款", False)
    assert found("POS机X") == ("pos", "POS 机", False)
    assert found("XPOS机") is None


def test_a_later_occurrence_counts_when_an_earlier_one_is_part_of_a_word() -> None:
    assert found("Network 12, network 12, K12 school") == ("school", "K12", False)


def test_a_ligature_that_nfkc_takes_apart_is_the_letters_it_shows() -> None:
    catalogue = Catalogue([row("sims", ["fi x"])])
    assert found("ﬁx", catalogue) == ("sims", "fi x", True)
    assert found("我ﬁx你", catalogue) == ("sims", "fi x", False)
    assert found("preﬁx", catalogue) is None


def test_lower_casing_that_lengthens_keeps_the_neighbours_in_place() -> None:
    # "İ" is the one letter whose lower case has two code points.
    assert found("İİİ K12 课") == ("school", "K12", False)
    assert found("İİİ RK12 课") is None


def test_an_unless_word_suppresses_only_its_own_row() -> None:
    assert found("贷款知识讲座") is None
    assert found("贷款知识与植发") == ("hair", "植发", False)
    assert found("贷 款 知 识 讲座") is None


def test_an_unless_word_does_not_excuse_a_text_that_is_the_term() -> None:
    catalogue = Catalogue([row("loans", ["贷款知识"], ["知识"])])
    assert found("贷款知识", catalogue) == ("loans", "贷款知识", True)
    assert found("贷款知识课", catalogue) is None


def test_an_unless_word_inside_another_word_excuses_nothing() -> None:
    catalogue = Catalogue([row("loans", ["贷款"], ["hr"])])
    assert found("贷款 through us", catalogue) == ("loans", "贷款", False)
    assert found("贷款 HR 系统", catalogue) is None


def test_a_certain_match_wins_over_a_likely_one_of_an_earlier_row() -> None:
    catalogue = Catalogue([row("loans", ["贷款"]), row("small", ["小额贷款"])])
    assert found("小额贷款", catalogue) == ("small", "小额贷款", True)
    assert found("做小额贷款", catalogue) == ("loans", "贷款", False)


def test_the_longest_term_of_a_row_names_the_match_and_a_tie_goes_to_the_first() -> None:
    catalogue = Catalogue([row("loans", ["贷款", "小额贷款", "额贷", "小额"])])
    assert found("做小额贷款的", catalogue) == ("loans", "小额贷款", False)
    assert found("小额额贷", catalogue) == ("loans", "额贷", False)


def test_two_spellings_that_compare_equal_are_one_term() -> None:
    catalogue = Catalogue([row("pos", ["POS 机", "pos机"])])
    assert [hit.term for hit in catalogue.explain("办POS机")] == ["POS 机"]


def test_explain_shows_suppressed_matches_and_the_words_that_suppress_them() -> None:
    text = "贷款知识、cash loan、植发"
    assert CATALOGUE.explain(text) == [
        CatalogueHit(LOANS, "cash loan", False, "贷款知识"),
        CatalogueHit(LOANS, "贷款", False, "贷款知识"),
        CatalogueHit(HAIR, "植发", False, None),
    ]


def test_rows_are_found_by_key() -> None:
    assert CATALOGUE.row("hair") is HAIR
    assert CATALOGUE.row("Hair") is None


@pytest.mark.parametrize("rows", [[row("a", ["..."])], [row("a", ["x"], [" "])], [row("a", ["\u200b"])]])
def test_a_word_that_would_be_in_every_text_is_refused(rows: list[CatalogueRow]) -> None:
    with pytest.raises(ValueError, match="a letter or digit"):
        Catalogue(rows)


def test_two_rows_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="same key"):
        Catalogue([LOANS, row("loans", ["x"])])


# --- Against a second implementation of the contract's rule, which goes character by character ---


def naive(rows: list[CatalogueRow], text: str) -> Match | None:
    """The best match, by trying every start and end in the NFKC form and comparing the text in between."""
    nfkc = unicodedata.normalize("NFKC", text)

    def word(c: str) -> bool:
        return unicodedata.category(c) == "Nd" or (
            unicodedata.category(c).startswith("L") and "LATIN" in unicodedata.name(c, "").split(" ")
        )

    def contained(term: str) -> bool:
        wanted = normalise(term)
        for start in range(len(nfkc)):
            for end in range(start + 1, min(len(nfkc), start + 12) + 1):
                part = nfkc[start:end]
                if not normalise(part[0]) or not normalise(part[-1]) or normalise(part) != wanted:
                    continue
                before, after = nfkc[start - 1 : start], nfkc[end : end + 1]
                if before and word(before) and word(part[0]):
                    continue
                if after and word(after) and word(part[-1]):
                    continue
                return True
        return False

    for each in rows:
        for term in each.terms:
            if normalise(term) == normalise(text):
                return Match(each, term, True)
    for each in rows:
        if any(contained(word) for word in each.unless):
            continue
        hits = [term for term in each.terms if contained(term)]
        if hits:
            return Match(each, max(hits, key=lambda term: len(normalise(term))), False)
    return None


# Few characters: matches, near misses, compositions (e + U+0301, か + U+3099) and expansions (ﬁ, ㌔, ½) are frequent.
ALPHABET = "kKｋ12１贷款知 -.\u200b\u0301eéﬁfiか\u3099が㌔½①r机🙂"
ROWS = [
    row("a", ["k12", "贷款", "é1"], ["知", "r1"]),
    row("b", ["fi", "がk", "2贷", "款e"], ["机"]),
    row("c", ["1", "キロ", "贷"]),
]
SMALL = Catalogue(ROWS)


@given(st.text(ALPHABET, max_size=9))
def test_the_matcher_agrees_with_the_plain_sentence_of_the_contract(text: str) -> None:
    assert SMALL.match(text) == naive(ROWS, text)


@pytest.mark.parametrize("count", thorough([600, 4_000], 1))
def test_it_agrees_on_many_random_texts_too(count: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    kinds: dict[bool | None, int] = {None: 0, True: 0, False: 0}
    for _ in range(count):
        text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 9)))
        expected = naive(ROWS, text)
        assert SMALL.match(text) == expected, ascii(text)
        kinds[expected.certain if expected else None] += 1
    assert min(kinds.values()) > count / 200


@given(st.text(max_size=40))
def test_any_text_can_be_compared_and_what_is_compared_is_stable(text: str) -> None:
    compared = normalise(text)
    assert not any(unicodedata.category(c)[0] in "ZPSC" or c.isspace() for c in compared)
    match = CATALOGUE.match(text)
    hits = [hit for hit in CATALOGUE.explain(text) if hit.unless is None]
    assert (match is None) == (not hits)
    if match:
        assert (match.row, match.term, match.certain) in [(hit.row, hit.term, hit.certain) for hit in hits]


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_lone_surrogates_and_unassigned_characters_stop_nothing(text: str) -> None:
    CATALOGUE.match(text)


@given(st.text(max_size=60).map(lambda text: unicodedata.normalize("NFKC", text)))
def test_lower_casing_goes_character_by_character(text: str) -> None:
    # The mapping back to the neighbours depends on it: the whole text's lower case is as long as its characters'
    # together.
    assert len(text.lower()) == sum(len(c.lower()) for c in text)
