"""An experiment: plain values in, a finished run out."""

from gncompanion.experiment.experiment import FORMAT, Experiment, Stopped
from gncompanion.experiment.run import Run
from gncompanion.experiment.settings import plain

__all__ = ["FORMAT", "Experiment", "Run", "Stopped", "plain"]
