"""The messages of the faults of a mapping, and of a file that it does not fit, in Chinese and English: one table.

Messages contain the names of their values, such as ``{key}``. A value in both languages, such as a hint, is a message
itself.
"""

from collections.abc import Iterable
from typing import Final

from monitor.text.bilingual import Bilingual

MAPPING_WORDING: Final = {
    # The file, its keys and the kinds of values.
    "empty": Bilingual(
        "文件是空的；映射要有 format、record 和 fields",
        "the file is empty; a mapping needs format, record and fields",
    ),
    "not_utf_8": Bilingual("映射应为 UTF-8；第 {place} 个字节不是", "a mapping is UTF-8; byte {place} is not"),
    "no_file": Bilingual(
        "没有这个映射文件：{why}；应为一个映射文件，或 `callwarden map list` 列出的名称{hint}",
        "no mapping file: {why}; expected one, or a name that `callwarden map list` shows{hint}",
    ),
    "no_mapping": Bilingual(
        "映射由键和值组成：format、record、fields", "a mapping is keys with values: format, record, fields"
    ),
    "unknown_key": Bilingual("`{key}` 在此处没有意义{hint}", "`{key}` means nothing here{hint}"),
    "missing": Bilingual("缺少 `{key}`：应为{words}之一", "`{key}` is missing: one of {words}"),
    "not_allowed": Bilingual("此处不能用 `{value}`{hint}", "`{value}` is not allowed here{hint}"),
    "wrong_kind": Bilingual("`{key}` 应为{right}", "`{key}` is {right}"),
    "a_text": Bilingual("文本：请按文件中的写法加引号", "text: write it in quotes, as it stands in the file"),
    "true_or_false": Bilingual(" true 或 false", "true or false"),
    "header_kind": Bilingual(" true、false 或列名的列表", "true, false, or the list of the columns' names"),
    "no_texts": Bilingual("`{key}` 应为文本的列表：每项都要加引号", "`{key}` is a list of texts: write each in quotes"),
    "no_list": Bilingual("`{key}` 应为列表，每项为{right}", "`{key}` is a list of {right}"),
    "an_extract": Bilingual(" `{{column: NAME, pattern: PATTERN}}`", "{{column: NAME, pattern: PATTERN}}"),
    "a_reject": Bilingual(" `{{when: CONDITION, reason: TEXT}}`", "{{when: CONDITION, reason: TEXT}}"),
    "a_case": Bilingual(
        "一个字段，例如 `{{when: CONDITION, column: NAME}}`", "fields, such as {{when: CONDITION, column: NAME}}"
    ),
    "problem": Bilingual("{problem}", "{problem}"),
    # Settings.
    "settings_kind": Bilingual(
        "`settings` 应为名称及其默认文本，实际值：{value}",
        "expected `settings` to be names with their default texts, got {value}",
    ),
    "setting_default": Bilingual(
        "`{name}` 的默认文本应加引号，或留空，或为可取文本的列表，实际值：{value}",
        "expected the default text of `{name}` in quotes, nothing, or a list of the texts it may have, got {value}",
    ),
    "setting_choice": Bilingual(
        "`{name}` 应为 {choices} 之一，实际值：`{value}`", "expected `{name}` to be one of {choices}, got `{value}`"
    ),
    "setting_name": Bilingual(
        "名称应由字母、数字和 `_` 组成，实际值：`{name}`", "expected a name of letters, digits and `_`, got `{name}`"
    ),
    "setting_without_default": Bilingual(
        "请给出 `--set {name}=TEXT`：此映射没有它的默认值",
        "expected --set {name}=TEXT: this mapping has no default for it",
    ),
    "setting_is_field": Bilingual(
        "请另取名称：`{name}` 是记录的字段", "expected another name: `{name}` is a field of the record"
    ),
    # The format of the file.
    "of_json": Bilingual(
        "`{key}` 属于 JSON 文档；请写 `format: json`，而不是 {form}",
        "`{key}` is of a JSON document; write `format: json`, not {form}",
    ),
    "of_csv": Bilingual(
        "`{key}` 用于 `format: csv`，不用于 {form}：请删去", "`{key}` is for `format: csv`, not for {form}: remove it"
    ),
    "no_encoding": Bilingual(
        "`{name}` 不是编码；请写 utf-8、gb18030、big5、cp1252 等",
        "`{name}` is no encoding; write utf-8, gb18030, big5, cp1252 ...",
    ),
    "no_rows_in_encoding": Bilingual(
        "在 {name} 中无法分行；请先将文件转换为 utf-8",
        "rows cannot be separated in {name}; convert the file to utf-8 first",
    ),
    "json_is_utf_8": Bilingual(
        "JSON 和表单都是 UTF-8：请删去 `encoding`，或先将文件转换为 utf-8",
        "JSON and forms are UTF-8: remove `encoding`, or convert the file to utf-8 first",
    ),
    "no_delimiter": Bilingual(
        '分隔符是一个 ASCII 字符，例如 "," ";" "|" 或 tab',
        'a delimiter is one ASCII character, such as "," ";" "|" or tab',
    ),
    "no_quote": Bilingual(
        "引号是一个不同于分隔符的 ASCII 字符，或 `none`",
        "a quote is one ASCII character other than the delimiter, or `none`",
    ),
    "column_twice": Bilingual(
        "`{name}` 列出现两次：每列的名称应不同", "a second column `{name}`: give each column its own name"
    ),
    "no_precision": Bilingual("应为通话时间的精度，1s 至 60s", "expected how exact the times of a call are, 1s to 60s"),
    "no_arrival": Bilingual(
        "`arrival` 应为 `{{column: NAME, descending: true|false}}`",
        "`arrival` is {{column: NAME, descending: true|false}}",
    ),
    "optional_unread": Bilingual("没有字段读取 `{column}`{hint}", "no field reads `{column}`{hint}"),
    # Extracts and rejected rows.
    "column_or_first": Bilingual(
        "应有 `column`，或多列的 `first`，二者取一", "expected a `column`, or the `first` of several, one of the two"
    ),
    "pattern_without_groups": Bilingual(
        "应有带命名组的 `pattern`：(?P<cause>[0-9]+)",
        "expected a `pattern` with named groups: (?P<cause>[0-9]+)",
    ),
    "parts_without_groups": Bilingual(
        "应有带命名组的 `parts`：(?P<trunk>[a-z]+)",
        "expected `parts` with named groups: (?P<trunk>[a-z]+)",
    ),
    "group_taken": Bilingual(
        "请另取组名：`{group}` 已被占用", "expected another name for the group `{group}`: it is taken"
    ),
    "reject_without_reason": Bilingual(
        "`reject` 必须有 `reason`，它会写在每个这样的行旁边",
        "a `reject` needs a `reason`, which stands beside each such row",
    ),
    "reject_without_when": Bilingual(
        "`reject` 必须有 `when`，否则会拒收每一行", "a `reject` needs `when`, or it would reject every row"
    ),
    "no_pattern": Bilingual(
        "应为 RE2 语法的正则表达式：`{why}`", "expected a regular expression in the syntax of RE2: {why}"
    ),
    # Columns and paths.
    "no_column_name": Bilingual(
        "应为列名；若是数字，请加引号", "expected the name of a column; write it in quotes if it is a number"
    ),
    "no_columns": Bilingual("`{key}` 应为列的列表：[a, b]", "`{key}` is a list of columns: [a, b]"),
    "unknown_dollar": Bilingual(
        "`{name}` 既不是列，也不是设置或 `extract` 的组；应为{known}",
        "`{name}` is no column, no setting and no group of an `extract`; expected {known}",
    ),
    "of_one_event": Bilingual("`{name}` 属于单个事件：请加上 `of: KIND`", "`{name}` is of one event: add `of: KIND`"),
    "row_of_call": Bilingual("`{name}` 属于一行，而一通电话有多行", "`{name}` is of a row, and a call has several"),
    "of_without_events": Bilingual(
        "`of` 用于带 `events` 的映射的字段", "`of` is for the fields of a mapping with `events`"
    ),
    "no_kind": Bilingual(
        "应为 `events` 的一种，实际值：`{kind}`{hint}", "expected a kind of `events`, got `{kind}`{hint}"
    ),
    "path": Bilingual("`{path}`：{problem}", "`{path}`: {problem}"),
    "path_step": Bilingual(
        "路径的第 {at} 个字符应为 `.` 或 `[`，实际为 `{got}`",
        "expected `.` or `[` at character {at} of the path, got `{got}`",
    ),
    "path_key": Bilingual("路径的第 {at} 个字符处应有键", "expected a key at character {at} of the path"),
    "path_quote": Bilingual(
        "路径第 {at} 个字符处的引号没有结束", "expected a closing quote for the one at character {at} of the path"
    ),
    "path_brackets": Bilingual(
        '路径中应为 [0]、[-1]、["key"] 或 [key=value]，实际为 `[{inside}]`',
        'expected [0], [-1], ["key"] or [key=value] in the path, got `[{inside}]`',
    ),
    "path_bracket": Bilingual(
        "路径第 {at} 个字符处的 `[` 缺少 `]`", "expected `]` for the `[` at character {at} of the path"
    ),
    # Fields.
    "no_fields": Bilingual(
        "缺少 `fields`；它说明记录的每个字段从何而来", "`fields` is missing; it gives each field of the record"
    ),
    "no_field": Bilingual("{record} 没有字段 `{name}`{hint}", "a {record} has no field `{name}`{hint}"),
    "fields_missing": Bilingual(
        "{record} 不能没有 {names}：请说明它从何而来{hint}",
        "a {record} cannot be without {names}: say where it comes from{hint}",
    ),
    "one_tenant": Bilingual(
        "；单个租户的文件可用 `--set tenant_id=NAME`", "; a file of one tenant: --set tenant_id=NAME"
    ),
    "constant_tenant": Bilingual(
        "每条记录的租户应来自某一列；单个租户的文件请用 `--set tenant_id=NAME`，而这里是常量 `{value}`",
        "expected the tenant of each record, from a column; for a file of one tenant give --set tenant_id=NAME, got "
        "the constant `{value}`",
    ),
    "constant": Bilingual("{name}={text}：{problem}", "{name}={text}: {problem}"),
    "constant_time": Bilingual(
        "常量时间应为整数的毫秒时间戳", "a constant time is a whole number of epoch milliseconds"
    ),
    "constant_number": Bilingual("应为 {least} 至 {most} 的整数", "expected a whole number of {least} to {most}"),
    "text_as_field": Bilingual(
        "请写 `{{column: {value}}}`，固定文本请写 `{{const: {value}}}`",
        "write `{{column: {value}}}`, or `{{const: {value}}}` for a fixed text",
    ),
    "field_kind": Bilingual(
        "字段应为 `{{column: NAME ...}}`、`{{join: [...]}}`、`{{hmac: [...]}}` 或 `{{const: TEXT}}`",
        "a field is {{column: NAME ...}}, {{join: [...]}}, {{hmac: [...]}} or {{const: TEXT}}",
    ),
    "one_source": Bilingual(
        "字段应恰有 {sources} 之一；这里有 {count} 个", "a field has exactly one of {sources}; here are {count}"
    ),
    "with_of_join": Bilingual("`with` 只用于 `join` 的各列之间", "`with` stands between the columns of a `join` only"),
    "one_change": Bilingual(
        "字段只能有 table、time、number、split 之一；这里有 {given}",
        "a field takes one of table, time, number, split; here are {given}",
    ),
    "waits_for_itself": Bilingual("`{name}` 不能等待自身", "`{name}` cannot wait for itself"),
    "event_time_waits": Bilingual(
        "事件时间决定顺序，因此不能等待其他字段", "the event time decides the order, so it cannot wait for a field"
    ),
    "tenant_waits": Bilingual(
        "未结束的通话按租户计数，因此它不能等待其他字段",
        "open calls are counted by tenant, so it cannot wait for a field",
    ),
    "inside_cases": Bilingual("`{key}` 应写在每个 `cases` 之内", "expected `{key}` inside of each of the `cases`"),
    "no_cases": Bilingual(
        "`cases` 中至少应有一个字段，实际一个也没有", "expected at least one field in `cases`, got none"
    ),
    "not_url": Bilingual("应为 `url`，实际值：`{value}`", "expected `url`, got `{value}`"),
    # Times.
    "no_time": Bilingual(
        "时间字段必须有 `time`：{epochs}、iso8601，或 %Y-%m-%d %H:%M:%S 这样的格式",
        "a time needs `time`: {epochs}, iso8601 or a format like %Y-%m-%d %H:%M:%S",
    ),
    "zone_without_time": Bilingual(
        "`zone` 与 `time` 一起使用，而这里没有 `time`", "`zone` goes with `time`, which is missing here"
    ),
    "time_of_no_time": Bilingual("`{name}` 不是时间：请删去 `time`", "`{name}` is not a time: remove `time`"),
    "time_kind": Bilingual(
        "时间格式应为文本：%Y-%m-%d %H:%M:%S 这样的格式、epoch_s 或 iso8601",
        "expected a time format such as %Y-%m-%d %H:%M:%S, epoch_s or iso8601, as text",
    ),
    "form_without_zone": Bilingual(
        "`{form}` 没有时区；请在这里或整个映射中加上 `zone: Asia/Shanghai`",
        "`{form}` says no zone; add `zone: Asia/Shanghai` here or for the whole mapping",
    ),
    "no_zone": Bilingual(
        "{name} 不是时区；请写 IANA 名称，例如 Asia/Shanghai",
        "{name} is no time zone; write an IANA name such as Asia/Shanghai",
    ),
    "time_forms": Bilingual(
        "应为 {epochs}、iso8601，或 %Y-%m-%d %H:%M:%S 这样的格式",
        "expected {epochs}, iso8601 or a format such as %Y-%m-%d %H:%M:%S",
    ),
    "no_time_form": Bilingual("{form} 不是时间格式；{right}", "{form} is no time format; {right}"),
    "wrong_time_form": Bilingual("{form}：{why}；{right}", "{form}: {why}; {right}"),
    "bad_directive": Bilingual("含有不支持的格式符（`{why}`）", "{why}"),
    "part_twice": Bilingual("{form} 中同一部分出现两次；{right}", "{form} names a part twice; {right}"),
    "no_year": Bilingual(
        "{form} 没有年份；请把有年份的列合并进来，并写成 %Y 或 %y",
        "{form} has no year; join the column that has it, and name it with %Y or %y",
    ),
    "shift_kind": Bilingual(
        "`{key}` 应为 `{{column: NAME, unit: s}}`，写在 `time` 旁边：与时间相加或从中减去的时长",
        "`{key}` is {{column: NAME, unit: s}} beside a `time`: a duration that is added to the time or subtracted "
        "from it",
    ),
    # Tables, numbers, lists.
    "otherwise_without_table": Bilingual(
        "`otherwise` 与 `table` 一起使用，而这里没有 `table`", "`otherwise` goes with `table`, missing here"
    ),
    "no_table": Bilingual(
        '表应为 `{{"文件中的值": 字段的值, ...}}`{named}',
        'a table is {{"value in the file": value of the field, ...}}{named}',
    ),
    "tables_of_outcomes": Bilingual("，结果字段也可用 {names}", ", or for an outcome {names}"),
    "table_gives_text": Bilingual(
        "表给出的应为文本：请加引号，{value}", "a table gives text: write it in quotes, {value}"
    ),
    "otherwise_kind": Bilingual(
        "`otherwise` 应为 reject、keep、empty 或 `{{const: TEXT}}`",
        "`otherwise` is reject, keep, empty or {{const: TEXT}}",
    ),
    "no_region": Bilingual(
        "`number` 应为没有国家前缀的号码所属的地区：CN、US、IL 等；或 +",
        "`number` is the region of numbers without a country's prefix: CN, US, IL ...; or +",
    ),
    "list_without_split": Bilingual(
        '此字段是列表：请加上 `split: ";"`，或各项之间的字符',
        'this field is a list: add `split: ";"`, or what stands between its items',
    ),
    "split_of_no_list": Bilingual("此字段不是列表：请删去 `split`", "this field is not a list: remove `split`"),
    # Conditions.
    "condition_kind": Bilingual(
        "条件应为 `{{column: NAME, equals: TEXT}}`，或用 in、not_in、empty、matches",
        "a condition is {{column: NAME, equals: TEXT}}, or with in, not_in, empty, matches",
    ),
    "group_alone": Bilingual(
        "`{group}` 应单独出现：列表中的条件必须全部成立", "expected `{group}` alone: conditions in a list must all hold"
    ),
    "group_empty": Bilingual("`{group}` 中应有条件的列表", "expected a list of conditions in `{group}`"),
    "one_tested": Bilingual(
        "条件应有文件的 `column`、记录的 `field` 或 `setting` 之一",
        "a condition has a `column` of the file, a `field` of the record, or a `setting`: one of them",
    ),
    "field_not_made": Bilingual("此处没有生成字段 `{field}`{hint}", "no field `{field}` is made here{hint}"),
    "field_below": Bilingual(
        "请把此字段移到 `{field}` 之后：其条件要看 `{field}`，而后者也有这样的条件",
        "expected this field below `{field}`, which its condition tests and which has such a condition itself",
    ),
    "no_setting": Bilingual(
        "应为 `settings` 中的名称，实际值：`{name}`", "expected a name of `settings`, got `{name}`"
    ),
    "no_comparison": Bilingual(
        "条件必须有 equals、in、not_in、empty、matches 或 same_as",
        "a condition needs equals, in, not_in, empty, matches or same_as",
    ),
    "one_comparison": Bilingual("条件只能有 equals、in、not_in 之一", "a condition has one of equals, in, not_in"),
    "same_as_of_columns": Bilingual(
        "`same_as` 应与 `column` 一起出现：比较的是两列",
        "expected `same_as` beside a `column`: two columns are compared",
    ),
    # Events and versions of a call.
    "events_kind": Bilingual(
        "`events` 应为 `{{call, time, kinds}}`，实际不是",
        "expected `events` to be {{call, time, kinds}}, got something else",
    ),
    "events_of_calls": Bilingual(
        "`events` 应与 `record: cdr` 一起使用：它们组成通话，而不是 {record}",
        "expected `record: cdr` with `events`: they make calls, not a {record}",
    ),
    "not_with_events": Bilingual(
        "`{key}` 不能与 `events` 一起使用：请删去", "`{key}` does not go with `events`: remove it"
    ),
    "two_ends": Bilingual(
        "应为通话两端的两列：`[from_tag, to_tag]`", "expected the two columns of a call's ends: [from_tag, to_tag]"
    ),
    "no_role": Bilingual("应有一种事件的 `roles` 含 `{role}`", "expected a kind with `{role}` in its `roles`"),
    "missing_in_events": Bilingual("`events` 中缺少 `{key}`", "`{key}` is missing in `events`"),
    "kinds_kind": Bilingual(
        "`kinds` 应为名称，每个名称为 `{{when: CONDITION, roles: [...]}}`",
        "expected `kinds` to be names, each with {{when: CONDITION, roles: [...]}}",
    ),
    "unknown_role": Bilingual("角色应为 {roles}，实际值：`{role}`", "expected roles of {roles}, got `{role}`"),
    "kind_without_when": Bilingual(
        "应有 `when`：它把这种事件与其他事件区分开", "expected `when`: it tells the events of this kind from others"
    ),
    "limit": Bilingual("应不超过 {most}，实际值：{value}", "expected at most {most}, got {value}"),
    "settle_without_version": Bilingual(
        "`settle` 应与 `version` 一起出现，而这里没有", "expected `version` beside `settle`: it is missing"
    ),
    "version_of_calls": Bilingual(
        "`version` 应与 `record: cdr` 一起使用：{record} 会以更晚的时间再次出现",
        "expected `record: cdr` with `version`: a {record} comes again with a later time",
    ),
    "settle_limit": Bilingual(
        "应不超过 {most}，且小于策略的迟到容限", "expected at most {most}, and less than the policy's lateness"
    ),
    "settle_sorts": Bilingual(
        "用 `settle` 时应为 `sort: true`：各行按时间顺序读取",
        "expected `sort: true` with `settle`: the rows are read in the order of time",
    ),
    "settle_without_row": Bilingual(
        "用 `settle` 时不应有 `{row}`：暂存的行没有行号",
        "expected no `{row}` with `settle`: a row that is held has no number",
    ),
    # A file that a mapping does not fit.
    "unread_header": Bilingual("无法读取文件的表头：{why}", "the file's header cannot be read: {why}"),
    "no_such_column": Bilingual(
        "文件没有 `{column}` 列{hint}{tenant}", "the file has no column `{column}`{hint}{tenant}"
    ),
    "all_of_one_tenant": Bilingual(
        "；若所有记录都属于一个租户：`--set tenant_id=ID`",
        "; if all records are of one tenant: `--set tenant_id=ID`",
    ),
    "no_such_columns": Bilingual(
        "文件没有 {columns} 列；它的表头是 {header}", "the file has no column {columns}; its header is {header}"
    ),
    "other_header": Bilingual("表头 {header} 不是它的表头：{forms}", "the header {header} is none of its own: {forms}"),
}
"""Every message by its code."""

NO_HINT: Final = Bilingual("", "")


def mapping_text(code: str, **values: object) -> Bilingual:
    """A message, with its values."""
    return MAPPING_WORDING[code].fill(**values)


def listed(names: Iterable[str]) -> Bilingual:
    """Names, one after the other."""
    every = list(names)
    return Bilingual("、".join(every), ", ".join(every))
