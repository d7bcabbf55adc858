import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from monitor.policy.catalogue import Catalogue, normalise
from monitor.policy.load import load
from monitor.policy.model import CatalogueRow

HERE = Path(__file__).parent
RULES = HERE.parents[3] / "shared" / "policy" / "access-rules.zh.md"

ROWS = load(None).catalogue
CATALOGUE = Catalogue(ROWS)
COMPARED = {normalise(term) for row in ROWS for term in row.terms}

# The table 申请号码接入准则, cell by cell as written, and the phrases of each cell with the row that contains them.
TABLE: dict[str, dict[str, dict[str, str]]] = {
    "医疗": {
        "医药售卖、保健品": {"医药售卖": "medicine-sales", "保健品": "health-products"},
        "医疗器械售卖": {"医疗器械售卖": "medical-device-sales"},
    },
    "美容": {
        "植发养发": {"植发养发": "hair", "植发": "hair", "养发": "hair"},
        "护肤瘦身": {"护肤瘦身": "skin-and-slimming", "护肤": "skin-and-slimming", "瘦身": "skin-and-slimming"},
        "整容": {"整容": "cosmetic-surgery"},
    },
    "房产": {
        "新房/商铺盲呼": {
            "新房/商铺盲呼": "property-blind-calling",
            "新房盲呼": "property-blind-calling",
            "商铺盲呼": "property-blind-calling",
        }
    },
    "金融": {
        "信用卡": {"信用卡": "credit-cards"},
        "银行业务": {"银行业务": "banking"},
        "贷款、催收、股票": {"贷款": "loans", "催收": "debt-collection", "股票": "stocks"},
        "POS 机": {"POS 机": "pos-machines"},
        "财税、代理记账": {
            "财税、代理记账": "tax-and-bookkeeping",
            "财税": "tax-and-bookkeeping",
            "代理记账": "tax-and-bookkeeping",
        },
    },
    "游戏": {"游戏推广": {"游戏推广": "game-promotion"}},
    "电商": {"刷单、好评": {"刷单": "fake-orders", "好评": "paid-reviews"}},
    "保险": {
        "人身保险、财产保险、雇主责任险等保险相关": {
            "人身保险": "life-insurance",
            "财产保险": "property-insurance",
            "雇主责任险": "employers-liability-insurance",
            "等保险相关": "insurance",
            "保险相关": "insurance",
            "保险": "insurance",
        }
    },
    "婚恋": {
        "婚姻恋爱、情感交友": {
            "婚姻恋爱": "matchmaking",
            "婚恋": "matchmaking",
            "情感交友": "dating-chat",
        }
    },
    "装修": {
        "家居": {"家居": "home-furnishing"},
        "建材": {"建材": "building-materials"},
        "室内设计": {"室内设计": "interior-design", "装修": "interior-design"},
    },
    "教育": {
        "学历提升、K12（幼儿学前阶段至高中）学科补习培训、K12（幼儿学前阶段至高中）兴趣特长培训": {
            "学历提升": "degree-upgrading",
            "K12（幼儿学前阶段至高中）学科补习培训": "k12-tutoring",
            "K12 学科补习培训": "k12-tutoring",
            "K12": "k12-tutoring",
            "K12 补习": "k12-tutoring",
            "K12（幼儿学前阶段至高中）兴趣特长培训": "k12-hobbies",
            "K12 兴趣特长培训": "k12-hobbies",
        }
    },
    "会议营销": {
        "线下会议邀约、展会邀请": {
            "会议营销": "meeting-invitations",
            "线下会议邀约": "meeting-invitations",
            "展会邀请": "exhibition-invitations",
        }
    },
    "短视频": {"涉及短视频平台的所有业务": {"涉及短视频平台的所有业务": "short-video", "短视频": "short-video"}},
    "传媒表演": {"栏目组招募试镜": {"栏目组招募试镜": "auditions"}},
    "知识产权代理": {
        "商标业务代理、专利代理": {
            "知识产权代理": "trademark-agency",
            "商标业务代理": "trademark-agency",
            "专利代理": "patent-agency",
        }
    },
    "电信增值业务": {
        "流量、话费、宽带业务、彩信，资源转售": {
            "流量": "mobile-data",
            "话费": "airtime",
            "宽带业务": "broadband",
            "彩信": "mms",
            "资源转售": "telecom-resale",
            "电信增值业务": "telecom-resale",
        }
    },
    "零售": {
        "烟草、酒水、茶叶、收藏品、古董推广售卖": {
            "烟草": "tobacco",
            "烟草推广售卖": "tobacco",
            "酒水": "alcohol",
            "酒水推广售卖": "alcohol",
            "茶叶": "tea",
            "茶叶推广售卖": "tea",
            "收藏品": "collectibles",
            "收藏品推广售卖": "collectibles",
            "古董": "antiques",
            "古董推广售卖": "antiques",
        }
    },
    "旅游": {"旅游业务": {"旅游业务": "tourism", "旅游": "tourism"}},
    "软件系统": {
        "电销系统不封卡不封号": {
            "电销系统不封卡不封号": "unblockable-dialer",
            "电销系统不封卡": "unblockable-dialer",
            "电销系统不封号": "unblockable-dialer",
        }
    },
    "其他": {
        "个人话务类、机器人外呼，催收催缴类，低级低俗、不健康、涉及营销骚扰、证书挂靠、资质办理（2C），封建迷信、涉黄、赌博、"
        "敏感内容、诈骗和虚假营销等内容": {
            "个人话务类": "personal-calls",
            "个人话务": "personal-calls",
            "机器人外呼": "robot-calls",
            "催收催缴类": "dunning",
            "催收催缴": "dunning",
            "低级低俗": "vulgar",
            "不健康": "unhealthy",
            "涉及营销骚扰": "marketing-harassment",
            "营销骚扰": "marketing-harassment",
            "证书挂靠": "certificate-lending",
            "资质办理（2C）": "personal-qualifications",
            "资质办理(2C)": "personal-qualifications",
            "封建迷信": "superstition",
            "涉黄": "pornography",
            "赌博": "gambling",
            "敏感内容": "sensitive-content",
            "诈骗": "fraud",
            "虚假营销": "false-marketing",
        }
    },
}
OPENING = "催收催缴类，低级低俗、不健康、涉及营销骚扰、证书挂靠、资质办理（2C），封建迷信、涉黄、赌博、敏感内容、诈骗"
PHRASES = [(phrase, key) for cells in TABLE.values() for cell in cells.values() for phrase, key in cell.items()]


def lines(name: str) -> list[str]:
    text = (HERE / name).read_text("utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


INNOCENT = lines("innocent-businesses.txt")
GUILTY = [tuple(line.split("\t")) for line in lines("prohibited-descriptions.txt")]


def chinese(text: str) -> bool:
    return any("CJK UNIFIED" in unicodedata.name(c, "") for c in text)


# --- No part of the rules is missing ---


@pytest.mark.parametrize(("phrase", "key"), PHRASES)
def test_no_phrase_of_the_rules_is_missing_from_the_catalogue(phrase: str, key: str) -> None:
    match = CATALOGUE.match(phrase)
    assert match is not None
    assert (match.row.key, match.certain) == (key, True)


@pytest.mark.parametrize("cell", [cell for cells in TABLE.values() for cell in cells])
def test_no_cell_of_the_rules_goes_unseen_as_a_whole(cell: str) -> None:
    assert CATALOGUE.match(cell) is not None


def test_every_row_stands_for_a_phrase_of_the_rules() -> None:
    assert {row.key for row in ROWS} == {key for _, key in PHRASES}


def test_every_row_says_its_category_and_the_rules_own_words() -> None:
    wording = {(category, phrase) for category, cells in TABLE.items() for cell in cells.values() for phrase in cell}
    for row in ROWS:
        category, scenario = row.zh.split("：")
        assert (category, scenario) in wording, row.key
    assert {row.zh.split("：")[0] for row in ROWS} == set(TABLE)


def test_every_prohibition_of_the_opening_paragraph_has_a_row() -> None:
    for phrase in OPENING.replace("，", "、").split("、"):
        match = CATALOGUE.match(phrase)
        assert match is not None, phrase
        assert match.certain, phrase


@pytest.mark.skipif(not RULES.exists(), reason="the access rules are beside the repository, not in it")
def test_the_table_above_is_the_rules_own() -> None:
    text = RULES.read_text("utf-8")
    table = text[text.index("申请号码接入准则") :]
    for category, cells in TABLE.items():
        assert f">{category}</td>" in table
        for cell in cells:
            assert cell in table, cell
    assert OPENING in text
    cell_count = table.count("<td") - len(TABLE)
    assert cell_count == sum(len(cells) for cells in TABLE.values())


# --- The rows are well made ---


def test_keys_and_wordings_are_distinct() -> None:
    for field in ("key", "zh", "en"):
        values = [getattr(row, field) for row in ROWS]
        assert len(set(values)) == len(values), field


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_no_term_is_swallowed_by_an_unless_word_of_its_own_row(row: CatalogueRow) -> None:
    alone = Catalogue([row])
    for term in row.terms:
        # A sign on both sides: no longer equal, and no neighbour.
        match = alone.match(f"做 {term} 的")
        assert match is not None, term
        assert not match.certain


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_term_means_its_own_row_when_it_stands_alone(row: CatalogueRow) -> None:
    for term in row.terms:
        match = CATALOGUE.match(term)
        assert match is not None
        assert (match.row.key, match.certain) == (row.key, True), term


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_row_has_terms_in_both_languages_none_too_short(row: CatalogueRow) -> None:
    assert any(chinese(term) for term in row.terms)
    assert any(not chinese(term) for term in row.terms)
    assert all(len(normalise(term)) >= 2 for term in row.terms)
    assert all(len(normalise(term)) >= 3 for term in row.terms if not chinese(term))


def test_no_term_or_unless_word_is_written_twice_in_a_row() -> None:
    for row in ROWS:
        for words in (row.terms, row.unless):
            twice = [word for word, n in Counter(map(normalise, words)).items() if n > 1]
            assert not twice, (row.key, twice)


# --- Innocent businesses ---


def test_there_are_enough_innocents_in_both_languages() -> None:
    counted = Counter(chinese(text) for text in INNOCENT)
    assert counted[True] >= 110
    assert counted[False] >= 110
    assert len(set(map(normalise, INNOCENT))) == len(INNOCENT)


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_business_is_not_accused(text: str) -> None:
    accused = [(hit.row.key, hit.term) for hit in CATALOGUE.explain(text) if hit.unless is None]
    assert accused == []


def test_the_innocents_are_near_the_terms() -> None:
    # If none of them were near a term, the list would prove nothing about `unless` words and edges.
    saved = Counter(hit.row.key for text in INNOCENT for hit in CATALOGUE.explain(text))
    assert sum(saved.values()) >= 150
    assert len(saved) >= 40
    edges = [text for text in INNOCENT if not CATALOGUE.explain(text) and _touches(text)]
    assert len(edges) >= 20


def _touches(text: str) -> bool:
    """Whether the text contains a term, ignoring the letters next to it."""
    compared = normalise(text)
    return any(term in compared for term in COMPARED)


# --- Prohibited businesses ---


@pytest.mark.parametrize(("key", "text"), GUILTY)
def test_a_prohibited_business_is_recognised_however_it_is_written(key: str, text: str) -> None:
    match = CATALOGUE.match(text)
    assert match is not None
    assert match.row.key == key


def test_every_row_is_reached_in_both_languages_by_more_than_its_own_term() -> None:
    assert len(GUILTY) >= 200
    reached = Counter((key, chinese(text)) for key, text in GUILTY)
    likely = {key for key, text in GUILTY if (match := CATALOGUE.match(text)) and not match.certain}
    for row in ROWS:
        assert reached[row.key, True] >= 1, row.key
        assert reached[row.key, False] >= 1, row.key
        assert row.key in likely, row.key


@pytest.mark.parametrize(
    "text",
    [
        "企业培训",
        "新房销售",
        "商铺出租",
        "企业资质办理",
        "资质办理",
        "电销系统",
        "外呼系统",
        "会议邀请",
        "医疗器械",
        "学历",
        "宽带",
        "挂靠",
        "银行",
        "美容",
        "Enterprise training",
        "new home sales",
        "POS",
    ],
)
def test_conditional_prohibitions_do_not_apply_without_their_condition(text: str) -> None:
    assert CATALOGUE.match(text) is None
