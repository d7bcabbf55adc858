from streams.kafka.api import OutputRecord

INTERFACE: int

def encode(records: list[OutputRecord], start: int, most: int, /) -> tuple[bytes, int]:
    """The records from ``start`` on that fit into ``most`` bytes, but at least one, and the number of the next one."""
