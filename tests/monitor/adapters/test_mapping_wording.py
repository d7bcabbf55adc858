"""Every fault of a mapping, and of a file that it does not fit, is there in both languages, with the same values."""

import ast
import io
import re
from pathlib import Path
from string import Formatter

import pytest
from adapter_rows import SMALL
from test_mapping_faults import FAULTS

import monitor.adapters
from helpers.english_sentences import english_in
from helpers.wording_tables import one_sided
from monitor.adapters.errors import MappingError
from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.mapping_wording import MAPPING_WORDING
from monitor.adapters.shipped import open_adapter

MODULES = sorted(Path(monitor.adapters.__file__).parent.rglob("*.py"))
MAKERS = {"mapping_text": 0, "wrong": 1, "wrong_key": 1}
"""What makes a message, and which of its arguments is the code."""
# Codes that a caller hands on: what a list or a value should be.
HANDED_ON = {"a_text", "true_or_false", "header_kind", "an_extract", "a_reject", "a_case"}


def faults_in(text: str, constants: dict[str, str] | None = None) -> list[str]:
    """The Chinese messages of a mapping's faults."""
    with pytest.raises(MappingError) as caught:
        read_mapping(text, "m.yaml", constants)
    return [fault.message_zh for fault in caught.value.faults]


def test_every_message_is_there_in_both_languages() -> None:
    assert one_sided(MAPPING_WORDING.values()) == []


def test_every_code_that_is_used_is_there_with_its_values() -> None:
    used = set(HANDED_ON)
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in MAKERS and isinstance(code := node.args[MAKERS[name]], ast.Constant):
                names = {field for _, field, _, _ in Formatter().parse(MAPPING_WORDING[code.value].en) if field}
                assert {each.arg for each in node.keywords} == names, ast.unparse(node)
                used.add(code.value)
    assert used == set(MAPPING_WORDING)


def test_no_fault_of_a_mapping_is_a_text_in_one_language() -> None:
    made = [module.name for module in MODULES if re.search(r"(?<![\w\[])PolicyFault\(", module.read_text("utf-8"))]
    assert made == [], "PolicyFault.worded makes faults in both languages"


@pytest.mark.parametrize("fault", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_mistake_is_reported_in_chinese(fault: tuple[str, str, str, str, str]) -> None:
    _, before, after, *_ = fault
    for said in faults_in(SMALL.replace(before, after, 1)):
        assert re.search("[\u4e00-\u9fff]", said), said
        # Of what the engine of patterns says there is no Chinese: it stands in code marks.
        assert english_in(said) == [], said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "文件是空的；映射要有 format、record 和 fields"),
        ("a: b: c", "不是有效的 YAML：此处不能有键值对；含有 `: ` 的文本要加引号"),
        ("a: 1\n---\nb: 2\n", "出现第二个文档：一份映射只含一个文档，请删去 `---`"),
        ("- a", "映射由键和值组成：format、record、fields"),
        ("record: cdr\nsettle: 2w", "`settle` 应与 `version` 一起出现，而这里没有"),
        ("record: cdr\nprecision: 2w", "应为时长，例如 `90s`、`5m`、`24h` 或 `30d`，实际值：`2w`；是否应为 `14d`？"),
    ],
)
def test_the_chinese_of_a_fault(text: str, said: str) -> None:
    assert said in faults_in(text)


def test_a_setting_and_a_constant_that_do_not_fit_are_reported_in_chinese() -> None:
    assert faults_in(SMALL, {"nope": "x"})[0].startswith("cdr 没有字段 `nope`；可用：`")
    assert faults_in(SMALL, {"outcome": "no_answr"}) == [
        "outcome=no_answr：此处不能用 `no_answr`；是否应为 `no_answer`？"
    ]
    assert faults_in(SMALL, {"start_ms": "soon"}) == ["start_ms=soon：常量时间应为整数的毫秒时间戳"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("bank-calls", "文件没有 vru+line、"), ("ftc-dnc", "表头 'a,b' 不是它的表头：")],
)
def test_a_file_that_does_not_fit_is_reported_in_chinese(name: str, said: str) -> None:
    with pytest.raises(MappingError) as caught:
        list(open_adapter(name, {}, b"key").rows(io.BytesIO(b"a,b\n1,2\n")))
    for fault in caught.value.faults:
        assert fault.message_zh.startswith(said), fault
        assert english_in(fault.message_zh) == []


def test_a_file_without_a_column_is_reported_in_chinese() -> None:
    with pytest.raises(MappingError) as caught:
        list(MappedAdapter(read_mapping(SMALL, "m.yaml"), b"key").rows(io.BytesIO(b"id,too,end\n1,2,3\n")))
    said = [fault.message_zh for fault in caught.value.faults]
    assert "文件没有 `to` 列；是否应为 `too`？" in said
    assert [each for each in said if english_in(each)] == []


def test_a_number_in_a_fault_is_masked_in_both_languages() -> None:
    with pytest.raises(MappingError) as caught:
        read_mapping(SMALL, "m.yaml", {"outcome": "+8613812345678"})
    (fault,) = caught.value.faults
    assert "12345" not in fault.message + fault.message_zh
    assert "78" in fault.message_zh
