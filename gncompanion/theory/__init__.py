"""What the notebooks compute and no training needs: distances, optimal critics, gradients taken apart.

`wasserstein` has distances of samples, `gaussians` and `line` optimal critics on the line in closed form,
`power_iteration` spectral normalization's inner workings, `gradient_terms` and `affine_pieces` a normalized
critic's weight gradient and where it is a plain one, `curvature` what critics that bend add to that,
`total_variation` the richest normalized critics, which no gradient can build or leave.
"""
