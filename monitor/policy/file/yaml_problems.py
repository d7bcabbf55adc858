"""The problems that the YAML parser reports, in Chinese: it has them in English alone."""

import re
from typing import Final

from monitor.text.bilingual import Bilingual

_UNKNOWN: Final = "此处不符合 YAML 语法"

# A value after `found` or `got` is a character, or the kind of what the parser read.
_PROBLEMS: Final = tuple(
    (re.compile(pattern), zh)
    for pattern, zh in (
        ("mapping values are not allowed here", "此处不能有键值对；含有 `: ` 的文本要加引号"),
        ("sequence entries are not allowed here", "此处不能有列表项"),
        ("mapping keys are not allowed here", "此处不能有键"),
        ("could not find expected ':'", "缺少 `:`"),
        ("found unexpected ':'", "此处不能有 `:`"),
        ("found unexpected end of stream", "文件意外结束"),
        ("found unexpected document separator", "此处不能有文档分隔符"),
        ("found character (.+) that cannot start any token", "值不能以字符{0} 开头；请加引号"),
        ("found unknown escape character (.+)", "未知的转义字符{0}"),
        ("found undefined tag handle (.+)", "标签前缀{0} 没有定义"),
        ("found duplicate YAML directive", "YAML 指令重复"),
        (r"found incompatible YAML document \(version 1\.\* is required\)", "YAML 版本应为 1.x"),
        ("found non-comment content after document end marker, (.+)", "文档结束标记之后只能有注释，实际为{0}"),
        ("duplicate tag handle (.+)", "标签前缀{0} 重复"),
        ("more indented follow up line than first in a block scalar", "多行文本的首行缩进少于后面的行"),
        (r"expected escape sequence of (\d+) hexdecimal numbers, but found (.+)", "应为 {0} 位十六进制数，实际为{1}"),
        (
            r"expected URI escape sequence of (\d+) hexdecimal numbers, but found (.+)",
            "应为 {0} 位十六进制数，实际为{1}",
        ),
        ("expected URI, but found (.+)", "应为 URI，实际为{0}"),
        ("expected indentation indicator in the range 1-9, but found 0", "缩进指示应为 1 至 9，实际为 0"),
        ("expected chomping or indentation indicators, but found (.+)", "应为换行指示或缩进指示，实际为{0}"),
        ("expected alphabetic or numeric character, but found (.+)", "应为字母或数字，实际为{0}"),
        (r"expected a digit or '\.', but found (.+)", "应为数字或 `.`，实际为{0}"),
        ("expected a digit, but found (.+)", "应为数字，实际为{0}"),
        ("expected a comment or a line break, but found (.+)", "应为注释或换行，实际为{0}"),
        ("expected <block end>, but found (.+)", "缩进或结构有误：此处不能有{0}"),
        ("expected the node content, but found (.+)", "此处应有值，实际为{0}"),
        ("expected '<document start>', but found (.+)", "此处应为文档开头，实际为{0}"),
        ("expected ' ', but found (.+)", "应为空格，实际为{0}"),
        ("expected '(.+?)' or '(.+?)', but got (.+)", "应为 `{0}` 或 `{1}`，实际为{2}"),
        ("expected '(.+?)',? but found (.+)", "应为 `{0}`，实际为{1}"),
        ("while scanning for the next token", "读取下一个标记时"),
        ("while scanning a directive", "读取指令时"),
        ("while scanning an alias", "读取别名时"),
        ("while scanning an anchor", "读取锚点时"),
        ("while (?:scanning|parsing) an? (?:tag|directive)", "读取标签时"),
        ("while scanning a block scalar", "读取多行文本时"),
        ("while scanning a (?:double-)?quoted scalar", "读取带引号的文本时"),
        ("while scanning a plain scalar", "读取文本时"),
        ("while scanning a simple key", "读取键时"),
        ("while parsing a (?:.+ )?node", "读取值时"),
        ("while parsing a flow sequence", "读取 [ ] 中的列表时"),
        ("while parsing a flow mapping", "读取 {{ }} 中的映射时"),
        ("while parsing a block collection", "读取列表时"),
        ("while parsing a block mapping", "读取映射时"),
    )
)

_TOKENS: Final = {
    "<stream end>": "文件结尾",
    "<stream start>": "文件开头",
    "<document start>": "文档开头",
    "<document end>": "文档结尾",
    "<block sequence start>": "列表",
    "<block mapping start>": "映射",
    "<block end>": "缩进结束",
    "<byte order mark>": "字节顺序标记",
    "<directive>": "指令",
    "<alias>": "别名",
    "<anchor>": "锚点",
    "<tag>": "标签",
    "<scalar>": "文本",
    "comment": "注释",
    "\\x00": "文件结尾",
    "\\n": "换行",
}
_QUOTED: Final = re.compile(r"""\(?['"](.+?)['"],?\)?""")


def yaml_problem(problem: str) -> Bilingual:
    """A problem, or what the parser was reading, in both languages; in Chinese a general one if it is not known."""
    for pattern, zh in _PROBLEMS:
        if found := pattern.fullmatch(problem):
            return Bilingual(zh.format(*map(_shown, found.groups())), problem)
    return Bilingual(_UNKNOWN, problem)


def _shown(part: str) -> str:
    """A number, a character, or a kind of token in Chinese."""
    quoted = _QUOTED.fullmatch(part)
    if quoted is None:
        return part
    return _TOKENS.get(quoted[1], f" `{quoted[1]}`")
