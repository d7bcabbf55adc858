"""Why Kafka did not do something, in Chinese and English: one table. What Kafka itself said is a value, in English."""

from typing import Final

from monitor.text.bilingual import Bilingual

# A value that begins a sentence begins the Chinese one, too: what stands before the sentence may be found in it.
KAFKA_WORDING: Final = {
    "fenced": Bilingual(
        "{doing}：另一个写入者已接管，或事务已超时",
        "{doing}: another writer has taken over, or the transaction had timed out",
    ),
    "login": Bilingual("{doing}：登录被拒绝：{why}", "{doing}: the login was refused: {why}"),
    "not_allowed": Bilingual("{doing}：没有权限：{why}", "{doing}: not allowed: {why}"),
    "not_trusted": Bilingual(
        "{doing}：服务器的证书不受信任：{why}", "{doing}: the server's certificate is not trusted: {why}"
    ),
    "no_answer": Bilingual("{doing}：没有及时得到应答", "{doing}: no answer in time"),
    "silent": Bilingual("Kafka 在 {seconds} 秒内没有应答", "Kafka did not answer within {seconds} s"),
    "other_protocol": Bilingual(
        "{why}；该端口使用的协议是 {security}（`CALLWARDEN_SECURITY`）吗？",
        "{why}; does that port speak {security} (CALLWARDEN_SECURITY)?",
    ),
    "no_write": Bilingual(
        "Kafka 的 ACL 不允许写入 {topics}：请授予运行本程序的用户 Write 权限",
        "Kafka's ACLs do not allow writing to {topics}: allow the user of this program Write on it",
    ),
}
"""Every sentence by its code."""


def kafka_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return KAFKA_WORDING[code].fill(**values).en
