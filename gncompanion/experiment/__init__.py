"""An experiment: plain values in, a finished run out."""

from gncompanion.experiment.experiment import FORMAT, Experiment, Stopped, plain
from gncompanion.experiment.run import Run

__all__ = ["FORMAT", "Experiment", "Run", "Stopped", "plain"]
