"""The runs behind notebook 08 that take longer than a notebook may.

    python benchmarks/counter_experiment.py toy digits own-case     # writes benchmarks/counter_experiment.json

Criteria, written before any of these runs, and before the notebook's switch and shift, was looked at. A generator
is *at the origin* if the mean norm of its samples is below a quarter of the real samples', in the coordinates
that the critic sees. A setting *works* if the median of W1 over its seeds is at most half of what all samples at
the origin would have, and *fails* if it is above three quarters of that; in between it is left open.

switch      A generator that GN has trained (norm within a quarter of the real samples' in each seed) goes on with
            the inner product: "it collapses" if it is at the origin in every seed at the last look; and the
            control, which goes on with GN, at no look in any seed. Ten seeds, a fresh critic and the kept one. Would
            miss: a collapse slower than the run, one that stops half way.
shift       Data and generator moved by (4, 0): "it ends at the origin there too" if each of ten seeds is there at
            the last look. Independently of where it ends: the critic "plays its own game" if, over the second half
            of the looks, the median over seeds of value/bound is above 1/2, of the cosine with x at real samples
            above 1/2 and at generated ones below -1/2; GN's critic, in the same coordinates, must not. Would miss:
            a game that is won later than the run lasts.
cap         "Something must cap the critic's incentive, the score or the loss": with random biases, each of D/n,
            D/(n + eps) and GraN fails with the Wasserstein loss and works with the hinge; GN works with both. One
            that does not is named, and the claim is then not "holds". Would miss: a cap that only slows.
own case    Zero biases, digits: "not collapsed" if it is at the origin in no seed. Random biases: "collapses to the
            origin of the coordinates" if it is there in at least four of five seeds, and if of black, grey and the
            mean image the predicted one ([0, 1]: black; centred: grey; mean subtracted: the mean image) is the
            nearest to the mean sample. Would miss: a collapse to one image elsewhere that is nearer to it by chance.
floor       The inner product and D/n of critics without biases are equal as functions; they differ as rounding
            errors grow. The largest difference of W1 between them over seeds, of the same world and loss, is
            the floor: a difference of two medians below it is not called one.
reset       "The critic must learn the intercept" if *value back, squashed* does not work, also if the
            critic's layers are put back to their first norms after each step; if it works then, the scale's drift
            was the cause.
"""
