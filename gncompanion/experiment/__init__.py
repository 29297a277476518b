"""An experiment: plain values in, a finished run out."""

from gncompanion.experiment.experiment import FORMAT, Experiment
from gncompanion.experiment.run import Run, Stopped
from gncompanion.experiment.settings import plain, what_counts

__all__ = ["FORMAT", "Experiment", "Run", "Stopped", "plain", "what_counts"]
