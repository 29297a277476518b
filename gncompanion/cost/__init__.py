"""What a constraint costs: operations counted, seconds measured, bytes held at once."""

from gncompanion.cost.counting import METHODS, PARTS, Cost, Method, count, iteration, parts, seconds
from gncompanion.cost.live_memory import LiveMemory

__all__ = ["METHODS", "PARTS", "Cost", "LiveMemory", "Method", "count", "iteration", "parts", "seconds"]
