"""How good the generated images are: distances of features, from any feature map.

    batches  ──extract(feature map)──>  Features  ──evaluate(reference)──>  Scores
    images in [−1, 1] or uint8          (N, d) and logits                   Fréchet, kernel distance, score

With the features of `Inception` the three are FID, KID and IS, computed with the network and the libraries
that the field uses (pytorch-fid, torch-fidelity); with any others, such as those of a `Classifier` of digits
or of `EfficientNet`, they are not called so. `open_reference` caches what is needed of the real images.

Source: Heusel et al. 2017 (FID, 1706.08500), Bińkowski et al. 2018 (KID, 1801.01401), Salimans et al. 2016
(IS, 1606.03498).
"""

from gncompanion.metrics.classifier import Classifier, train_classifier
from gncompanion.metrics.distances import Statistics, frechet_distance, inception_score, kernel_distance
from gncompanion.metrics.diversity import COLLAPSED_BELOW, mean_difference
from gncompanion.metrics.efficientnet import EfficientNet, require_efficientnet
from gncompanion.metrics.features import FeatureMap, Features, extract
from gncompanion.metrics.inception import Inception, require_weights, weights_file
from gncompanion.metrics.pixels import batches, to_uint8
from gncompanion.metrics.precision_recall import precision_and_recall
from gncompanion.metrics.reference import Reference, open_reference
from gncompanion.metrics.scores import Scores, evaluate

__all__ = [
    "COLLAPSED_BELOW",
    "Classifier",
    "EfficientNet",
    "FeatureMap",
    "Features",
    "Inception",
    "Reference",
    "Scores",
    "Statistics",
    "batches",
    "evaluate",
    "extract",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mean_difference",
    "open_reference",
    "precision_and_recall",
    "require_efficientnet",
    "require_weights",
    "to_uint8",
    "train_classifier",
    "weights_file",
]
