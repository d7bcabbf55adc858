"""The console's tables; `versions` creates them. Sub-packages add theirs to the same ``METADATA``."""

from typing import Final

from sqlalchemy import MetaData

from streams.consumers.offsets import Offsets, position_table
from streams.consumers.sql_common import rejected_table

METADATA: Final = MetaData()
POSITIONS: Final = Offsets(position_table(METADATA, "console"))
REJECTED: Final = rejected_table(METADATA, "console")
