"""Why a worker or one of its partitions does not work, in Chinese and English: one table."""

from typing import Final

from monitor.text.bilingual import Bilingual

WORKER_WORDING: Final = {
    # The worker.
    "broker_away": Bilingual("无法连接 broker", "the broker is away"),
    "unanswered": Bilingual("broker 已有 {seconds} 秒没有应答", "the broker has not answered for {seconds} s"),
    "rebalancing": Bilingual("消费者组正在重新分配分区", "the consumer group is rebalancing"),
    "lag_unknown": Bilingual("尚不知道落后多少记录", "the lag is not known yet"),
    "lagging": Bilingual(
        "{log}：落后 {records} 条记录；至多应为 {most} 条", "{log}: {records} records behind; expected at most {most}"
    ),
    "owners_unread": Bilingual(
        "{topic} 自 {since} 起无法读取（{why}）：其他分区对主体的封号不会生效",
        "{topic} cannot be read since {since} ({why}): bans of owners by other partitions take no effect",
    ),
    # The clocks.
    "no_tick": Bilingual(
        "{topic} 中自 {since} 起没有任何时钟记录得到确认：静默数据源的时钟即将停止，或已停止；"
        "`callwarden topics check` 可查出该主题的问题",
        "no tick in {topic} has been acknowledged since {since}: clocks of silent sources stop soon, or have stopped; "
        "`callwarden topics check` shows what is wrong with the topic",
    ),
    "no_tick_because": Bilingual(
        "{topic} 中自 {since} 起没有任何时钟记录得到确认（{why}）：静默数据源的时钟即将停止，或已停止；"
        "`callwarden topics check` 可查出该主题的问题",
        "no tick in {topic} has been acknowledged since {since} ({why}): clocks of silent sources stop soon, or have "
        "stopped; `callwarden topics check` shows what is wrong with the topic",
    ),
    "clock_ahead": Bilingual(
        "本机时钟比 broker 快 {seconds} 秒；决定不受其影响；`chronyc tracking` 可查出原因",
        "the clock of this host is {seconds} s ahead of the broker's; decisions do not depend on it; "
        "`chronyc tracking` shows why",
    ),
    "clock_behind": Bilingual(
        "本机时钟比 broker 慢 {seconds} 秒；决定不受其影响；`chronyc tracking` 可查出原因",
        "the clock of this host is {seconds} s behind the broker's; decisions do not depend on it; "
        "`chronyc tracking` shows why",
    ),
    # A partition, by its phase, and why.
    "partition": Bilingual("分区 {number}：{why}", "partition {number}: {why}"),
    "opening": Bilingual("正在打开", "opening"),
    "refused": Bilingual("拒绝打开", "refused"),
    "stopped": Bilingual("已停止", "stopped"),
    "misconfigured": Bilingual("配置有误", "misconfigured"),
    "parked": Bilingual("已移交", "handed over"),
    "opening_because": Bilingual("正在打开：{why}", "opening: {why}"),
    "refused_because": Bilingual("拒绝打开：{why}", "refused: {why}"),
    "stopped_because": Bilingual("已停止：{why}", "stopped: {why}"),
    "misconfigured_because": Bilingual("配置有误：{why}", "misconfigured: {why}"),
    "parked_because": Bilingual("已移交：{why}", "handed over: {why}"),
    "no_topics": Bilingual("没有 {topics}", "there is no {topics}"),
    "control_damaged": Bilingual(
        "{damage}。要跳过此前的命令继续运行：请对 {topic} 的分区 {number} 以位移 {offset} 运行 "
        "`kafka-delete-records.sh`，然后重启工作进程",
        "{damage}. To continue without the commands up to there: run kafka-delete-records.sh with offset {offset} of "
        "partition {number} of {topic}, then restart the worker",
    ),
    "input_damaged": Bilingual("{damage}。要跳过它：`{command}`", "{damage}. To skip it: {command}"),
    # A state that does not fit.
    "moved": Bilingual(
        "其状态已移至 {prefix}*，共 {partitions} 个分区；应由采用这些设置的工作进程继续。"
        "若那里尚无工作进程接着运行：`{command}`",
        "its state was moved to {prefix}*, with {partitions} partitions; expected workers with those settings. If no "
        "worker has continued there: {command}",
    ),
    "no_state": Bilingual("没有状态", "has no state"),
    "incomplete_state": Bilingual("的状态不完整（{why}）", "has an incomplete state ({why})"),
    "lost_state": Bilingual(
        "其状态已丢失：{topic} {lost}，但此前已作出决定。请恢复该状态，或用输入主题中仍有的记录和已记下的时钟重建它。"
        "重建不会重复处置主题中已有的决定，但会忘记已删除的记录所造成的一切：仍有效的违规、终止服务和封号，以及未结束的窗口；"
        "迟到和被拒收的记录可能再次写出。如接受：`{command}`",
        "its state is lost: {topic} {lost}, but decisions were made. Restore the state, or rebuild it from the records "
        "that the input topics still have, with the logged clocks. A rebuild repeats no decision that is in the "
        "enforcement topic. It forgets what deleted records caused: violations, terminations and bans in force, open "
        "windows. Late and rejected records may be written again. To accept that: {command}",
    ),
    "unreadable_policy": Bilingual(
        "{topic} 中有此版本无法读取的策略：{error}", "{topic} has a policy that this release cannot read: {error}"
    ),
    "other_count": Bilingual(
        "它没有状态，而分区 0 的状态按 {stored} 个分区写成；主题有 {partitions} 个分区；两者应相同，"
        "否则租户会被分到不认识它们的分区",
        "it has no state, and that of partition 0 was written for {stored} partitions; the topics have {partitions}; "
        "expected the same number, because another number assigns tenants to partitions that do not know them",
    ),
    "other_inputs": Bilingual(
        "{state} 中的状态由输入 {expected}* 生成，而设置为 {given}*。两者应相同：对这个输出前缀，"
        "应设 `CALLWARDEN_INPUT_PREFIX={prefix}`。要判定其他输入，请改用另一个 `CALLWARDEN_OUTPUT_PREFIX`；"
        "要把状态带到其他输入，请用 `callwarden state move`",
        "the state in {state} was made from the inputs {expected}*, and the settings name {given}*. Expected the same "
        "inputs: CALLWARDEN_INPUT_PREFIX={prefix} is right for this output prefix. To judge other inputs, use another "
        "CALLWARDEN_OUTPUT_PREFIX; to bring the state to other inputs, `callwarden state move`",
    ),
    # An input that lost records.
    "lost_input": Bilingual(
        "{what}。若接受，{loss}。接受的命令：`{command}`",
        "{what}. If you accept that, {loss}. To accept it: {command}",
    ),
    "deleted_records": Bilingual(
        "应有 {topic} 自位移 {resume} 起的记录，而它从 {start} 开始",
        "expected the records of {topic} from offset {resume} on, but it begins at {start}",
    ),
    "loss_between": Bilingual(
        "其间 {count} 个位移的记录不计入任何窗口，也不产生任何决定",
        "the records at the {count} offsets between are in no window and decide nothing",
    ),
    "recreated": Bilingual(
        "{topic} 在已读到 {done} 之后被删除并重新创建（主题 ID 不同）",
        "{topic} was deleted and created again (it has another topic id), after records up to {done} were read",
    ),
    "cut_off": Bilingual(
        "{topic} 止于位移 {end}，而已读到 {done}：它被截断或重新创建",
        "{topic} ends at offset {end}, but records up to {done} were read: it was cut off or recreated",
    ),
    "loss_reread": Bilingual(
        "将同首次启动一样从头（位移 {start}）读取，未结束的窗口缺少位移 {resume} 至 {done} 的记录",
        "it is read from its beginning, offset {start}, as on the first start, and the open windows lack the records "
        "at the offsets from {resume} to {done}",
    ),
}
"""Every sentence and part of one by its code."""


def worker_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return WORKER_WORDING[code].fill(**values).en
