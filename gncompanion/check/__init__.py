"""A critic of your own, checked: its method, whether its gradient is right, its price, and remedies.

    report = check_critic(critic, (3, 32, 32))         gncompanion check my_module:MyCritic --shape 3,32,32

`checking` is the front door; each of the other files finds out one thing.
"""

from gncompanion.check.checking import check_critic
from gncompanion.check.loading import load_critic
from gncompanion.check.report import Errors, Report, StepCost

__all__ = ["Errors", "Report", "StepCost", "check_critic", "load_critic"]
