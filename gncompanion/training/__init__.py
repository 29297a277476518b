"""Training: losses, the schedule, the two steps, the loop, and what lets a run go on after it was stopped.

    Training(players, dataset, Schedule(steps=1000)).run()

`steps` are a GAN's critic and generator step, `loop` repeats them, with `optimizers`, `averaging` and `log`;
`critic_alone` trains a critic that nobody answers; `distributed`, `cuda_graph` and `long_run` are for runs of
hours, `checkpoint` and `random_states` for those that go on later.
"""

from gncompanion.training.batch_statistics import shared_statistics
from gncompanion.training.critic_alone import TrainedCritic, train_critic
from gncompanion.training.cuda_graph import WARM_UP, Captured, require_capturable
from gncompanion.training.distributed import Share, current_share
from gncompanion.training.log import COLUMNS, NonFiniteLoss
from gncompanion.training.loop import Training
from gncompanion.training.losses import LOSSES, Loss
from gncompanion.training.schedule import Schedule
from gncompanion.training.steps import (
    Networks,
    critic_step,
    descend,
    generator_step,
    improve_critic,
    improve_generator,
    update_critic,
)
from gncompanion.training.watch import Watch

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
    "current_share",
    "descend",
    "generator_step",
    "improve_critic",
    "improve_generator",
    "require_capturable",
    "shared_statistics",
    "train_critic",
    "update_critic",
]
