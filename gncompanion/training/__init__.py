"""Training: losses, the schedule, the two steps, the loop, and what lets a run go on after it was stopped.

    Training(players, dataset, Schedule(steps=1000)).run()

`steps` are a GAN's critic and generator step, `critic_alone` trains a critic that nobody answers;
`distributed`, `cuda_graph` and `long_run` are for runs of hours.
"""

from gncompanion.training.critic_alone import TrainedCritic, train_critic
from gncompanion.training.cuda_graph import WARM_UP, Captured, require_capturable
from gncompanion.training.distributed import Share, share, shared_statistics
from gncompanion.training.loop import COLUMNS, NonFiniteLoss, Training, Watch
from gncompanion.training.losses import LOSSES, Loss
from gncompanion.training.schedule import Schedule
from gncompanion.training.steps import Networks, critic_step, generator_step

__all__ = [
    "COLUMNS",
    "LOSSES",
    "WARM_UP",
    "Captured",
    "Loss",
    "Networks",
    "NonFiniteLoss",
    "Schedule",
    "Share",
    "TrainedCritic",
    "Training",
    "Watch",
    "critic_step",
    "generator_step",
    "require_capturable",
    "share",
    "shared_statistics",
    "train_critic",
]
