"""What a constraint costs: operations and bytes counted, seconds measured.

`work` has the parts of an iteration, `counting` their FLOPs and bytes, `live_memory` the bytes that any
computation holds at once, and `timing` the seconds of anything.
"""

from gncompanion.cost.counting import Cost, count, flops, iteration
from gncompanion.cost.live_memory import LiveMemory
from gncompanion.cost.timing import CLOCKS, Spread, now, seconds
from gncompanion.cost.work import PARTS, VARIANTS, Variant, parts

__all__ = [
    "CLOCKS",
    "PARTS",
    "VARIANTS",
    "Cost",
    "LiveMemory",
    "Spread",
    "Variant",
    "count",
    "flops",
    "iteration",
    "now",
    "parts",
    "seconds",
]
