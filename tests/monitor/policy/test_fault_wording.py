"""Every message about a policy file is there in Chinese, and says in both languages the same of the same values."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Formatter

import pytest
import ruamel.yaml

import monitor.policy
from helpers.english_sentences import english_in
from monitor.policy.file.fault_wording import FAULT_WORDING, THINGS
from monitor.policy.file.yaml_problems import _UNKNOWN, yaml_problem
from monitor.policy.load import PolicyError, load, loads
from monitor.policy.note_wording import NOTE_WORDING
from monitor.policy.warnings import notes
from monitor.text.bilingual import Bilingual, BilingualError
from monitor.text.durations import parse_duration
from monitor.text.timestamps import parse_instant

MODULES = sorted(Path(monitor.policy.__file__).parent.rglob("*.py"))
MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))
HAN = re.compile("[\u4e00-\u9fff]")
MAKERS = {"fault_text": FAULT_WORDING, "_wrong": FAULT_WORDING, "note_text": NOTE_WORDING}
HEAD = 'id: house\nversion: "1"\n'


def names(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("code", [*FAULT_WORDING, *NOTE_WORDING, *THINGS])
def test_every_message_is_there_in_chinese(code: str) -> None:
    said = {**FAULT_WORDING, **NOTE_WORDING, **THINGS}[code]
    letters = re.sub(r"\{\w*(:\w+)?\}", "", said.zh)
    assert HAN.search(said.zh) or not re.search("[A-Za-z]", letters), said
    assert english_in(said.zh) == []
    assert names(said.zh) == names(said.en) - ({"direction"} if code == "seconds" else set()), said
    assert said.en


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the policy's modules of what makes a message or a fault, with its name."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield name, node


def codes(of: ast.expr) -> list[str]:
    return [each.value for each in ast.walk(of) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def test_every_code_that_is_used_is_there_with_its_values() -> None:
    for name, call in calls():
        if name not in MAKERS:
            continue
        for code in codes(call.args[0].body if isinstance(call.args[0], ast.IfExp) else call.args[0]):
            given = {each.arg for each in call.keywords}
            assert code in MAKERS[name], code
            assert None in given or given == names(MAKERS[name][code].en), (code, given)
    source = "\n".join(module.read_text("utf-8") for module in MODULES if "wording" not in module.name)
    used = {code for code in (*FAULT_WORDING, *NOTE_WORDING, *THINGS) if f'"{code}"' in source}
    assert set(FAULT_WORDING) | set(NOTE_WORDING) | set(THINGS) == used


def test_no_fault_of_a_policy_is_a_text_in_one_language() -> None:
    for name, call in calls():
        if name in ("fault", "key_fault"):
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), ast.unparse(call)
    made = [module.name for module in MODULES if re.search(r"(?<![\w\[])PolicyFault\(", module.read_text("utf-8"))]
    assert made == ["yaml_source.py"], "PolicyFault.worded makes faults in both languages"


@pytest.mark.parametrize("file", MISTAKES, ids=lambda file: file.stem)
def test_a_mistake_is_reported_in_chinese(file: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load(str(file))
    for fault in caught.value.faults:
        assert HAN.search(fault.message_zh), fault
        assert english_in(fault.message_zh) == [], fault
        assert fault.both == Bilingual(fault.message_zh, fault.message)
        assert set(re.findall("`[^`]*`", fault.message)) <= set(re.findall("`[^`]*`", fault.message_zh)), fault


def raised(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        loads(text, "f")
    return caught.value.faults[0].message_zh


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "不是有效的 YAML：此处不能有键值对；含有 `: ` 的文本要加引号"),
        ("a: [", "不是有效的 YAML：此处应有值，实际为文件结尾（读取值时）"),
        ("{a: 1", "不是有效的 YAML：应为 `,` 或 `}`，实际为文件结尾（读取 { } 中的映射时）"),
        ('x: "a', "不是有效的 YAML：文件意外结束（读取带引号的文本时）"),
        ('x: "a\n\nb', "不是有效的 YAML：文件意外结束（读取带引号的文本时，始于 1:4）"),
        ('"\\q"', "不是有效的 YAML：未知的转义字符 `q`（读取带引号的文本时）"),
        ("a: @b", "不是有效的 YAML：值不能以字符 `@` 开头；请加引号（读取下一个标记时）"),
        (HEAD + "patch: 3", "`patch` 应为从规则 ID 到所改字段的映射，实际值：`3`"),
        (HEAD + "rules: 3", "`rules` 应为列表：每项以 `- ` 开头"),
        (
            HEAD + "defaults: {lateness: 2w}",
            "应为时长，例如 `90s`、`5m`、`24h` 或 `30d`，实际值：`2w`；是否应为 `14d`？",
        ),
    ],
)
def test_the_chinese_of_a_fault(text: str, said: str) -> None:
    assert raised(text) == said


def test_the_chinese_of_notes() -> None:
    rule = "id: r, behaviour: blind_calling, metric: acd_s, below: 6000, window: 1h, step: 1h"
    text = f"{HEAD}rules: [{{{rule}}}]\nprohibited_businesses: []\n"
    assert [note.zh for note in notes(loads(text, "f"), 0)] == [
        "没有禁止业务：不会因业务驳回任何申请，质检结果也不会违反第 3 条",
        "规则 r（第 3 行）是新规则，没有写 `mode`：从第一个窗口起就直接生效；"
        "确认如此请写 `mode: enforce`，想先看它会作出哪些决定请写 `mode: shadow`",
        "规则 r：acd_s 以秒为单位，阈值为 6000；若本意是毫秒，6000 毫秒应写 6",
    ]


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_duration, text) for text in ("", "5", "5 h", "2w", "1.5h", "99999999d")),
        *((parse_instant, t) for t in ("soon", "2027-02-30", "2027-01-01T00:00:00", "2027-01-01T00:00Z", "2100-01-01")),
    ],
)
def test_a_duration_or_time_that_is_none_is_refused_in_both_languages(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(BilingualError) as caught:
        parse(text)
    assert str(caught.value) == caught.value.message.en
    assert HAN.search(caught.value.message.zh)
    assert english_in(caught.value.message.zh) == []


def parser_problems() -> Iterator[str]:
    """What ruamel's scanner and parser raise, each value in them as `x`."""
    folder = Path(ruamel.yaml.__file__).parent
    for file in ("scanner.py", "parser.py"):
        for node in ast.walk(ast.parse((folder / file).read_text("utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in ("ScannerError", "ParserError"):
                for argument in (node.args[0], *node.args[2:3]):
                    if isinstance(argument, ast.Constant) and argument.value is not None:
                        yield str(argument.value)
                    elif isinstance(argument, ast.JoinedStr):
                        yield "".join(_part(each) for each in argument.values)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    if "name" in ast.unparse(part):
        return "tag"
    return "2" if "length" in ast.unparse(part) else "'x'"


def test_every_problem_of_the_parser_is_known_in_chinese() -> None:
    found = sorted(set(parser_problems()))
    assert len(found) > 40
    assert [each for each in found if yaml_problem(each).zh == _UNKNOWN] == []
    assert [each for each in found if english_in(yaml_problem(each).zh)] == []
    assert all(yaml_problem(each).en == each for each in found)
